import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

from kerasrnn import InputError, plot_confusion, plot_history
from kerasrnn.plotting import metrics_in, plot_histories, plot_tokens, save, save_curves

HISTORY = {
    "epoch": [1, 2],
    "accuracy": [0.5, 0.75],
    "loss": [2.0, 1.0],
    "val_accuracy": [0.4, 0.5],
    "val_loss": [2.5, 2.25],
    "learning_rate": [0.1, 0.1],
    "seconds": [1.0, 1.0],
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_training_and_validation_are_drawn_with_titles_and_legend(metric):
    ax = plot_history(HISTORY, metric)
    assert metric in ax.get_title().lower() and metric in ax.get_ylabel()
    assert ax.get_xlabel() == "epoch"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["training", "validation"]
    training, validation = ax.get_lines()
    assert training.get_xdata().tolist() == [1, 2]
    assert training.get_ydata().tolist() == HISTORY[metric]
    assert validation.get_ydata().tolist() == HISTORY[f"val_{metric}"]


def test_a_keras_history_without_epochs_or_validation(close_figures):
    ax = plot_history({"loss": [3.0]})
    assert [line.get_xdata().tolist() for line in ax.get_lines()] == [[1]]


def test_several_runs_share_the_given_axes_each_in_its_colour():
    _, ax = plt.subplots()
    assert plot_histories({"one": HISTORY, "two": HISTORY}, "loss", ax) is ax
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["one, training", "one, validation", "two, training", "two, validation"]
    colors = [line.get_color() for line in ax.get_lines()]
    assert colors[0] == colors[1] != colors[2] == colors[3]


def test_what_is_drawn_and_what_is_not():
    assert metrics_in(HISTORY) == ["accuracy", "loss"]
    with pytest.raises(InputError, match="no 'f1' in the history: found accuracy, loss"):
        plot_history(HISTORY, "f1")
    with pytest.raises(InputError, match="no finished epoch"):
        plot_history({})


def test_confusion_matrix():
    ax = plot_confusion(np.array([[3, 1], [0, 2]]), ("a", "b"))
    assert ax.get_xlabel() == "predicted label" and ax.get_ylabel() == "true label"
    assert [text.get_text() for text in ax.texts] == ["3", "1", "0", "2"]


@pytest.mark.parametrize(
    ("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_the_suffix_chooses_the_format(tmp_path, suffix, start):
    path = save(tmp_path / f"a.{suffix}", lambda ax: plot_history(HISTORY, "loss", ax))
    assert path.read_bytes().startswith(start)


@pytest.mark.parametrize("name", ["a.xyz", "a.pgf", "a", ""])  # .pgf would need LaTeX
def test_an_unknown_suffix_is_named(tmp_path, name):
    with pytest.raises(InputError, match=r"unknown picture format: .*expected .png, .svg or .pdf"):
        save(tmp_path / name if name else name, lambda ax: None)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_several_metrics_of_several_runs(tmp_path):
    path = save_curves(tmp_path / "a.svg", {"one": HISTORY, "two": HISTORY}, ["loss", "accuracy"])
    assert path == tmp_path / "a.svg"
    width, height = (
        float(n) for n in re.search('width="(.*?)pt" height="(.*?)pt"', path.read_text()).groups()
    )
    assert width == pytest.approx(2 * 6.4 * 72) and height == pytest.approx(4.8 * 72)
    with pytest.raises(InputError, match="no 'f1' in the history"):
        save_curves(tmp_path / "b.svg", {"one": HISTORY}, ["f1"])
    with pytest.raises(InputError, match="no history to draw"):
        plot_histories({})
    assert [file.name for file in tmp_path.iterdir()] == ["a.svg"]


def test_tokens_are_drawn_in_the_colours_of_their_labels():
    pairs = [("time", "N"), ("flies", "V"), ("like\n", "P"), ("an", "D"), ("arrow", "N")]
    ax = plot_tokens([pairs, [("x" * 80, "N")]])
    assert [text.get_text() for text in ax.texts] == [
        "time",
        "flies",
        "like↵",
        "an",
        "arrow",
        "x" * 80,
    ]
    rows = [text.get_position()[1] for text in ax.texts]
    assert rows[0] == rows[2] < rows[3] == rows[4] < rows[5]
    colours = [patch.get_facecolor() for patch in ax.patches]
    assert colours[0] == colours[4] == colours[5] and len(set(colours)) == 4
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["D", "N", "P", "V"]
