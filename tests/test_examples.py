"""What an evaluation leaves for pictures: examples.json, calibration, positions, distributions."""

import json
from itertools import pairwise

import numpy as np
import pytest
from conftest import invoke

from kerasrnn import Corpus, evaluation, load_corpus, load_dataset
from kerasrnn.plotting import FIGURES, find, save
from kerasrnn.tasks import examples
from kerasrnn.tasks.scores import label_scores

MOST = 300_000  # bytes of examples.json


def left(run, name="examples.json"):
    return json.loads((run.path / name).read_text())


def test_the_mistakes_of_a_classifier_are_those_of_the_test_part(digit_run):
    data, mistakes = load_dataset("digits"), left(digit_run)["mistakes"]
    wrong = round((1 - digit_run.metrics()["test"]["accuracy"]) * len(data.test))
    assert len(mistakes) == min(wrong, examples.MISTAKES)
    sure = [one["probability"] for one in mistakes]
    assert sure == sorted(sure, reverse=True)
    for one in mistakes:
        (row,) = np.flatnonzero((data.test.x == one["input"]["values"]).all((1, 2)))
        assert data.labels[data.test.y[row]] == one["true"] != one["predicted"]
    assert (digit_run.path / "examples.json").stat().st_size < MOST


def test_the_bins_of_calibration_hold_every_case_and_give_its_error(digit_run):
    metrics = digit_run.metrics()
    sure, right, counts = np.array([[*one.values()] for one in metrics["calibration"]]).T
    assert counts.sum() == sum(row["support"] for row in metrics["labels"].values()) == 360
    error = (np.abs(sure - right) * counts).sum() / counts.sum()
    assert error == pytest.approx(metrics["test"]["calibration_error"], abs=1e-6)
    assert np.trace(metrics["confusion"]["counts"]) == (right * counts).sum().round()


def test_sureness_of_several_labels_is_that_of_each():
    y, p = np.array([[1, 0], [0, 1]]), np.array([[0.75, 0.5], [0.25, 0.125]])
    right, sure = evaluation.sureness(y, p)
    assert right.tolist() == [True, False, True, False] and sure.tolist() == [
        0.75,
        0.5,
        0.75,
        0.875,
    ]


def test_a_run_says_how_its_labels_are_distributed(digit_run):
    found = digit_run.info["data"]["distribution"]
    data = load_dataset("digits")
    assert [*found] == ["labels"]  # all images are of one length
    assert found["labels"]["test"] == {
        label: int((data.test.y == index).sum()) for index, label in enumerate(data.labels)
    }
    assert [*found["labels"]] == ["train", "validation", "test"]


def test_the_lengths_of_all_parts_lie_in_the_same_bins():
    lines = ["ab", "abcde", "a" * 90] * 20
    edges, counts = Corpus.from_text("\n".join(lines), lines=True).distribution()["lengths"][
        "train"
    ]
    assert edges[0] == 2 and edges[-1] > 90 and len(edges) <= 32
    assert counts[0] == 18 and counts[1] == 18 and sum(counts) == 54


def test_a_generator_tells_its_perplexity_by_position_and_token(text_run, tmp_path):
    metrics, found = text_run.metrics(), left(text_run)
    positions = metrics["positions"]
    assert positions["step"][:3] == [1, 2, 4] and len(positions["perplexity"]) >= 3
    data = load_corpus(*text_run.info["data"]["source"])
    (passage,) = found["passages"]
    tokens = data.vocabulary.decode(data.validation)
    assert passage["tokens"] == tokens and len(tokens) < 300
    loss = -np.log(passage["probabilities"]).mean()
    assert loss == pytest.approx(metrics["validation"]["loss"], rel=1e-3)
    assert [one["seed"] for one in found["samples"]] == [0, 1]
    assert found["samples"][0]["text"] != found["samples"][1]["text"]


def test_long_and_wide_sequences_are_thinned_out():
    long = examples.sequence(np.zeros((1200, 1)), ["height"])
    assert long["stride"] == 3 and len(long["values"]) == 400 and long["features"] == ["height"]
    wide = examples.sequence(np.full((500, 40), 0.123456), [str(n) for n in range(40)])
    assert len(wide["values"][0]) == len(wide["features"]) == 25
    assert wide["values"][0][0] == 0.1235
    assert len(examples.kept({"input": wide} for _ in range(24))) < 24


def test_the_surest_mistakes_of_all_batches_are_kept():
    rng = np.random.default_rng(0)
    batches = []
    for number in range(3):
        found = rng.dirichlet([1, 1], 40)
        names = [f"{number}-{row}" for row in range(40)]
        batches.append((found, ["a"] * 40, examples.shown(names, None)))
    kept = label_scores(batches, ["a", "b"], None, "here", None).examples["mistakes"]
    wrong = [
        (found[row, 1], f"{number}-{row}")
        for number, (found, *_) in enumerate(batches)
        for row in range(40)
        if found[row, 1] > 0.5
    ]
    surest = [name for _, name in sorted(wrong, reverse=True)[: examples.MISTAKES]]
    assert [one["input"]["text"] for one in kept] == surest
    assert {(one["true"], one["predicted"]) for one in kept} == {("a", "b")}


