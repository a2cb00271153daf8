"""Results as tables and JSON on stdout."""

from __future__ import annotations

import json
import math

import click

from kerasrnn.history import tabled

_TITLES = {
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "calibration_error": "calib. err.",
    "entity_precision": "ent. prec.",
    "entity_recall": "ent. recall",
    "entity_f1": "entity F1",
    "bits_per_character": "bits/char",
    "bits_per_word": "bits/word",
}
_REPORTS = {"labels": "label", "entities": "entity"}  # tables of metrics.json, and their heading
_MOST_COLUMNS = 12  # labels of a confusion matrix that is printed


def to_json(value) -> str:
    """A value as one line of JSON; numbers that JSON does not have become null.

    >>> to_json({"loss": float("nan"), "word": "é"})
    '{"loss": null, "word": "é"}'
    """
    return json.dumps(_finite(value), ensure_ascii=False, allow_nan=False)


def print_json(value):
    """Print a value as one line of JSON."""
    click.echo(to_json(value))


def _finite(value):
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_metrics(metrics: dict):
    """Print what was measured on each part, and the baselines, as a table."""
    rows = tabled(metrics)
    first = next(iter(rows.values()), {})
    titles = {
        name: _TITLES.get(name, name)
        for name, value in first.items()
        if isinstance(value, (float, dict))
    }
    least = 10 if "summary" not in metrics else 18
    shown = {part: [show_number(row.get(name)) for name in titles] for part, row in rows.items()}
    columns = zip(titles.values(), *shown.values(), strict=True)
    widths = [max(least, *(len(cell) + 2 for cell in column)) for column in columns]
    wide = max(14, *(len(part) + 2 for part in rows)) if rows else 14

    def line(first, cells):
        return f"{first:<{wide}}" + "".join(map(str.rjust, cells, widths))

    click.echo(line("", titles.values()))
    for part, row in rows.items():
        part_name = f"{row['ngram']}-gram" if "ngram" in row else part
        click.echo(line(part_name, shown[part]) + row.get("skipped", ""))
    if "shares" in metrics:
        shares = (f"{name} {share:.3g}" for name, share in metrics["shares"].items() if share)
        click.echo(f"{'the answer':<{wide}}{', '.join(shares)}")


def print_details(metrics: dict):
    """Print what metrics.json holds beside: losses of n-grams, scores of each label."""
    for order, loss in metrics.get("ngrams", {}).items():
        click.echo(f"{order}-gram{loss:>18.4f}")
    for level, row in metrics.get("quantiles", {}).items():
        click.echo(f"quantile {level:<5}{row['coverage']:>10.4f} covered")
    if "backtest" in metrics:
        origins, *rows = metrics["backtest"].items()
        said = (f"{name} {row['mean']:.4f} ± {row['deviation']:.4f}" for name, row in rows)
        click.echo(f"{origins[1]} origins     {', '.join(said)}")
    for report, heading in _REPORTS.items():
        if report in metrics:
            click.echo(f"{heading:<14} precision    recall        f1   support")
        for label, row in metrics.get(report, {}).items():
            click.echo(
                f"{label:<14}{row['precision']:>10.4f}{row['recall']:>10.4f}"
                f"{row['f1']:>10.4f}{row['support']:>10}"
            )


def print_confusion(labels: list[str], counts: list[list[int]]):
    """Print how often each label was taken for which, the true ones in rows, where it fits."""
    if len(labels) > _MOST_COLUMNS:
        return
    click.echo("\npredicted     " + "".join(f"{label[:7]:>8}" for label in labels))
    for label, row in zip(labels, counts, strict=True):
        click.echo(f"{label[:13]:<14}" + "".join(f"{count:>8,}" for count in row))


def show_number(value) -> str:
    """A number, or a mean and its deviation, with four decimals; ``-`` for what is none."""
    if isinstance(value, dict):
        return f"{show_number(value['mean'])} ± {show_number(value['deviation'])}"
    return f"{value:.4f}" if isinstance(value, (int, float)) else "-"
