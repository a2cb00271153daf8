"""What the columns of a table are for: found, said, or asked."""

import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kerasrnn import InputError
from kerasrnn.data.readers.tables import open_table
from kerasrnn.data.roles import Roles, find_layout, find_readings
from kerasrnn.data.sources import read_source

WORDS = ["the", "good", "bad", "film", "long", "very", "plot", "was", "with", "of", "dull"]
RNG = np.random.default_rng(0)


def texts(number):
    rng = random.Random(0)
    return [" ".join(rng.choices(WORDS, k=rng.randint(3, 12))) for _ in range(number)]


def values(steps):
    return [f"{value:.3f}" for value in RNG.normal(size=steps)]


def write(path, rows, separator=",", end="\n"):
    """A table of rows of strings."""
    path.write_bytes(end.join([*map(separator.join, rows), ""]).encode())
    return path


def layout(path, task=None, **roles):
    return find_layout(open_table(path), Roles(**roles), task)


def found(path, task=None, **roles):
    """The layout, kind and roles but for the features."""
    reading = layout(path, task, **roles)
    said = {k: v for k, v in reading.reading.items() if k not in ("layout", "features")}
    return reading.layout, reading.kind, said


def left_out(path):
    """The columns without a role, and what they hold."""
    reading = layout(path)
    return {n: column.kind for n, column in reading.columns.items() if not reading.role(n)}


REVIEWS = [["review", "sentiment"], *([t, "np"[i % 2] * 3] for i, t in enumerate(texts(40)))]
WIDE = [["label", *(f"t{i}" for i in range(8))], *([str(i % 3), *values(8)] for i in range(30))]
STEPS = [
    ["case", "when", "x", "y", "activity"],
    *(
        [str(i), f"2020-01-01 00:{k:02}:00", *values(2), ("walk", "run")[i % 2]]
        for i in range(8)
        for k in range(10)
    ),
]


def test_texts_and_their_label(tmp_path):
    path = write(tmp_path / "reviews.csv", REVIEWS)
    assert found(path) == ("texts", "texts", {"text": "review", "label": "sentiment"})
    assert layout(path).command("r.csv") == ("kerasrnn train r.csv --text review --label sentiment")


def test_short_names_and_windows_line_ends(tmp_path):
    names = ["".join(random.Random(i).choices("abcdefg", k=6)) for i in range(60)]
    rows = [["name", "country"], *([name, "ab"[i % 2] * 2] for i, name in enumerate(names))]
    path = write(tmp_path / "names.tsv", rows, "\t", "\r\n")
    assert found(path) == ("texts", "texts", {"text": "name", "label": "country"})


