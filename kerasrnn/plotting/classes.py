"""How a classifier or tagger does, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

_MOST_VALUES = 20  # classes up to which a confusion matrix shows its numbers


def plot_confusion(matrix: np.ndarray, labels: Sequence[str], ax: Axes | None = None) -> Axes:
    """Draw a confusion matrix, true labels down and predicted labels across.

    Args:
        matrix: counts, int (classes, classes), as ``evaluation.confusion`` gives them.
        labels: the names of the classes.
        ax: Axes to draw on; a new figure's by default.

    Returns:
        The Axes.

    >>> import numpy as np
    >>> plot_confusion(np.array([[3, 1], [0, 2]]), ["no", "yes"]).get_xlabel()
    'predicted label'
    """
    from sklearn.metrics import ConfusionMatrixDisplay

    few = len(labels) <= _MOST_VALUES
    display = ConfusionMatrixDisplay(matrix, display_labels=labels)
    display.plot(
        ax=ax,
        include_values=few,
        cmap="Blues",
        colorbar=not few,
        xticks_rotation="vertical" if max(map(len, labels)) > 2 else "horizontal",
    )
    display.ax_.set(xlabel="predicted label", ylabel="true label", title="Confusion matrix")
    return display.ax_
