"""A table, a folder or readings of one's own: trained on, predicted back, scored, exported."""

import csv
import io
import json
import random

import numpy as np
import pyarrow.parquet as parquet
import pytest
from conftest import invoke, refused
from factories import columns

from kerasrnn.data.inputs import read_inputs

WORDS = {"good": ("fine", "lovely", "great"), "bad": ("poor", "awful", "dull")}


def write_reviews(path, number, seed=0, label="mood"):
    """A table of texts with an id, the label also being in the text."""
    rng = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "review", label])
        for row in range(number):
            mood = rng.choice(sorted(WORDS))
            words = " and ".join(rng.choices(WORDS[mood], k=3))
            writer.writerow([f"r{row}", f'It was {words}, "really".', mood])
    return path


@pytest.fixture(scope="module")
def moods(tmp_path_factory):
    """A run on a table of reviews, and an export of it."""
    folder = tmp_path_factory.mktemp("moods")
    data = write_reviews(folder / "reviews.csv", 200)
    options = ["--epochs", "6", "--units", "8", "--dropout", "0", "--batch-size", "8"]
    invoke("train", data, *options, "-o", folder / "run", "-q")
    invoke("export", folder / "run", "-o", folder / "export", "--no-check", "-q")
    return folder


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.slow
def test_predictions_stand_beside_all_columns_of_a_table(moods, tmp_path):
    data = write_reviews(tmp_path / "new.csv", 30, seed=1)
    given = rows_of(data.read_text())
    answers = rows_of(invoke("predict", moods / "run", data).stdout)
    assert [*answers[0]] == ["key", "review", "mood", "label", "probability"]
    assert [{name: row[name] for name in given[0]} for row in answers] == given
    assert [row["label"] for row in answers] == [row["mood"] for row in given]
    assert answers == rows_of(invoke("predict", moods / "export", data).stdout)
    assert answers == rows_of(invoke("predict", moods / "run", "-", text=data.read_text()).stdout)


@pytest.mark.slow
def test_a_predicted_column_takes_no_column_of_the_table(moods, tmp_path):
    data = write_reviews(tmp_path / "new.csv", 5, label="label")
    said = refused("evaluate", moods / "run", data)
    assert "no labels to score by" in said
    answers = rows_of(invoke("predict", moods / "run", data).stdout)
    assert [*answers[0]] == ["key", "review", "label", "predicted_label", "probability"]


@pytest.mark.slow
def test_predictions_are_the_same_in_every_format(moods, tmp_path):
    data = write_reviews(tmp_path / "new.csv", 9)
    text = invoke("predict", moods / "run", data).stdout
    for suffix in ("csv", "tsv", "jsonl", "parquet"):
        invoke("predict", moods / "run", data, "-o", tmp_path / f"out.{suffix}", "-q")
    expected = [row | {"probability": float(row["probability"])} for row in rows_of(text)]
    assert (tmp_path / "out.csv").read_text() == text
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == expected
    assert parquet.read_table(tmp_path / "out.parquet").to_pylist() == expected
    said = rows_of((tmp_path / "out.tsv").read_text().replace("\t", ","))
    assert [row["label"] for row in said] == [row["label"] for row in expected]


@pytest.mark.slow
def test_a_label_that_training_never_saw_counts_as_wrong(moods, tmp_path):
    data = write_reviews(tmp_path / "new.csv", 20)
    known = json.loads(invoke("evaluate", moods / "run", data, "--json").stdout)
    assert known["test"]["accuracy"] == 1
    data.write_text(data.read_text() + "r20,It was fine,strange\n")
    result = invoke("evaluate", moods / "run", data, "-o", tmp_path / "scores")
    assert "labels that training never saw count as wrong: 'strange' (1)" in result.stderr
    scores = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert scores["test"]["accuracy"] == pytest.approx(20 / 21)
    assert scores["confusion"]["labels"] == ["bad", "good", "strange"]
    assert np.sum(scores["confusion"]["counts"]) == 21
    assert (tmp_path / "scores" / "confusion.png").exists()
    again = refused("evaluate", moods / "run", data, "-o", tmp_path / "scores")
    assert "exists already" in again