def test_texts_of_json_lines_with_other_columns(tmp_path):
    import json

    path = tmp_path / "a.jsonl"
    lines = [
        {"id": f"r{i}", "stars": i % 5, "text": text, "label": "ab"[i % 2], "source": "web"}
        for i, text in enumerate(texts(60))
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert found(path) == ("texts", "texts", {"text": "text", "label": "label"})
    assert left_out(path) == {"id": "id", "source": "constant", "stars": "whole"}


def test_a_column_says_the_part_and_row_numbers_are_passed_over(tmp_path):
    rows = [["number", "text", "label", "split"]]
    rows += [
        [str(i), text, str(i % 2), ("train", "test", "dev")[i % 5 % 3]]
        for i, text in enumerate(texts(50))
    ]
    path = write(tmp_path / "a.csv", rows)
    assert found(path)[2] == {"text": "text", "label": "label", "split": "split"}
    assert left_out(path) == {"number": "row"}
    parts = read_source(path).parts
    assert {part: len(rows.texts) for part, rows in parts.items()} == {
        "training": 20,
        "test": 20,
        "validation": 10,
    }


def test_a_label_that_is_sorted_is_found_beyond_the_first_rows(tmp_path):
    rows = [
        ["text", "label"],
        *([t, "neg"] for t in texts(11_000)),
        *([t, "pos"] for t in texts(9)),
    ]
    assert found(write(tmp_path / "a.csv", rows))[2] == {"text": "text", "label": "label"}


def test_a_series_a_row(tmp_path):
    path = write(tmp_path / "wide.csv", WIDE)
    assert found(path) == ("wide", "sequences", {"label": "label"})
    assert layout(path).reading["features"] == [f"t{i}" for i in range(8)]
    x, y, _ = read_source(path).parts["training"]
    assert x.shape == (30, 8, 1) and y.tolist()[:4] == [*"0120"]


@pytest.mark.parametrize("first", [True, False])
def test_without_a_header_the_class_is_first_or_last(tmp_path, first):
    rows = [[str(i % 3), *values(8)] for i in range(30)]
    rows = rows if first else [[*row[1:], row[0]] for row in rows]
    path = write(tmp_path / "a.csv", rows)
    assert found(path) == ("wide", "sequences", {"label": "1" if first else "9"})


def test_a_step_that_never_changes_is_a_step(tmp_path):
    rows = [["label", *(f"pixel{i}" for i in range(9))]]
    rows += [[str(i % 3), "0", *values(7), "0"] for i in range(30)]
    named, bare = write(tmp_path / "a.csv", rows), write(tmp_path / "b.csv", rows[1:])
    assert layout(named).reading["features"] == rows[0][1:]
    assert layout(bare).reading["features"] == [str(i) for i in range(2, 11)]


def test_a_word_among_numbers_is_named_and_does_not_make_them_texts(tmp_path):
    rows = [[*row] for row in WIDE]
    rows[5][3] = "broken"
    with pytest.raises(InputError, match=r"a.csv:6: .*'broken'"):
        read_source(write(tmp_path / "a.csv", rows))


def test_semicolons_and_decimal_commas(tmp_path):
    rows = [[cell.replace(".", ",") for cell in row] for row in WIDE]
    path = write(tmp_path / "a.csv", rows, ";")
    plain = read_source(write(tmp_path / "b.csv", WIDE)).parts["training"]
    assert found(path)[2] == {"label": "label"}
    assert np.array_equal(read_source(path).parts["training"].x, plain.x)


def test_a_number_to_predict_of_each_row(tmp_path):
    rows = [[*row[1:], "y" if row[0] == "label" else values(1)[0]] for row in WIDE]
    path = write(tmp_path / "a.csv", rows)
    assert found(path) == ("wide", "numbers", {"target": ["y"]})
    assert read_source(path).targets == ("y",)


def test_a_step_a_row(tmp_path):
    path = write(tmp_path / "steps.csv", STEPS)
    said = {"id": "case", "time": "when", "label": "activity"}
    assert found(path) == ("long", "sequences", said)
    assert layout(path).reading["features"] == ["x", "y"]
    assert found(path, target="x")[:2] == ("series", "series")  # it varies within a case
    numbers = [[*row[:4], "age" if row[0] == "case" else f"{int(row[0])}.5"] for row in STEPS]
    path = write(tmp_path / "numbers.csv", numbers)
    assert found(path) == ("long", "numbers", {"id": "case", "time": "when", "target": ["age"]})


def test_sequences_longer_than_the_first_rows_that_are_looked_at(tmp_path):
    rows = [[str(i), *values(1), "ab"[i % 2]] for i in range(4) for _ in range(12_000)]
    path = write(tmp_path / "a.csv", [["sensor", "x", "state"], *rows])
    assert found(path) == ("long", "sequences", {"id": "sensor", "label": "state"})


def test_rows_of_an_id_in_any_order_are_the_same_sequences(tmp_path):
    arrays = read_source(write(tmp_path / "a.csv", STEPS)).parts["training"]
    head, *rows = STEPS
    random.Random(0).shuffle(rows)
    first = {row[0]: None for row in rows}
    order = [[*dict.fromkeys(row[0] for row in STEPS[1:])].index(id) for id in first]
    mixed = read_source(write(tmp_path / "b.csv", [head, *rows])).parts["training"]
    assert np.array_equal(mixed.x, arrays.x[order]) and (mixed.y == arrays.y[order]).all()


def test_gaps_of_sensor_data_become_missing_rows(tmp_path):
    kept = [row for row in STEPS if row[1][14:16] not in ("03", "09") or row[0] == "1"]
    path = write(tmp_path / "gaps.csv", kept)
    with pytest.warns(UserWarning, match="7 rows are missing between the times of 'when'"):
        x, _, lengths = read_source(path).parts["training"]
    assert lengths.tolist() == [9, 10, *[9] * 6]
    assert np.isnan(x[0, 3]).all() and not np.isnan(x[1]).any() and (x[0, 9] == 0).all()


def test_two_rows_of_one_time_and_two_labels_of_one_id_name_the_line(tmp_path):
    with pytest.raises(InputError, match="a.csv:82: two rows of one time and id: found 3 2020"):
        read_source(write(tmp_path / "a.csv", [*STEPS, STEPS[35]]))
    other = [*STEPS[:40], [*STEPS[40][:4], "jump"], *STEPS[41:]]
    path = write(tmp_path / "b.csv", other)
    roles = Roles(id="case", time="when", label="activity")
    with pytest.raises(InputError, match="b.csv:41: an id with two values of its label: found run"):
        read_source(path, roles=roles)


def test_a_row_without_an_id_is_named(tmp_path):
    rows = [*STEPS[:50], ["", *STEPS[50][1:]], *STEPS[51:]]
    with pytest.raises(InputError, match="a.csv:51: a row without an id in 'case'"):
        read_source(write(tmp_path / "a.csv", rows))


def test_a_column_that_is_not_asked_for_may_hold_anything(tmp_path):
    rows = [[*row, f"{i}"] for i, row in enumerate(STEPS)]
    rows[0][-1], rows[9][-1] = "dose", "12 mg"
    path, said = write(tmp_path / "a.csv", rows), {"id": "case", "time": "when"}
    x = read_source(path, roles=Roles(**said, features="x", label="activity")).parts["training"].x
    assert x.shape == (8, 10, 1)
    with pytest.raises(InputError, match="a.csv:10: no number in column 'dose': found '12 mg'"):
        read_source(path, roles=Roles(**said, label="activity"))


@pytest.mark.parametrize(("one", "kind"), [("1", "constant"), ("NA", "empty")])
def test_one_number_and_missing_values_are_no_times(tmp_path, one, kind):
    rows = [[*row, "NA" if i % 3 else one] for i, row in enumerate(WIDE)]
    rows[0][-1] = "flag"
    path = write(tmp_path / "a.csv", rows)
    assert found(path)[0] == "wide" and left_out(path) == {"flag": kind}
    rows += [[*row[:-1], "2"] for row in rows[1:] * 400]
    flag = layout(write(tmp_path / "b.csv", rows)).columns["flag"]
    assert (flag.kind, flag.distinct) == {"1": ("whole", 2), "NA": ("constant", 1)}[one]


def test_labels_that_are_numbers_are_written_alike_where_they_are_whole(tmp_path):
    labels = ["1.0", "2e0", "1e999", "15e-1"]
    rows = [[labels[i % 4], *row[1:]] for i, row in enumerate(WIDE[1:])]
    path = write(tmp_path / "a.csv", [WIDE[0], *rows])
    y = read_source(path, roles=Roles(label="label", features="t0:t7")).parts["training"].y
    assert y.tolist()[:4] == ["1", "2", "1e999", "15e-1"]


def test_a_series_to_forecast(tmp_path):
    rows = [
        ["Month", "Passengers"],
        *([f"19{60 + i // 12}-{i % 12 + 1:02}", str(112 + i * i % 89)] for i in range(60)),
    ]
    path = write(tmp_path / "a.csv", rows)
    assert found(path) == ("series", "series", {"time": "Month", "target": ["Passengers"]})
    series = read_source(path)
    assert series.series[0].values.shape == (60, 1)
    assert str(series.series[0].times[1])[:10] == "1960-02-01"
    numbers = write(tmp_path / "b.csv", [[value] for value in values(40)])
    assert found(numbers) == ("series", "series", {"target": ["1"]})


def daily(words):
    """Rows of days with a value and a word."""
    days = np.datetime64("2020-01-01") + np.arange(len(words))
    return [
        ["day", "x", "said"],
        *map(list, zip(map(str, days), values(len(days)), words, strict=True)),
    ]


def test_a_column_that_says_the_part_cuts_a_series(tmp_path):
    from kerasrnn import load_series

    words = ["train"] * 60 + ["validation"] * 10 + ["test"] * 30
    path = write(tmp_path / "a.csv", daily(words))
    with pytest.warns(UserWarning, match="the validation part is the end of what is before"):
        (before,), (after,) = (found := read_source(path)).series, found.test
    assert len(before.values) == 70 and str(after.times[0])[:10] == "2020-03-11"
    with pytest.warns(UserWarning, match="the validation part"):
        assert load_series(path, horizon=2, window=3).sizes()["test"] == 29
    head, *rows = daily(words)
    head, rows = ["id", *head], [[id, *row] for id in "ab" for row in rows]
    path = write(tmp_path / "b.csv", [head, *rows])
    with pytest.warns(UserWarning, match="the validation part"):
        assert [len(one.values) for one in read_source(path, roles=Roles(target="x")).test] == [
            30
        ] * 2
    for row in rows[100:]:
        row[-1] = "test"
    path = write(tmp_path / "c.csv", [head, *rows])
    with pytest.warns(UserWarning, match="the validation part"):
        data = load_series(path, roles=Roles(target="x"), horizon=2, window=3)
    assert data.sizes()["test"] == 29 + 96  # all of b, after the first window
    path = write(tmp_path / "d.csv", daily(words[::-1]))
    with pytest.warns(UserWarning, match="'said' is not heeded: the test part of the series"):
        assert read_source(path).test is None


def test_a_group_of_a_series_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", daily(["a", "b"] * 30))
    with pytest.raises(InputError, match="a.csv: --group of a series, .*: found 'said'; .* --id"):
        layout(path, target="x", group="said")


def test_rows_of_a_time_that_another_has_are_one_where_they_are_few(tmp_path):
    hours = np.datetime64("2020-01-01T00") + np.arange(200)
    rows = [["when", "x"], *([str(when), str(i)] for i, when in enumerate(hours))]
    path = write(tmp_path / "a.csv", [*rows[:101], [rows[100][0], "199"], *rows[101:]])
    assert found(path) == ("series", "series", {"time": "when", "target": ["x"]})
    with pytest.warns(UserWarning, match="a.csv:102: a row of a time that another has, 2020-01-05"):
        (series,) = read_source(path).series
    assert len(series.values) == 200 and series.values[99, 0] == (99 + 199) / 2
    assert (series.values[:99, 0] == np.arange(99)).all() and (np.diff(series.times) > 0).all()
    many = write(tmp_path / "b.csv", [*rows, *rows[1:9]])
    with pytest.raises(InputError, match="b.csv:202: two rows of one time: .*--id"):
        read_source(many, roles=Roles(time="when", target="x"))


def test_a_number_that_may_stand_for_missing_values_is_said(tmp_path):
    rows = [["when", "x"], *([f"2020-01-{i:02}", str(i * i % 29)] for i in range(1, 29))]
    for row in rows[5:8]:
        row[1] = "-200"
    with pytest.warns(
        UserWarning, match="a.csv: -200 in x: far from all other values; leave empty"
    ):
        assert layout(write(tmp_path / "a.csv", rows)).columns["x"].code == -200
    rows[5][1] = "3"  # two rows may be outliers
    assert layout(write(tmp_path / "b.csv", rows)).columns["x"].code is None


def test_a_column_that_counts_the_rows_of_the_first_one_is_their_time(tmp_path):
    rows = [[str(unit), str(k), *values(2)] for unit in (3, 1, 2) for k in range(1, 30)]
    (tmp_path / "a_train.txt").write_text("\n".join(map(" ".join, rows)))
    with pytest.raises(InputError, match="several readings.*--id 1 --time 2 --target 3` or "):
        layout(tmp_path / "a_train.txt")
    several = find_readings(open_table(write(tmp_path / "b.csv", rows)))
    assert {reading.reading["id"] for reading in several} == {"1"}


def test_several_series_ask_for_the_target(tmp_path):
    head, *rows = ([*row[:4]] for row in STEPS)
    path = write(tmp_path / "a.csv", [head, *rows])
    with pytest.raises(InputError, match="several readings") as caught:
        find_layout(open_table(path))
    for name in ("x", "y"):
        assert f"`kerasrnn train {path} --id case --time when --target {name}`" in str(caught.value)
    series = read_source(path, roles=Roles(target="y"))
    assert len(series.series) == 8 and series.columns == ("x", "y") and series.targets == ("y",)


def test_where_two_readings_are_possible_both_commands_are_spelled_out(tmp_path):
    rows = [["day", "text", "rating"]]
    rows += [[f"2020-01-{i + 1:02}", t, str(i % 5)] for i, t in enumerate(texts(30))]
    path = write(tmp_path / "two words.csv", rows)
    with pytest.raises(InputError, match="several readings are possible") as caught:
        find_layout(open_table(path))
    assert f"`kerasrnn train '{path}' --text text --label rating`" in str(caught.value)
    assert f"`kerasrnn train '{path}' --time day --target rating`" in str(caught.value)
    assert found(path, "classifier")[1] == "texts"
    assert found(path, "regressor")[1] == "series"
    assert found(path, text="text")[1] == "texts"
    assert found(path, target="rating")[1] == "series"


def test_whole_numbers_are_labels_where_they_are_few_and_asked_about_otherwise(tmp_path):
    def table(name, number, title="group"):
        rows = [[*WIDE[0][1:], title], *([*values(8), str(i % number)] for i in range(150))]
        return write(tmp_path / name, rows)

    assert found(table("a.csv", 10))[2] == {"label": "group"}
    assert found(table("b.csv", 20, "class"))[2] == {"label": "class"}
    path = table("c.csv", 20)
    with pytest.raises(InputError, match=r"--label group` or `kerasrnn train .* --target group`"):
        find_layout(open_table(path))
    assert found(path, "regressor")[2] == {"target": ["group"]}


def test_features_are_lists_or_ranges(tmp_path):
    rows = [["a", "b", "c", "d", "kind"], *([*values(4), "xy"[i % 2]] for i in range(20))]
    path = write(tmp_path / "a.csv", rows)
    with pytest.raises(InputError, match="many things.*--label COLUMN --features a:d`"):
        find_layout(open_table(path))
    for features in ("b,c,d", "b:d"):
        reading = layout(path, features=features)
        assert reading.reading == {
            "layout": "wide",
            "features": ["b", "c", "d"],
            "label": "kind",
        }
        assert reading.command("a.csv").endswith("--label kind --features b,c,d")


def test_the_command_that_is_proposed_reads_a_row_as_a_sequence_whatever_stands_beside(tmp_path):
    rows = [["date", *(f"{k}{i}" for k in "ab" for i in range(5)), "the label"]]
    rows += [[f"2020-01-{i + 1:02}", *values(10), f"{i % 3}"] for i in range(30)]
    for name, some in {"a.csv": rows, "b.csv": [row[1:] for row in rows]}.items():
        path = write(tmp_path / name, some)
        with pytest.raises(InputError, match="--label 'the label' --features a0:b4`, where a row"):
            layout(path, label="the label")
        reading = layout(path, label="the label", features="a0:b4").reading
        assert reading == {"layout": "wide", "features": rows[0][1:-1], "label": "the label"}
    steps = write(tmp_path / "c.csv", STEPS)  # where there are ids, it is theirs
    assert found(steps, label="activity", features="x,y")[0] == "long"


def test_features_stand_once_and_in_order_and_are_not_what_is_predicted(tmp_path):
    path = write(tmp_path / "a.csv", WIDE)
    assert (
        layout(path, label="label", features="t0,t0:t2,label").reading["features"] == WIDE[0][1:4]
    )
    with pytest.raises(InputError, match="--features: an empty range: found t3:t1; .* t1:t3"):
        layout(path, features="t3:t1")
    with pytest.raises(InputError, match="many things"):
        layout(path, features="label", label="label")
    path = write(tmp_path / "b.csv", [["x", "y"], *(values(2) for _ in range(30))])
    assert layout(path, features="y", target="y").reading["layout"] == "series"


def test_texts_without_a_label_are_asked_about(tmp_path):
    path = write(tmp_path / "a.csv", [["line"], *([text] for text in texts(20))])
    with pytest.raises(InputError, match="--text line --label COLUMN`; or .* --task generator"):
        find_layout(open_table(path))


def test_what_no_task_does_is_named(tmp_path):
    path = write(tmp_path / "a.csv", REVIEWS)
    for roles, message in (
        ({"text": "review", "target": "sentiment"}, "numbers to predict from texts"),
        ({"target": "sentiment"}, "numbers to predict from texts"),
        ({"label": "sentiment", "target": "sentiment"}, "either --label, .* or --target"),
    ):
        with pytest.raises(InputError, match=message):
            find_layout(open_table(path), Roles(**roles))


def test_groups_stay_in_one_part(tmp_path):
    from kerasrnn.data.sequences import load_dataset

    rows = [[*WIDE[0], "person"]]
    rows += [[f"{i % 2}", *[f"{i // 4}"] * 8, f"p{i // 4}"] for i in range(80)]
    path, roles = write(tmp_path / "a.csv", rows), Roles(group="person")
    data = load_dataset(path, roles=roles, validation_split=0.1)
    people = [set(np.unique(part.x)) for part in data.parts().values()]
    assert sum(map(len, people)) == 20 == len(set.union(*people))
    assert data.options == {"validation_split": 0.1, "seed": 0, "group": "person"}
    for row in rows[5:9]:  # that belong to nobody: each is one by itself
        row[-1] = ""
    data = load_dataset(write(tmp_path / "a.csv", rows), roles=roles, validation_split=0)
    assert sum(data.sizes().values()) == 80 and len(set(data.train.groups.tolist())) > 16


def test_parts_lie_beside_each_other_or_are_named(tmp_path):
    write(tmp_path / "X_TRAIN.csv", WIDE)
    write(tmp_path / "X_TEST.csv", [WIDE[0], *WIDE[-4:]])
    other = write(tmp_path / "later.csv", [WIDE[0], *WIDE[-9:]])
    (tmp_path / "folder" / "train").mkdir(parents=True)
    (tmp_path / "folder" / "test").mkdir()
    write(tmp_path / "folder" / "train" / "a.csv", WIDE)
    write(tmp_path / "folder" / "test" / "b.csv", [WIDE[0], *WIDE[-5:]])

    def sizes(source, **options):
        return [len(part.x) for part in read_source(source, **options).parts.values()]

    assert sizes(tmp_path / "X_TRAIN.csv") == [30, 4]
    assert sizes(tmp_path / "folder") == [30, 5]
    assert sizes(tmp_path / "X_TRAIN.csv", test=other) == [30, 9]


def test_a_column_that_the_test_part_lacks_is_named_with_its_neighbour(tmp_path):
    write(tmp_path / "X_TRAIN.csv", WIDE)
    head = [name.replace("t3", "t33") for name in WIDE[0]]
    write(tmp_path / "X_TEST.csv", [head, *WIDE[-4:]])
    with pytest.raises(InputError, match=r"the test part: no such column: found 't3'.*'t33'"):
        read_source(tmp_path / "X_TRAIN.csv")


def test_rows_without_a_label_are_left_out(tmp_path):
    rows = [*WIDE[:20], *(["", *row[1:]] for row in WIDE[20:])]
    with pytest.warns(UserWarning, match="11 without a label or target are left out"):
        data = read_source(write(tmp_path / "a.csv", rows), roles=Roles(label="label"))
    assert len(data.parts["training"].x) == 19


def test_among_numbers_a_word_of_no_value_is_no_label(tmp_path):
    def labels(*labels):
        rows = [[labels[i % 3], *row[1:]] for i, row in enumerate(WIDE[1:])]
        path = write(tmp_path / "a.csv", [WIDE[0], *rows])
        return read_source(path, roles=Roles(label="label")).parts["training"].y.tolist()

    with pytest.warns(UserWarning, match="10 without a label or target are left out"):
        assert labels("7", "nan", "8") == ["7", "8"] * 10
    assert labels("some", "None", "all")[:3] == ["some", "None", "all"]


def test_the_end_of_a_row_may_be_missing(tmp_path):
    rows = [row[:5] + [""] * 4 if i % 2 else row for i, row in enumerate(WIDE)]
    x, _, lengths = read_source(write(tmp_path / "a.csv", rows)).parts["training"]
    assert lengths.tolist()[:2] == [4, 8] and not np.isnan(x).any()


TABLES = {"texts": REVIEWS, "wide": WIDE, "long": STEPS}


def all_found(path):
    """The layout, the kind and all roles, features in any order."""
    reading = layout(path)
    said = reading.reading | {"features": {*reading.reading.get("features", [])}}
    return reading.layout, reading.kind, said


@pytest.fixture(scope="module")
def in_order(tmp_path_factory):
    """What is found in each table as it is."""
    folder = tmp_path_factory.mktemp("tables")
    return {name: all_found(write(folder / name, rows)) for name, rows in TABLES.items()}


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(TABLES)), st.randoms(use_true_random=False))
def test_shuffled_columns_have_the_same_roles(in_order, tmp_path, name, rng):
    rows = TABLES[name]
    order = list(range(len(rows[0])))
    rng.shuffle(order)
    mixed = write(tmp_path / "mixed.csv", [[row[i] for i in order] for row in rows])
    assert all_found(mixed) == in_order[name]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(TABLES)), st.data())
