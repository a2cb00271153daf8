"""What examples.json shows, made ready to be drawn: pictures, lines, coloured words."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Sequence

import numpy as np

from kerasrnn.plotting.examples import is_image
from kerasrnn.reports.charts import Chart, Line, finite, line_chart

_LEVELS = 10  # of a colour
_MOST_LINES = 3  # of a sequence that are drawn as such; more are a picture
FORECAST = (("history", 4, False, 0), ("truth", 0, True, 0), ("forecast", 1, False, 1))  # legend
_WORDS = {"\n": "↵\n", "\t": "→", " ": "␣", "": "∅"}  # tokens that one would not see


def picture_of(given: dict) -> dict:
    """An input of a model as the page shows it: ``kind`` is text, tokens, image, heat or lines.

    given: ``{"text"}``, of which there may be ``"tokens"`` and the ``"saliency"`` of each; or
    ``{"values": [[…features] …steps], "features": names}``.

    >>> picture_of({"text": "a film"})
    {'kind': 'text', 'text': 'a film'}
    """
    if "saliency" in given:
        return {"kind": "tokens", "tokens": _salient(given["tokens"], given["saliency"])}
    if "text" in given:
        return {"kind": "text", "text": f"{given['text']}"}
    values = [row if isinstance(row, list) else [row] for row in given["values"]]
    steps, wide = len(values), max(map(len, values))
    if wide <= _MOST_LINES:
        return {"kind": "lines", "chart": _lines(values, given)}
    image = is_image(np.array(values, float))
    rows = values if image else [*map(list, zip(*values, strict=True))]  # time goes to the right
    kind = "image" if image else "heat"
    said = f"{steps} steps of {wide} values"
    return {"kind": kind, "source": f"data:image/png;base64,{png(rows)}", "said": said}


def _salient(tokens, saliency):
    """Pairs of a token and its level, the highest that of the most salient one."""
    values = [abs(value) if finite(value) else 0 for value in saliency]
    most = max(values, default=0) or 1
    levels = [round((_LEVELS - 1) * value / most) for value in values]
    gap = "" if all(len(f"{token}") == 1 for token in tokens) else " "
    return [(f"{token}{gap}", level) for token, level in zip(tokens, levels, strict=False)]


def _lines(values, given):
    names = given.get("features") or [""] * len(values[0])
    stride = given.get("stride", 1)
    steps = range(0, stride * len(values), stride)
    lines = [
        Line(f"{name}", [*steps], [row[index] for row in values], colour=index)
        for index, name in enumerate(names)
    ]
    return line_chart(lines, "", "step", whole=True)


def png(rows: Sequence[Sequence[float]]) -> str:
    """Numbers (height, width) as the base64 of a grey PNG, the highest black.

    >>> png([[0.0, 1.0]])[:12]
    'iVBORw0KGgoA'
    """
    there = [value for row in rows for value in row if finite(value)]
    low, high = min(there, default=0), max(there, default=1)
    span = (high - low) or 1
    shades = b"".join(
        b"\0" + bytes(255 - round(255 * ((v if finite(v) else low) - low) / span) for v in row)
        for row in rows
    )
    size = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", size), (b"IDAT", zlib.compress(shades, 9)), (b"IEND", b""))
    data = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + data).decode()


def level_of(probability) -> int:
    """The place of a probability in the scale of colours, 0 for what was hardly expected.

    By its logarithm, down to 0.001: most guesses among many tokens are small.

    >>> level_of(1.0), level_of(0.1), level_of(0.0001)
    (9, 6, 0)
    """
    if not finite(probability) or probability <= 0:
        return 0
    return max(0, min(_LEVELS - 1, math.ceil(_LEVELS * (1 + math.log10(probability) / 3)) - 1))


def seen(token) -> str:
    """A token so that one sees it.

    >>> seen(" "), seen("time")
    ('␣', 'time')
    """
    return _WORDS.get(token, f"{token}")


def passage_of(row: dict, char: bool) -> dict:
    """Tokens with the level of each probability: ``tokens`` are (text, level, probability).

    char: whether the tokens are characters.
    """
    pairs = [*zip(row["tokens"], row["probabilities"], strict=False)]
    tokens = [(_broken(token), level_of(p), p) for token, p in pairs]
    losses = [-math.log(max(p, 1e-12)) for _, p in pairs if finite(p)]
    perplexity = math.exp(sum(losses) / len(losses)) if losses else None
    return {"tokens": tokens, "char": char, "perplexity": perplexity}


def sentence_of(row: dict, colours: dict) -> list[tuple]:
    """Of each token of a tagged sentence (token, predicted, colour, true or None, probability).

    What is true is there where it is another label. colours: of labels; new ones are added.
    """
    tokens, probabilities = [], row.get("probabilities") or [None] * len(row["tokens"])
    for token, true, predicted, p in zip(
        row["tokens"], row["true"], row["predicted"], probabilities, strict=False
    ):
        colour = colours.setdefault(f"{predicted}", len(colours) % 8)
        tokens.append((f"{token}", f"{predicted}", colour, true if true != predicted else None, p))
    return tokens


def blanks_of(row: dict, char: bool) -> dict:
    """A text with blanks: ``tokens`` are (text, None), or of a blank whether the model fills it.

    ``blanks`` are these with the candidates for each.
    """
    tokens, blanks = [], []
    for place, token in enumerate(row["tokens"]):
        if token is not None:
            tokens.append((_broken(token), None))
            continue
        true, candidates = row["true"][f"{place}"], row["candidates"].get(f"{place}", [])
        right = bool(candidates) and candidates[0][0] == true
        tokens.append((seen(true), right))
        candidates = [(seen(token), p) for token, p in candidates]
        blanks.append({"true": seen(true), "candidates": candidates, "right": right})
    return {"tokens": tokens, "char": char, "blanks": blanks}


def _broken(token):
    """A token of a text, where a line end is seen too."""
    return seen(token) if token == "\n" else f"{token}"


def forecast_of(row: dict, title: str) -> Chart:
    """The chart of a forecast: history, truth, forecast and the band of its outer quantiles."""
    history, truth, forecast = row["history"], row["truth"], row["forecast"]
    levels, band = row.get("quantiles") or [], []
    if isinstance(forecast[0], list):
        band = [(values[0], values[-1]) for values in forecast]
        middle = min(range(len(levels)), key=lambda index: abs(levels[index] - 0.5))
        forecast = [values[middle] for values in forecast]
    steps = range(1, len(forecast) + 1)
    name = f"forecast, {levels[0]:g} to {levels[-1]:g} shaded" if band else "forecast"
    lines = [
        Line("history", [*range(1 - len(history), 1)], history, ("history",), 4),
        Line("truth", steps[: len(truth)], truth, ("truth",), 0, dashed=True),
        Line(name, steps, forecast, ("forecast",), 1, band=band),
    ]
    return line_chart(lines, title, "step from the last value seen", whole=True)
