"""The sections of the report of one run, each made ready for the macro that draws it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kerasrnn.history import PARTS, best_epoch, headline
from kerasrnn.reports import facts
from kerasrnn.reports.charts import COLOURS, MARKERS, Line, finite, histogram, line_chart
from kerasrnn.reports.examples import (
    FORECAST,
    blanks_of,
    forecast_of,
    passage_of,
    picture_of,
    sentence_of,
)
from kerasrnn.reports.network import read_network
from kerasrnn.runs import Run

_MOST_LABELS = 40  # of a confusion matrix
_MOST_ROWS = 200  # of a table of epochs
_PAIRS = 8  # of labels that are mistaken
_AFTER = ("learning_rate", "tokens_per_second", "seconds")  # the charts that come last
_PARTS = ("training", "validation")
_TITLES = {"seconds": "seconds of each epoch", "tokens_per_second": "tokens per second"}
_GAPS = 9  # levels of heat


class Section(NamedTuple):
    """A section of the page: ``kind`` is the macro of sections.html that draws ``value``."""

    id: str
    title: str
    kind: str
    value: object


def run_sections(run: Run) -> list[Section]:
    """All that there is to see of a run, but what its files do not hold."""
    metrics, examples = run.metrics(), facts.read_examples(run)
    histories = {one.path.name: one.history() for one in run.runs} or {"": run.history()}
    network = read_network(run.path / "best.keras") or read_network(run.path / "last.keras")
    settings = facts.settings_of(run)
    sections = [
        Section("curves", "Training curves", "curves", curves(histories)),
        Section("metrics", "Metrics", "metrics", metrics_of(metrics, run.runs)),
        *_of_labels(metrics),
        *_of_examples(examples, metrics, run.info["data"].get("level") == "char"),
        Section("data", "Data", "data", data_of(run)),
        Section("model", "Model", "model", network),
        Section("options", "Options", "options", grouped(settings)),
        Section("exports", "Export signatures", "exports", facts.exports_of(run)),
        Section("environment", "Environment", "facts", environment(run)),
        Section("files", "Files", "facts", _files(run)),
    ]
    return [section for section in sections if section.value]


def curves(histories: dict[str, dict]) -> dict | None:
    """Charts of what histories of runs hold, their legend and tables; None where there is none."""
    histories = {name: history for name, history in histories.items() if history.get("epoch")}
    names = [*dict.fromkeys(name for history in histories.values() for name in history)]
    metrics = [n for n in names if not n.startswith("val_") and n != "epoch" and n not in _AFTER]
    charts = [_curve(histories, metric) for metric in [*metrics, *_AFTER]]
    charts = [chart for chart in charts if chart]
    if not charts:
        return None
    several = len(histories) > 1
    parts = [(part, part == "validation") for part in _PARTS]
    if not any(name.startswith("val_") for name in names):
        parts = parts[:1]
    if several:
        legend = [
            (name, index % COLOURS, False, index % MARKERS) for index, name in enumerate(histories)
        ]
        legend += [(part, 4, dashed, None) for part, dashed in parts if len(parts) > 1]
    else:
        legend = [(part, number, number == 1, number) for number, (part, _) in enumerate(parts)]
    tables = [_numbers(name or "epochs", history) for name, history in histories.items()]
    epochs = max(len(history["epoch"]) for history in histories.values())
    thinned = math.ceil(epochs / _MOST_ROWS) if epochs > _MOST_ROWS else 0
    return {
        "charts": charts,
        "legend": legend,
        "tables": tables,
        "epochs": epochs,
        "thinned": thinned,
    }


def _curve(histories, metric):
    """The chart of one metric of histories, None where there is nothing to see."""
    lines, notes, several = [], [], len(histories) > 1
    for index, (name, history) in enumerate(histories.items()):
        for number, (part, column) in enumerate(
            zip(_PARTS, (metric, f"val_{metric}"), strict=True)
        ):
            values = history.get(column)
            if not values or (metric in _AFTER and column == "learning_rate" and _flat(values)):
                continue
            said = f"{name}, {part}" if several else part
            alone = metric in _AFTER
            keys = ((name,) if several else ()) + (() if alone else (part,))
            said = (name or metric.replace("_", " ")) if alone else said
            colour, dashed = (index, number == 1) if several else (number, number == 1)
            lines.append(Line(said, history["epoch"], values, keys, colour, dashed))
        best = best_epoch(history)
        if best is not None and not several and metric not in _AFTER:
            notes = [(history["epoch"][best], f"best epoch {history['epoch'][best]}")]
    title = facts.title_of(_TITLES.get(metric, metric))
    chart = line_chart(
        lines, title[:1].upper() + title[1:], "epoch", group="epochs", notes=notes, whole=True
    )
    return chart if lines else None


def _flat(values):
    return max(values) == min(values)


def _numbers(name, history):
    """A table of a history, thinned where it is long."""
    columns = [*history]
    rows = [*zip(*history.values(), strict=True)]
    every = math.ceil(len(rows) / _MOST_ROWS)
    kept = rows[::every] if (len(rows) - 1) % every == 0 else [*rows[::every], rows[-1]]
    return name, [column.replace("_", " ") for column in columns], kept


def metrics_of(metrics: dict, members: Sequence[Run] = ()) -> dict | None:
    """The table of metrics.json and what stands beside it; None where nothing was measured.

    members: the runs in a run.
    """
    rows, value_of = facts.table_of(metrics), facts.value_of
    if not rows:
        return None
    names = [*dict.fromkeys(name for row in rows for name in row.values)]
    part = next((row for row in reversed(rows) if row.kind == "part"), None)
    best = set()
    for name in names:
        rivals = {row.name: value_of(row, name) for row in rows if row.kind == "baseline"}
        if part and any(map(finite, rivals.values())):
            best.add((facts.best_of(name, rivals | {part.name: value_of(part, name)}), name))
    value = {
        "columns": [(name, facts.title_of(name)) for name in names],
        "rows": rows,
        "best": best,
        "more": [*_members(members), *_more(metrics)],
        "bars": [],
    }
    if found := headline(metrics):
        metric = found[1]
        bars = [(row.name, row.kind, value_of(row, metric)) for row in rows]
        bars = [bar for bar in bars if finite(bar[2])]
        most = max(max(abs(number) for *_, number in bars), 1e-12)
        most = 1.0 if most <= 1 and not facts.lower_is_better(metric) else most
        value |= {
            "headline": facts.title_of(metric),
            "lower": facts.lower_is_better(metric),
            "bars": [(*bar, abs(bar[2]) / most) for bar in bars] if len(bars) > 1 else [],
        }
    return value


def _members(runs) -> Iterator[tuple]:
    """A table of what each run in a run measured, by part."""
    tables = [{row.name: row.values for row in facts.table_of(run.metrics())} for run in runs]
    for part in PARTS:
        names = dict.fromkeys(name for table in tables for name in table.get(part, {}))
        rows = [
            (run.path.name, *(table.get(part, {}).get(name) for name in names))
            for run, table in zip(runs, tables, strict=True)
        ]
        if names:
            yield f"Each run, {part} part", ("run", *map(facts.title_of, names)), rows


def _more(metrics) -> Iterator[tuple]:
    """Further tables of metrics.json: n-grams, quantiles, a backtest."""
    if len(ngrams := metrics.get("ngrams", {})) > 1:
        rows = [(f"{order}-gram", loss, math.exp(min(loss, 700))) for order, loss in ngrams.items()]
        yield "n-gram models", ("order", "loss", "perplexity"), rows
    if quantiles := metrics.get("quantiles"):
        rows = [(level, row["coverage"], row["pinball"]) for level, row in quantiles.items()]
        yield "Quantiles", ("level", "share below it", "pinball loss"), rows
    if backtest := metrics.get("backtest"):
        rows = [(name, value) for name, value in backtest.items()]
        yield "Backtest", ("what", "value"), rows
    if shares := metrics.get("shares"):
        yield "The answer", ("what", "share of it"), [*shares.items()]


def _of_labels(metrics) -> Iterator[Section]:
    """The sections about labels: confusion, F1, calibration."""
    if confusion := metrics.get("confusion"):
        value = confusion_of(confusion["labels"], confusion["counts"])
        yield Section("confusion", "Confusion matrix", "confusion", value)
    tables = [(name, metrics.get(name)) for name in ("labels", "entities")]
    tables = [(name, [*table.items()]) for name, table in tables if table]
    yield Section("labels", "F1 of each label", "labels", tables)
    if bins := metrics.get("calibration"):
        x, y = ([row[name] for row in bins] for name in ("confidence", "accuracy"))
        lines = [
            Line("both the same", [0, 1], [0, 1], (), 4, True),
            Line("the model", x, y, ("the model",), 0),
        ]
        most = max(row["count"] for row in bins)
        error = next(
            (metrics[p].get("calibration_error") for p in PARTS if p in metrics),
            None,
        )
        value = {
            "chart": line_chart(lines, "Right against sure", "mean probability"),
            "bins": [(row, row["count"] / most) for row in bins],
            "error": error,
        }
        yield Section("calibration", "Calibration", "calibration", value)


def confusion_of(labels: list[str], counts: list[list[int]]) -> dict:
    """A confusion matrix for the page; of many labels the most frequent ones.

    >>> confusion_of(["no", "yes"], [[3, 1], [0, 2]])["pairs"]
    [('no', 'yes', 1, 1.0)]
    """
    order = sorted(range(len(labels)), key=lambda index: -sum(counts[index]))[:_MOST_LABELS]
    shown = sorted(order)
    rows = []
    for true in shown:
        total = sum(counts[true]) or 1
        cells = [
            (counts[true][k], math.ceil(_GAPS * counts[true][k] / total), k == true) for k in shown
        ]
        rows.append({"label": labels[true], "cells": cells})
    pairs = [
        (labels[true], labels[other], counts[true][other])
        for true in range(len(labels))
        for other in range(len(labels))
        if true != other and counts[true][other]
    ]
    pairs = sorted(pairs, key=lambda pair: -pair[2])[:_PAIRS]
    return {
        "labels": [labels[index] for index in shown],
        "rows": rows,
        "cut": len(labels) if len(labels) > _MOST_LABELS else 0,
        "pairs": [(*pair, pair[2] / pairs[0][2]) for pair in pairs],
    }


def _of_examples(examples, metrics, char) -> Iterator[Section]:
    """The sections of examples.json, and perplexity by position."""
    if mistakes := examples.get("mistakes"):
        cards = [one | {"picture": picture_of(one["input"])} for one in mistakes]
        numbers = "probability" not in mistakes[0]
        said = "What it got most wrong" if numbers else "The mistakes that it was surest of"
        value = {
            "cards": cards,
            "said": f"{said}, of the part that was evaluated.",
            "salient": any(card["picture"]["kind"] == "tokens" for card in cards),
        }
        yield Section("mistakes", "Mistakes", "mistakes", value)
    if sentences := examples.get("sentences"):
        colours = {}
        value = [sentence_of(one, colours) for one in sentences]
        yield Section("sentences", "Tagged sentences", "sentences", value)
    if forecasts := examples.get("forecasts"):
        value = {
            "id": "forecast",
            "said": "Forecasts of windows of the part that was evaluated, and what came to pass.",
            "charts": [
                forecast_of(one, f"Forecast {number} of {len(forecasts)}")
                for number, one in enumerate(forecasts, 1)
            ],
            "legend": FORECAST,
        }
        yield Section("forecasts", "Forecasts", "drawings", value)
    if samples := examples.get("samples"):
        yield Section("samples", "Generated text", "samples", samples)
    if passages := examples.get("passages"):
        value = [passage_of(one, char) for one in passages]
        yield Section("passages", "Probabilities of tokens", "passages", value)
    if blanks := examples.get("blanks"):
        yield Section("blanks", "Blanks", "blanks", [blanks_of(one, char) for one in blanks])
    if positions := metrics.get("positions"):
        steps = [math.log2(step) for step in positions["step"]]
        line = Line("perplexity", steps, positions["perplexity"], ("perplexity",))
        value = {
            "id": "position",
            "said": "Perplexity by how many tokens were read before: how far back it remembers.",
            "charts": [line_chart([line], "Perplexity", "log₂ of the position")],
            "legend": [],
        }
        yield Section("positions", "Perplexity by position", "drawings", value)


def data_of(run: Run) -> dict:
    """What run.json says of the data."""
    said = run.info["data"]
    rows = [
        ("name", said.get("name")),
        ("source", said.get("source")),
        ("origin", said.get("origin")),
    ]
    sizes = said.get("sizes") if isinstance(said.get("sizes"), dict) else {}
    rows += [(f"{part}", size) for part, size in sizes.items()]
    rows += [(name, value) for name, value in said.get("reading", {}).items()]
    rows += [("level", said.get("level")), ("fingerprint", said.get("fingerprint"))]
    distribution = said.get("distribution", {})
    value = {
        "facts": [row for row in rows if row[1] not in (None, "")],
        "labels": [],
        "lengths": [],
    }
    if labels := distribution.get("labels"):
        value["parts"] = [*labels]
        first = next(iter(labels.values()))
        most = max([*first.values(), 1])
        value["labels"] = [
            (name, [part.get(name, 0) for part in labels.values()], count / most)
            for name, count in first.items()
        ]
    for part, (edges, counts) in distribution.get("lengths", {}).items():
        value["lengths"].append((part, histogram(edges, counts), edges[0], edges[-1]))
    return value


def grouped(settings: list[facts.Setting]) -> dict[str, list]:
    """Options by how they came by their values."""
    return {
        origin: [one for one in settings if one.origin == origin]
        for origin in ("given", "found", "default")
    }


def environment(run: Run) -> list[tuple]:
    """What a run was made with, and when."""
    seconds = sum(run.history().get("seconds", ()))
    rows = [("made", facts.when(run.info["created"])), ("format of run.json", run.info["format"])]
    if seconds:
        rows.append(("time of the epochs", facts.duration(seconds)))
    found = run.info.get("versions", {}) | run.info.get("machine", {})
    if "gpus" in found:
        found["gpus"] = ", ".join(found["gpus"]) or "none"
    return [*rows, *found.items()]


def _files(run):
    return [(name, facts.bytes_of(size)) for name, size in facts.files_of(run)]