def test_a_missing_column_is_named(tmp_path, name, data):
    rows = TABLES[name]
    write(tmp_path / "A_TRAIN.csv", rows)
    column = data.draw(st.sampled_from(rows[0]))
    index = rows[0].index(column)
    left = [[cell for i, cell in enumerate(row) if i != index] for row in rows]
    write(tmp_path / "A_TEST.csv", left)
    with pytest.raises(InputError) as caught:
        read_source(tmp_path / "A_TRAIN.csv")
    assert f"no such column: found '{column}'" in str(caught.value)


@given(st.text(min_size=1, max_size=8))
def test_an_unknown_column_is_named_with_all_there_are(name):
    columns = ("review", "sentiment")
    if name in columns:
        return
    with pytest.raises(InputError, match="no such column"):
        Roles(text=name).resolve(columns, "a.csv")


def test_a_misspelt_column_has_its_neighbour():
    with pytest.raises(InputError, match="expected one of review, label; did you mean 'review'?"):
        Roles(text="Reveiw").resolve(("review", "label"), "a.csv")


def test_data_is_loaded_in_python_with_the_options_that_a_run_keeps(tmp_path):
    from kerasrnn import load_series, load_texts

    texts = load_texts(write(tmp_path / "a.csv", REVIEWS), roles=Roles(label="sentiment"))
    assert texts.labels == ("nnn", "ppp") and texts.options["label"] == "sentiment"
    path = write(tmp_path / "b.csv", STEPS)
    assert texts.options["validation_split"] is None and texts.validation is None
    series = load_series(path, roles=Roles(target="x"), horizon=1, window=2)
    assert series.targets == ("x",) and series.source == str(path)
    with pytest.raises(InputError, match="no labelled texts"):
        load_texts(write(tmp_path / "c.csv", WIDE))


cells = st.sampled_from(["", "a", "b c d", "1", "2", "3.5", "-1e3", "2020-01-01", "NaN", "?", "x1"])
names = st.sampled_from(["id", "time", "label", "y", "text", "t0", "t1", "t2", "t3", "split", "é"])


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(names, min_size=1, max_size=6, unique=True), st.data())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_any_table_is_read_or_refused_with_a_reason(tmp_path, head, data):
    from kerasrnn.data.inspection import inspect_source

    row = st.lists(cells, min_size=len(head), max_size=len(head))
    columns = [data.draw(st.lists(cells, min_size=1, max_size=3)) for _ in head]
    some = [[data.draw(st.sampled_from(column)) for column in columns] for _ in range(12)]
    path = write(tmp_path / "a.csv", [head, *some, *data.draw(st.lists(row, max_size=3))])
    roles = Roles(**{"label": head[-1]} if data.draw(st.booleans()) else {})
    for read in (read_source, inspect_source):
        try:
            read(path, roles=roles)
        except InputError as error:
            assert str(error).startswith(str(path))
