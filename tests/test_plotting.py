import itertools
import math
import re

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from kerasrnn import InputError, plot_confusion, plot_history
from kerasrnn.options import STYLES, TASKS
from kerasrnn.plotting import (
    best_epoch,
    contrast,
    draw_text,
    metrics_in,
    palette,
    plot_histories,
    plot_mistakes,
    plot_tokens,
    save,
    save_curves,
    smoothed,
    styled,
    with_speed,
)

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
    assert [text.get_text() for text in ax.texts] == ["3", "1", "2"]


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


@pytest.mark.parametrize("style", STYLES)
def test_lines_and_text_stand_out_from_their_ground_and_are_large_enough_to_be_printed(style):
    with styled(style):
        ax = plot_history(HISTORY)
        ax.figure.canvas.draw()
    ground = ax.get_facecolor()
    assert to_hex(ground) == to_hex(ax.figure.get_facecolor())
    texts = [ax.title, ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels()]
    texts += [*ax.get_legend().get_texts(), ax.get_legend().get_title()]
    assert all(contrast(text.get_color(), ground) >= 4.5 for text in texts)
    assert all(text.get_fontsize() * 3.4 / 6.4 > 6 for text in texts)  # points in a column
    assert all(contrast(colour, ground) >= 3 for colour in palette(ax)) and len(palette(ax)) >= 5
    assert [line.get_color() for line in ax.get_lines()] == palette(ax)[:2]
    ax.set_facecolor("#AAAAAA")
    assert len(palette(ax)) == 5  # though few are seen well there


# Machado, Oliveira & Fernandes 2009, "A physiologically-based model for simulation of color vision
# deficiency": protanopia, deuteranopia and tritanopia, of linear RGB.
BLINDNESS = (
    ((0.1523, 1.0526, -0.2049), (0.1145, 0.7863, 0.0992), (-0.0039, -0.0481, 1.0520)),
    ((0.3673, 0.8606, -0.2280), (0.2801, 0.6725, 0.0474), (-0.0118, 0.0429, 0.9689)),
    ((1.2555, -0.0767, -0.1788), (-0.0784, 0.9308, 0.1476), (0.0047, 0.6914, 0.3039)),
)
TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seen", [np.eye(3), *BLINDNESS])
def test_the_colour_blind_tell_the_lines_apart(style, seen):
    def lab(colour):
        rgb = np.array(to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        xyz = TO_XYZ @ np.clip(seen @ linear, 0, 1) / (0.9505, 1, 1.089)
        x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    with styled(style):
        colours = palette(plt.subplots()[1])
    pairs = itertools.combinations(map(lab, colours), 2)
    assert min(np.linalg.norm(one - other) for one, other in pairs) > 15  # 2.3 is just seen


def test_a_style_leaves_matplotlib_as_it_was(tmp_path):
    before = dict(matplotlib.rcParams)
    save(tmp_path / "a.svg", lambda ax: plot_history(HISTORY, ax=ax), 1, "dark")
    assert dict(matplotlib.rcParams) == before
    with pytest.raises(InputError, match="unknown style: found 'grey'; expected light or dark"):
        save(tmp_path / "a.svg", lambda ax: None, 1, "grey")


def test_smoothing_is_that_of_tensorboard_with_the_values_behind():
    values, weight = [3.0, 1.0, math.nan, 2.0], 0.6
    average, expected = 0, []
    for count, value in enumerate([3.0, 1.0, 2.0], 1):
        average = average * weight + (1 - weight) * value
        expected.append(average / (1 - weight**count))
    expected.insert(2, math.nan)
    np.testing.assert_allclose(smoothed(values, weight), expected)
    raw, line = plot_history({"loss": values}, smoothing=weight).get_lines()
    np.testing.assert_allclose(raw.get_ydata(), values)
    np.testing.assert_allclose(line.get_ydata(), expected)
    assert raw.get_alpha() < 0.5 and raw.get_color() == line.get_color()
    with pytest.raises(InputError, match="smoothing out of range: found 1"):
        plot_history({"loss": values}, smoothing=1)


def test_a_ring_marks_the_best_epoch_as_training_judges_it():
    from kerasrnn.tasks import task_of

    histories = {task: {"val_loss": [2.0, math.nan, 1.5, 1.5]} for task in TASKS}
    histories["tagger"]["val_entity_f1"] = [0.0, 0.25, 0.5, 0.25]
    for task, history in histories.items():
        rows = [
            dict(zip(history, values, strict=True))
            for values in zip(*history.values(), strict=True)
        ]
        best = math.inf
        for index, row in enumerate(rows):
            if task_of(task).monitored(row) < best:
                best, chosen = task_of(task).monitored(row), index
        assert best_epoch(history) == chosen == 2
    assert best_epoch({"loss": [1.0]}) is None and best_epoch({"val_loss": [math.nan]}) is None
    ax = plot_history(HISTORY, "accuracy")
    assert [ring.get_offsets().tolist() for ring in ax.collections] == [[[2.0, 0.5]]]
    assert ax.get_legend().get_title().get_text() == "○ best epoch: 2"
    assert not plot_history({"loss": [2.0, 1.0]}).collections


def test_of_twelve_runs_each_has_its_colour_and_marker_and_one_entry_in_the_legend():
    ax = plot_histories({f"run {n}": HISTORY for n in range(12)}, "loss")
    looks = {(line.get_color(), line.get_marker()) for line in ax.get_lines()}
    assert len(looks) == 12 and len(ax.get_lines()) == 24
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == [*(f"run {n}" for n in range(12)), "training", "validation"]
    ax = plot_histories({"one": HISTORY, "two": HISTORY}, "val_loss")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]
    assert ax.get_ylabel() == "validation loss"


