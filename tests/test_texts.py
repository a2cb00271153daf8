"""Labelled texts: split, cut, encoded, batched, classified, exported."""

import math
import warnings
from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kerasrnn import (
    Classifier,
    InputError,
    Roles,
    Texts,
    Vocabulary,
    build_classifier,
    export,
    load_texts,
    train,
)
from kerasrnn.cli.output import print_metrics
from kerasrnn.data.inputs import read_inputs
from kerasrnn.data.readers import LabelledTexts, TextParts
from kerasrnn.data.text_batches import TextBatches
from kerasrnn.data.texts import TextPart
from kerasrnn.evaluation import calibration_error, chosen_labels, classification_metrics
from kerasrnn.inference import text_ops
from kerasrnn.options import LEVELS, defaults
from kerasrnn.tasks import task_of
from kerasrnn.text import tokens_of

GOOD, BAD = "what a GOOD film!", "a bad, bad film"
TINY = {
    "units": 4,
    "embedding_dim": 6,
    "dropout": 0.0,
    "batch_size": 8,
    "learning_rate": 0.02,
    "epochs": 12,
    "quiet": True,
}


def moods(**options):
    """Texts of two labels that a word tells, of 2 to 13 words."""
    texts = [f"{text} {'so ' * (number % 10)}" for number in range(20) for text in (GOOD, BAD)]
    return Texts.from_lists(texts, ["yes", "no"] * 20, **options)


def topics(**options):
    """Texts with none, one or two labels, each told by a word."""
    found = [("rain", ["weather"]), ("goal", ["sport"]), ("rain goal", ["sport", "weather"])]
    texts, labels = zip(*[*found, ("nothing", [])] * 15, strict=True)
    return Texts.from_lists(texts, labels, level="word", **options)


@cache
def _terms(tokens):
    return text_ops.ops_of(tokens).term_reader()[0]


ANY = st.text(st.characters(codec="utf-8", exclude_categories=("Cn", "Co")), max_size=30)


@settings(max_examples=30, deadline=None)
@given(st.lists(ANY | st.text("n't sNT’\"İΣßdvelm12.,:_é\u0301-\t\n٣Ⅷ中\x1f\x00", max_size=30)))
def test_a_graph_splits_any_text_as_python_does(texts):
    for tokens in map(tokens_of, LEVELS):
        found = _terms(tokens)(tf.constant(texts, tf.string)).to_list()
        assert found == [[token.encode() for token in tokens.terms(text)] for text in texts]


def test_words_are_lowered_and_marks_stand_alone_while_characters_stay():
    assert tokens_of("word").terms("Ça VA, c’est 3.5 DON'T") == [
        *("ça", "va", ",", "c", "’", "est", "3.5", "do", "n't")
    ]
    assert tokens_of("char").terms("Aé b") == ["A", "é", " ", "b"]


def test_ids_and_vocabulary_are_those_of_the_training_part():
    data = moods(test=(["what a rare film"], ["yes"]), validation_split=0)
    words = data.vocabulary
    assert "so" in words and "rare" not in words and len(data.test) == 1
    assert data.test.x.tolist() == words.encode(["what", "a", "rare", "film"])
    assert data.train.x.dtype == data.train.lengths.dtype == "int32"
    rows = data.train.texts(words, " ")
    assert next(rows) == "what a good film !" and next(rows) == "a bad , bad film"


def test_the_next_command_has_a_text_as_it_was_written():
    task = task_of("classifier")
    written = ["A rare film", "- A bad\n\n film,   so BAD!", "a bad film"]
    data = moods(test=(written, ["yes", "no", "no"]), validation_split=0)
    assert task.next_command(data, "run") == ["predict", "run", "A bad film, so BAD!"]
    data = moods(test=(["a rare " + "film " * 20], ["yes"]), validation_split=0)
    assert data.example == "a rare" + " film" * 10
    assert moods().example in {
        f"{text} {'so ' * n}".strip() for text in (GOOD, BAD) for n in range(10)
    }
    several = moods(test=([" ", "\u4eca\u5929" * 99], ["yes", "no"]), validation_split=0)
    assert several.example == "\u4eca\u5929" * 30