def test_a_tagger_shows_the_sentences_with_the_surest_mistakes():
    tokens = [["a", "b"], ["c"], ["d"] * 500]
    y = np.zeros(503, int)
    found = np.tile([0.9, 0.1], (503, 1))
    found[1], found[450] = [0.3, 0.7], [0.2, 0.8]
    long, short = examples.tagged(tokens, y, found, ["X", "Y"])
    assert short["tokens"] == ["a", "b"] and short["predicted"] == ["X", "Y"]
    assert short["probabilities"] == [0.9, 0.7] and short["true"] == ["X", "X"]
    assert len(long["tokens"]) == 200 and long["predicted"].count("Y") == 1


def test_evaluate_leaves_examples_of_other_data_too(digit_run, workplace):
    invoke("evaluate", digit_run.path, "digits", "-o", "scores")
    assert json.loads((workplace / "scores/examples.json").read_text()) == left(digit_run)


CELLS = {"tokens": ["a", "b\n"], "probabilities": [0.9, 0.001]}
SCORE = {"precision": 0.5, "recall": 1.0, "f1": 0.67, "support": 4}
MANY = {f"a class of the number {n}": SCORE for n in range(60)}
LEFT = {
    "confusion": {"labels": [*map(str, range(50))], "counts": np.eye(50, dtype=int).tolist()},
    "labels": MANY,
    "calibration": [
        {"confidence": 0.5, "accuracy": 1.0, "count": 2},
        {"confidence": 0.9, "accuracy": 0.8, "count": 20},
    ],
    "positions": {"step": [1, 2, 3], "perplexity": [9.0, 5.0, 4.0]},
    "sentences": [CELLS | {"true": ["X", "Y"], "predicted": ["Y", "Y"]}],
    "passages": [CELLS],
    "blanks": [
        {"tokens": ["a", None], "true": {"1": "b"}, "candidates": {"1": [["c", 0.5], ["d", 0.1]]}}
    ],
    "forecasts": [{"history": [1, 2], "truth": [3], "forecast": [2.5], "quantiles": []}],
    "data": {
        "distribution": {
            "labels": {"train": {"a": 3, "b": 1}, "test": {"a": 1, "b": 0}},
            "lengths": {"train": [[1, 5, 9], [3, 1]], "test": [[1, 5, 9], [1, 0]]},
        }
    },
}
IMAGE = {"values": (np.arange(64).reshape(8, 8) % 17).tolist()}
SERIES = {"values": [[1.5], [0.5], [2.5]]}
MAP = {"values": np.random.default_rng(0).normal(size=(20, 5)).tolist()}
WORDS = {"text": "so so", "tokens": ["so", "so"], "saliency": [0.1, 0.5]}
SAID = {"true": "a", "predicted": "b", "probability": 0.9}


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "mistakes"])
def test_each_figure_is_drawn_of_what_is_left(name, tmp_path):
    found = find(FIGURES[name], LEFT)
    save(tmp_path / "a.svg", lambda ax: FIGURES[name].draw(found, ax), style="dark")
    assert (tmp_path / "a.svg").stat().st_size > 5000


@pytest.mark.parametrize(
    ("given", "images", "lines"), [(IMAGE, 1, 0), (SERIES, 0, 1), (MAP, 1, 0), (WORDS, 0, 0)]
)
def test_mistakes_are_shown_as_what_they_are(given, images, lines):
    from kerasrnn.plotting import plot_mistakes

    ax = plot_mistakes([SAID | {"input": given}])
    (small,) = ax.child_axes or [ax]
    assert (len(small.images), len(small.lines)) == (images, lines)
    said = " ".join(text.get_text() for text in ax.texts)
    assert "b 0.90" in said and "true: a" in said


def test_labels_of_fifty_classes_do_not_overlap():
    import matplotlib.pyplot as plt

    from kerasrnn.plotting import plot_confusion

    labels = [f"label {n}" for n in range(50)]
    ax = plot_confusion(np.eye(50, dtype=int), labels)
    ax.figure.canvas.draw()
    for axis, side in ((ax.xaxis, 0), (ax.yaxis, 1)):
        boxes = [label.get_window_extent().get_points()[:, side] for label in axis.get_ticklabels()]
        boxes = sorted(map(tuple, boxes))
        assert all(one[1] <= other[0] for one, other in pairwise(boxes))
    plt.close(ax.figure)