@pytest.mark.parametrize("smoothing", [-1, 1, 2, math.nan])
@pytest.mark.parametrize("draw", [plot_history, lambda *a, **b: draw_text({"": a[0]}, **b)])
def test_smoothing_is_from_0_to_below_1(draw, smoothing):
    with pytest.raises(InputError, match="smoothing out of range"):
        draw(HISTORY, smoothing=smoothing)


def test_labels_of_mistakes_are_cut_where_they_are_too_long():
    names = ("Straightforward", "Iris-versicolor", "Iris-virginica_x", "so so")
    wrong = {"input": {"values": [[0.5], [1.5]]}, "true": "Iris", "probability": 0.5}
    ax = plot_mistakes([wrong | {"predicted": name} for name in names])
    said = [text.get_text().split(" 0.50")[0] for text in ax.texts]
    assert said == ["Straightforwa…", "Iris-versicol…", "Iris-virginic…", "so so"]


def test_a_learning_rate_that_spans_decades_has_a_logarithmic_axis():
    assert plot_history(HISTORY, "learning_rate").get_yscale() == "linear"
    ax = plot_history({"learning_rate": [1e-1, 1e-3]}, "learning_rate", smoothing=0.5)
    assert ax.get_yscale() == "log"
    assert [line.get_ydata().tolist() for line in ax.get_lines()] == [[1e-1, 1e-3]]  # exact
    text = draw_text({"": {"learning_rate": [1e-1, 1e-3]}}, "learning_rate", smoothing=0.5)
    assert text.endswith("  0.001")


def test_the_speed_of_training_without_tokens_is_that_of_sequences():
    ax = plot_history(with_speed(HISTORY, 100), "sequences_per_second")
    assert ax.get_lines()[0].get_ydata().tolist() == [100, 100] and ax.get_ylim()[0] == 0
    assert with_speed(HISTORY, None) == HISTORY
    told = {**HISTORY, "tokens_per_second": [1, 2]}
    assert with_speed(told, 100) == told


def test_curves_as_text_fit_their_width_and_say_the_last_value_and_the_best():
    lines = draw_text({"": HISTORY}, width=40, height=6).splitlines()
    assert len(lines) == 10 and all(len(line) <= 40 and line.isascii() for line in lines)
    assert lines[1].split() == ["2.5", "|bbbbbbbbbbbbbb"] and lines[6].split()[0] == "1"
    assert lines[-2:] == ["a training    1", "b validation  2.25  best epoch 2: 2.25"]
    coloured = draw_text({"": HISTORY}, width=40, colour=True)
    assert "\x1b[38;5;" in coloured
    plain = re.sub("\x1b.*?m", "", coloured)
    assert all(len(line) <= 40 for line in plain.splitlines())
    assert any(0x2800 < ord(letter) < 0x2900 for letter in plain)
    broken = {"loss": [math.nan, math.inf]}
    assert draw_text({"": broken}).endswith("a training  no number")
    with pytest.raises(InputError, match="no 'f1' in the history"):
        draw_text({"": HISTORY}, "f1")