def test_the_example_is_a_text_of_the_test_part():
    texts = [f"Word{'abcdefghij'[n // 10]}{'abcdefghij'[n % 10]} IS it" for n in range(100)]
    data = Texts.from_lists(texts, ["x", "y"] * 50, min_frequency=1, validation_split=0)
    assert data.example in texts and data.example.lower() not in set(
        data.train.texts(data.vocabulary, " ")
    )


def test_parts_are_cut_by_label_and_always_the_same_way():
    data = moods(validation_split=0.1)
    assert data.sizes() == {"training": 28, "validation": 4, "test": 8}
    assert [part.y.mean() for part in data.parts().values()] == [0.5] * 3
    again, other = (moods(validation_split=0.1, seed=seed) for seed in (0, 1))
    assert data.fingerprint() == again.fingerprint() != other.fingerprint()
    assert other.test.x.tolist() == data.test.x.tolist()


def test_groups_stay_together():
    lengths = [number // 4 + 1 for number in range(80)]
    texts = ["so " * length for length in lengths]
    parts = {"training": LabelledTexts(texts, ["a", "b"] * 40)}
    found = TextParts("groups", parts, groups=[*map(str, lengths)])
    data = Texts.from_parts(found, "", "groups", moods(validation_split=0.1).options)
    found = [set(part.lengths.tolist()) for part in data.parts().values()]
    assert sum(map(len, found)) == len(set().union(*found)) == 20


@pytest.mark.parametrize(
    "texts, level",
    [
        (["Nguyen", "O'Brien", "de la Cruz"], "char"),
        (["très bien", "pas bien", "Oui"], "word"),
        (["今天天气很好", "我不喜欢"], "char"),
    ],
)
def test_single_words_are_read_by_character_and_other_texts_by_word(texts, level):
    assert Texts.from_lists(texts * 10, ["x", "y"] * (5 * len(texts))).level == level


def test_long_texts_keep_their_beginning_and_the_share_is_said():
    data = moods(max_length=5)
    assert max(data.train.lengths) == 5 and data.truncated
    assert "of the texts are longer than 5 words and cut there" in str(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what was asked for is no surprise
        moods(max_length=5)
    with pytest.warns(UserWarning, match="longer than 500 words and cut there; --max-length"):
        data = Texts.from_lists(["so " * 600, "such " * 3] * 10, ["a", "b"] * 10)
    assert data.options["max_length"] == 500 == data.train.lengths.max()


def test_an_empty_text_is_one_unknown_token():
    data = Texts.from_lists(["", " \n", "yes yes", "no no"] * 10, ["e", "e", "y", "n"] * 10)
    assert data.train.lengths.min() == 1
    with pytest.raises(InputError, match="no text"):
        Texts.from_lists(["a", None], ["a", "b"])
    with pytest.raises(InputError, match="unequal number"):
        Texts.from_lists(["a"], ["a", "b"])
    with pytest.raises(InputError, match="only one class"):
        Texts.from_lists(["a", "b"], ["a", "a"])
    with pytest.raises(InputError, match="fewer than two labels"):
        Texts.from_lists(["a", "b"], [["a"], []])


def test_batches_hold_all_texts_once_with_little_padding():
    rng = np.random.default_rng(0)
    texts = ["x " * length for length in rng.integers(1, 60, 1000)]
    data = Texts.from_lists(texts, ["a", "b"] * 500, validation_split=0)
    batches = TextBatches(data.train, 16, seed=3)
    assert batches.tokens == len(data.train.x) and len(batches) == math.ceil(800 / 16)
    orders = []
    for _ in range(2):
        found = _all(batches)
        ids = [row[row != 0] for x, _ in found for row in x]
        assert sorted(map(len, ids)) == sorted(data.train.lengths)
        assert sum(x.size for x, _ in found) < 1.15 * len(data.train.x)
        assert found[0][0].shape[1] != found[1][0].shape[1]  # or Keras would fix the size
        orders.append([x.shape for x, _ in found])
        batches.on_epoch_end()
    assert orders[0] != orders[1]
    again = TextBatches(data.train, 16, seed=3)
    np.testing.assert_array_equal(again[5][0], TextBatches(data.train, 16, seed=3)[5][0])


def _all(batches):
    return [batches[index] for index in range(len(batches))]


def test_rare_tokens_are_sometimes_unknown_in_training():
    vocabulary = Vocabulary({"often": 9, "once": 1}, padded=True)
    often, once = vocabulary.encode(["often", "once"])
    part = TextPart(np.array([*[often] * 9, once]), np.array([0, 1]), np.array([9, 1]))
    batches, seen = TextBatches(part, 2, 0, vocabulary=vocabulary), []
    for _ in range(1000):
        ids = batches[0][0]
        np.testing.assert_array_equal(ids, batches[0][0])
        seen.append(ids if ids[0, 1] else ids[::-1])
        batches.on_epoch_end()
    unknown = np.mean(np.array(seen) == vocabulary.unknown_id, axis=0)
    np.testing.assert_allclose(unknown[0], 1 / 10, atol=0.05)
    np.testing.assert_allclose(unknown[1], [1 / 2, *[0] * 8], atol=0.06)


def test_balanced_weights_give_each_label_the_same_weight():
    data = Texts.from_lists(["a a", "b b", "b b", "b b"] * 10, ["x", "y", "y", "y"] * 10)
    task = task_of("classifier")
    given = {"class_weight": "balanced", "batch_size": 8}
    chosen = task.settings(given, data.options, data.kind)
    batches = task.batches(data, chosen, 0)
    y, weights = (np.concatenate(arrays) for arrays in list(zip(*_all(batches), strict=True))[1:])
    assert weights[y == 0].sum() == pytest.approx(weights[y == 1].sum())
    wrong = task.settings({"class_weight": "much"}, data.options, data.kind)
    with pytest.raises(InputError, match="class weight"):
        task.batches(data, wrong, 0)


def test_columns_of_large_numbers_stay_apart(capsys):
    rows = {part: {"mae": 12345.678901, "rmse": 1234567.8901} for part in ("validation", "test")}
    print_metrics(rows | {"baseline": {"last value": {"mae": 1.0, "rmse": 161017.8096}}})
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["validation", "12345.6789", "1234567.8901"]
    assert lines[3].split() == ["last", "value", "1.0000", "161017.8096"]
    assert len({len(line) for line in lines}) == 1


@pytest.mark.slow
def test_a_classifier_of_texts_is_trained_evaluated_and_loaded(tmp_path, capsys):
    data = moods(validation_split=0.1)
    run = train(data, tmp_path / "run", **TINY)
    metrics = run.metrics()
    assert metrics["test"]["accuracy"] == 1 and 0 <= metrics["test"]["calibration_error"] < 0.5
    assert metrics["baseline"]["most frequent label"]["accuracy"] == 0.5
    assert metrics["baseline"]["TF-IDF, logistic regression"]["accuracy"] == 1
    print_metrics(metrics)
    rows = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert rows[1:] == ["validation", "test", "most frequent label", "TF-IDF, logistic regression"]
    assert "val_accuracy" in run.history() and (run.path / "confusion.png").exists()
    classifier = Classifier.load(run)
    assert classifier.predict([GOOD, BAD, ""])[:2] == ["yes", "no"]
    part = data.test
    whole = classifier.predict_proba([*part.texts(data.vocabulary, " ")])
    np.testing.assert_allclose(classifier.predict_proba(part.x, part.lengths), whole, atol=1e-6)


def test_texts_have_defaults_of_their_own():
    data, task = moods(), task_of("classifier")
    chosen = task.settings({}, data.options, data.kind)
    assert (
        chosen.model["pooling"] == defaults("pooling")["texts"] != defaults("pooling")["classifier"]
    )
    assert "embedding_dim" in chosen.model and "embedding_dim" not in task.settings({}).model
    with pytest.raises(InputError, match="no such option: found embedding_dim"):
        task.settings({"embedding_dim": 4})


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_an_export_answers_as_its_run_does(level, tmp_path):
    run = train(moods(level=level, max_length=6), tmp_path / "run", **TINY)
    classifier = Classifier.load(run)
    exported = Classifier.load(export(run, tmp_path / "export", check=False))
    texts = [GOOD, "Ungewöhnlich, très İ", "", " ", "so " * 20, BAD.upper()]
    assert exported.predict(texts) == classifier.predict(texts)
    np.testing.assert_allclose(
        exported.predict_proba(texts), classifier.predict_proba(texts), atol=1e-5
    )


@pytest.mark.slow
def test_texts_of_several_labels(tmp_path):
    data = topics(validation_split=0.1)
    assert data.labels == ("sport", "weather") and data.several and "several a text" in str(data)
    assert data.train.y.dtype == "uint8" and data.train.y.shape[1] == 2
    run = train(data, tmp_path / "run", **TINY)
    metrics = run.metrics()
    assert metrics["test"]["micro_f1"] == metrics["test"]["macro_f1"] == 1
    assert set(metrics["labels"]) == {"sport", "weather"} and "val_loss" in run.history()
    assert metrics["baseline"]["TF-IDF, logistic regression"]["accuracy"] == 1
    classifier = Classifier.load(run)
    texts = ["rain", "goal rain", "nothing", "goal"]
    expected = [["weather"], ["sport", "weather"], [], ["sport"]]
    assert classifier.predict(texts) == expected
    path = export(run, tmp_path / "export", check=False)
    exported = Classifier.load(path)
    assert exported.predict(texts) == expected
    from kerasrnn import load_export

    assert load_export(path).call(text=texts)["labels"].tolist() == [
        *(["weather", ""], ["sport", "weather"], ["", ""], ["sport", ""])
    ]
    with pytest.raises(InputError, match="for one label a text"):
        train(data, tmp_path / "weighted", class_weight="balanced", **TINY)
    assert not (tmp_path / "weighted").exists()


def test_a_label_of_several_that_training_lacks_counts_as_wrong():
    with pytest.warns(UserWarning, match="'chess' \\(1\\)"):
        data = topics(test=(["rain", "goal"], [["weather", "chess"], ["sport"]]))
    assert data.unseen_labels == ("chess",) and data.test.y.tolist() == [[0, 1, 1], [1, 0, 0]]
    metrics = classification_metrics(data.test.y, np.array([[0.1, 0.9], [0.9, 0.1]]))
    assert metrics["accuracy"] == 0.5 and metrics["loss"] == pytest.approx(-math.log(0.9))


def test_labels_of_one_string_are_split_at_the_separator():
    lists = topics()
    parts = {"training": (["rain goal", "goal", "rain", "rain"] * 9, ["a; b", "b", "a", "a;"] * 9)}
    parts = TextParts("split", {part: LabelledTexts(*both) for part, both in parts.items()})
    data = Texts.from_parts(parts, "", "split", lists.options | {"multi_label": ";"})
    assert data.labels == ("a", "b") and data.reading == {"separator": ";"}
    assert data.train.y.sum(1).max() == 2 and lists.reading == {"separator": "|"}


def test_several_labels_are_scored_as_counted_by_hand():
    y = np.array([[1, 0, 1], [0, 1, 0]])
    found = np.array([[0.8, 0.6, 0.4], [0.2, 0.7, 0.1]])
    assert chosen_labels(found).tolist() == [[1, 1, 0], [0, 1, 0]]
    metrics = classification_metrics(y, found)
    assert metrics["accuracy"] == 0.5 and metrics["micro_f1"] == pytest.approx(2 / 3)
    assert metrics["macro_f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    likely = [0.8, 0.4, 0.4, 0.8, 0.7, 0.9]
    assert metrics["loss"] == pytest.approx(-np.log(likely).mean())


def test_the_calibration_error_is_that_of_a_count_by_bin():
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.3, 1, 500)
    right = rng.random(500) < sure**2
    total = 0.0
    for low in np.arange(15) / 15:
        inside = (sure >= low) & (sure < low + 1 / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    assert calibration_error(right, sure) == pytest.approx(total)


def test_a_sigmoid_is_no_logit_and_no_softmax():
    words = Vocabulary(["rain", "goal"], padded=True)
    options = {"num_classes": 2, "vocabulary_size": words.num_ids, "units": 4}
    model = build_classifier(activation="sigmoid", **options)
    found = Classifier(model, ["a", "b"], words).predict_proba(["rain goal"])
    np.testing.assert_allclose(found, model(np.array([[2, 3]])), atol=1e-6)
    assert found.sum() != pytest.approx(1)


def test_a_test_file_of_texts_may_have_several_labels_where_training_has_one(tmp_path):
    one, two = tmp_path / "one.txt", tmp_path / "two.txt"
    one.write_text("__label__a so it is\n__label__b it is not\n" * 9)
    two.write_text("__label__b __label__a so it was\n__label__a it was\n" * 9)
    for path, test in ((one, two), (two, one)):
        data = load_texts(path, test=test, validation_split=0)
        assert data.several and data.labels == ("a", "b") and not data.unseen_labels
        assert data.test.y[:2].tolist() == ([[1, 1], [1, 0]] if test == two else [[1, 0], [0, 1]])
    folder = tmp_path / "folder"
    folder.mkdir()
    for part, times in {"train": 9, "test": 2}.items():
        (folder / f"a_{part}.txt").write_text("__label__a so\n__label__b not\n" * times)
    assert len(load_texts(one, test=folder).test) == 4


def test_labels_that_are_numbers_are_in_their_order():
    data = Texts.from_lists(["one", "two", "three"] * 9, ["9", "10", "-1"] * 9)
    assert data.labels == ("-1", "9", "10")


def test_texts_in_a_file_are_those_in_memory(tmp_path, monkeypatch):
    from kerasrnn import load_texts
    from kerasrnn.data import storage
    from kerasrnn.data.storage import FileArray

    rng = np.random.default_rng(0)
    rows = [" ".join(rng.choice(["né", "b", "c,", "d"], rng.integers(0, 9))) for _ in range(400)]
    lines = [f'"{text}",{label}' for text, label in zip(rows, "xy" * 200, strict=True)]
    (tmp_path / "t.csv").write_text("text,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    options = {"max_length": 5, "level": "word"}
    whole = load_texts(tmp_path / "t.csv", **options)
    monkeypatch.setattr(storage, "_IN_MEMORY", 100)
    monkeypatch.setattr("kerasrnn.data.texts._TOKENS", 7)
    monkeypatch.setattr("kerasrnn.data.texts._TEXTS", 3)
    stored = load_texts(tmp_path / "t.csv", **options)
    assert isinstance(stored.train.x, FileArray) and isinstance(whole.train.x, np.ndarray)
    assert stored.fingerprint() == whole.fingerprint() and str(stored) == str(whole)
    assert [*stored.test.texts(stored.vocabulary, " ")] == [
        *whole.test.texts(whole.vocabulary, " ")
    ]


def test_a_number_as_label_takes_its_first_levels(tmp_path):
    kinds = ["DESC:manner", "HUM:ind", "HUM:gr", "NUM:date:year"]
    lines = [f"{kind} what is said here {n}" for n in range(9) for kind in kinds]
    for part in ("train", "test"):
        (tmp_path / f"kinds.{part}").write_text("\n".join(lines))
    path = tmp_path / "kinds.train"
    assert len(load_texts(path).labels) == 4
    data = load_texts(path, roles=Roles(label="1"))
    assert data.labels == ("DESC", "HUM", "NUM") and data.reading["label_level"] == 1
    assert load_texts(path, roles=Roles(label="2")).labels[-1] == "NUM:date"
    read = read_inputs(str(tmp_path / "kinds.test"), data.reading, labels=data.labels)
    assert {label for part in read for label in part.labels} == {*data.labels}
    with pytest.raises(InputError, match="labels of no more than 3 levels"):
        load_texts(path, roles=Roles(label="3"))
    with pytest.raises(InputError, match="columns of what is no table"):
        load_texts(path, roles=Roles(label="kind"))