@pytest.mark.slow
def test_a_missing_column_is_named_with_its_neighbour(moods, tmp_path):
    data = write_reviews(tmp_path / "new.csv", 5)
    data.write_text(data.read_text().replace("review", "reviw", 1))
    assert "did you mean 'reviw'?" in refused("predict", moods / "run", data)
    assert not (tmp_path / "out.csv").exists()


def test_a_table_is_read_in_batches(tmp_path):
    data = write_reviews(tmp_path / "large.csv", 120_000)
    parts = read_inputs(str(data), {"layout": "texts", "text": "review", "label": "mood"})
    sizes = [len(part.inputs) for part in parts]
    assert sum(sizes) == 120_000
    assert max(sizes) < 100_000


def write_sensors(path, devices, labelled=True, seed=0):
    rng = np.random.default_rng(seed)
    lines = ["device,time,x,state"] if labelled else ["device,time,x"]
    for device in range(devices):
        for step in range(8 + device % 3):
            if rng.random() < 0.1 and step:
                continue  # a gap
            value = (device % 2) * 4 + rng.normal()
            state = f",{'ab'[device % 2]}" if labelled else ""
            lines.append(f"d{device},2024-01-01 00:00:{step:02},{value:.3f}{state}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.slow
def test_readings_with_gaps_are_predicted_by_device(tmp_path):
    data = write_sensors(tmp_path / "sensors.csv", 60)
    options = ["--epochs", "4", "--units", "4", "--stem-filters", "16", "--members", "1"]
    result = invoke("train", data, *options, "-o", tmp_path / "run")
    assert "rows are missing between the times" in result.stderr
    new = write_sensors(tmp_path / "new.csv", 6, labelled=False, seed=1)
    answers = rows_of(invoke("predict", tmp_path / "run", new).stdout)
    assert [row["device"] for row in answers] == [f"d{device}" for device in range(6)]
    assert [row["label"] for row in answers] == ["a", "b"] * 3


@pytest.mark.slow
def test_a_tagger_scores_other_columns_as_its_own(tmp_path):
    sentences = [f"Ann/B-PER saw/O {city}/B-LOC" for city in ("Rome", "Oslo")]
    for name, number in {"train": 20, "test": 5}.items():
        (tmp_path / f"{name}.conll").write_text(columns(*sentences * number))
    options = ["--epochs", "2", "--units", "4", "--min-frequency", "1"]
    invoke("train", tmp_path, *options, "-o", tmp_path / "run", "-q")
    own = json.loads((tmp_path / "run" / "metrics.json").read_text())
    found = invoke("evaluate", tmp_path / "run", tmp_path / "test.conll", "--json").stdout
    found = json.loads(found)
    assert {name: found[name] for name in ("test", "labels", "entities")} == {
        name: own[name] for name in ("test", "labels", "entities")
    }
    assert found == json.loads(invoke("evaluate", tmp_path / "run", tmp_path, "--json").stdout)


@pytest.mark.parametrize("together", [True, False])
def test_a_large_table_of_readings_is_read_by_pieces_as_at_once(tmp_path, monkeypatch, together):
    from kerasrnn.data import layouts
    from kerasrnn.data.readers import delimited
    from kerasrnn.data.sources import read_source

    data = write_sensors(tmp_path / "sensors.csv", 200)
    if not together:
        header, *rows = data.read_text().splitlines()
        data.write_text("\n".join([header, *rows[1::2], *rows[::2]]) + "\n")
    with pytest.warns(UserWarning, match="rows are missing"):
        expected = read_source(str(data)).parts["training"]
    monkeypatch.setattr(layouts, "_SMALL", 0)
    monkeypatch.setattr(delimited, "_CHUNK", 1000)
    with pytest.warns(UserWarning, match="rows are missing"):
        found = read_source(str(data)).parts["training"]
    for whole, piecewise in zip(expected, found, strict=True):
        np.testing.assert_array_equal(whole, piecewise)
