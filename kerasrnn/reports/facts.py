"""What a run's files say, as the report shows it: tables of numbers, options, a verdict."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from kerasrnn import options
from kerasrnn.errors import InputError
from kerasrnn.files import check_sum, read_json
from kerasrnn.reports.charts import finite
from kerasrnn.runs import Run, measured

_HEADLINES = ("entity_f1", "accuracy", "perplexity", "mae", "loss")  # the first that a run has
_LOWER = ("loss", "perplexity", "bits_", "mae", "rmse", "mase", "calibration_error", "pinball")
_TITLES = {
    "entity_f1": "F1 of entities",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "mase": "scaled error (MASE)",
    "r2": "R²",
    "val_loss": "validation loss",
}
_PARTS = ("test", "validation")  # that one judges by, the first there is
_LARGEST = 64 << 20  # bytes of an examples.json that is read
EXPORTS = Path("saved_models")


class Setting(NamedTuple):
    """An option: how it came by its value, ``"given"``, ``"found"`` or ``"default"``, and why."""

    name: str
    value: object
    origin: str
    reason: str = ""


class Row(NamedTuple):
    """A row of the table of metrics. kind: ``"part"`` or ``"baseline"``."""

    name: str
    kind: str
    values: dict


def title_of(metric: str) -> str:
    """The name of a metric in words.

    >>> title_of("val_loss"), title_of("bits_per_word")
    ('validation loss', 'bits per word')
    """
    return _TITLES.get(metric, metric.replace("_", " "))


def lower_is_better(metric: str) -> bool:
    """Whether less of a metric is more.

    >>> lower_is_better("val_loss"), lower_is_better("accuracy")
    (True, False)
    """
    return metric.removeprefix("val_").startswith(_LOWER)


def best_of(metric: str, values: dict) -> str | None:
    """The name of the best of values of a metric, None where none can be compared.

    >>> best_of("loss", {"a": 2.0, "b": 1.0})
    'b'
    """
    there = {name: value for name, value in values.items() if finite(value)}
    choose = min if lower_is_better(metric) else max
    return choose(there, key=there.get) if there else None


def table_of(metrics: dict) -> list[Row]:
    """The rows of metrics.json: parts, then baselines; of several runs without an average none."""
    rows = []
    for name, values in measured(metrics).items():
        named = f"{values['ngram']}-gram" if "ngram" in values else name
        kind = "part" if name in ("validation", "test") else "baseline"
        rows.append(Row(named, kind, {k: v for k, v in values.items() if isinstance(v, float)}))
    return rows


def headline(rows: list[Row]) -> tuple[str, Row] | None:
    """The metric that stands for a run, and the row of the part that it is judged by."""
    parts = {row.name: row for row in rows if row.kind == "part"}
    part = next((parts[name] for name in _PARTS if name in parts), None)
    metric = next((name for name in _HEADLINES if part and finite(part.values.get(name))), None)
    return (metric, part) if metric else None


def verdict(rows: list[Row], summary: dict, members: int) -> str:
    """In a sentence how good a run is, beside the best baseline; empty of one not evaluated.

    >>> rows = [Row("test", "part", {"accuracy": 0.9}), Row("mean", "baseline", {"accuracy": 0.5})]
    >>> verdict(rows, {}, 0)
    'Accuracy of 0.9 on the test part; the best baseline, mean, has 0.5.'
    """
    if members and (part := next((name for name in _PARTS if name in summary), None)):
        metric = next((name for name in _HEADLINES if name in summary[part]), None)
        if metric:
            found = summary[part][metric]
            return (
                f"{_capital(title_of(metric))} of {score(found['mean'])} "
                f"± {score(found['deviation'])} on the {part} part, over {members} runs."
            )
    if not (found := headline(rows)):
        return ""
    metric, part = found
    others = {row.name: row.values.get(metric) for row in rows if row.kind == "baseline"}
    said = f"{_capital(title_of(metric))} of {number(part.values[metric])} on the {part.name} part"
    if not (best := best_of(metric, others)):
        return f"{said}."
    name = "baseline" if best == "baseline" else f"best baseline, {best},"
    return f"{said}; the {name} has {number(others[best])}."


def beats(rows: list[Row]) -> bool | None:
    """Whether the run is better than every baseline; None where there is nothing to compare."""
    if not (found := headline(rows)):
        return None
    metric, part = found
    others = {row.name: row.values.get(metric) for row in rows if row.kind == "baseline"}
    if not (best := best_of(metric, others)):
        return None
    both = {"run": part.values[metric], "baseline": others[best]}
    return both["run"] != both["baseline"] and best_of(metric, both) == "run"


def settings_of(run: Run) -> list[Setting]:
    """The options of a run: given, found from the data with the reason, or the defaults."""
    made = next(iter(run.runs), run).info  # of several trainings the first has the reasons
    data, reasons = run.info["data"].get("options"), made.get("recipe", {})
    of_data = data if isinstance(data, dict) else {}
    kind = "texts" if "level" in of_data else "series" if "horizon" in of_data else None
    kind = kind if run.task in ("classifier", "regressor") else None
    defaults = {
        name: value for table in options.tables(run.task, kind) for name, value in table.items()
    }
    settings = []
    for name, value in (run.info["options"] | of_data).items():
        usual = defaults.get(name)
        if name in reasons:
            settings.append(Setting(name, value, "found", f"{reasons[name]}"))
        elif name == "seed":
            continue  # the run's own
        else:
            same = value in (usual, [usual], None) or _equal(value, usual)
            settings.append(Setting(name, value, "default" if same else "given"))
    seed = run.info["seed"]
    return [*settings, Setting("seed", seed, "given" if seed else "default")]


def _equal(value, usual):
    return (
        isinstance(value, (list, tuple))
        and isinstance(usual, (list, tuple))
        and [*value] == [*usual]
    )


def read_examples(run: Run) -> dict:
    """The content of examples.json; empty where the run has none. Raises ``InputError``."""
    path = run.path / "examples.json"
    if not path.exists():
        return {}
    if (size := path.stat().st_size) > _LARGEST:
        raise InputError("a file too large", where=path, found=f"{size:,} bytes")
    check_sum(path)
    return read_json(path, dict)


def exports_of(run: Run) -> dict[str, dict]:
    """What signature.json says of each export of a run in ``saved_models/``, by its path."""
    found = {}
    name = run.path.resolve().name
    for suffix in ("", *(f"-{format}" for format in options.EXPORT_FORMATS[1:])):
        path = EXPORTS / f"{name}{suffix}"
        if (path / "signature.json").is_file():
            about = read_json(path / "signature.json", dict)
            if about.get("task") == run.task and isinstance(about.get("signatures"), dict):
                found[str(path)] = about
    return found


def files_of(run: Run) -> list[tuple[str, int]]:
    """The files of a run with their sizes in bytes; a directory in it as one."""
    found = []
    for path in sorted(run.path.iterdir()):
        if path.name.startswith(".") or path.name in ("report.html", "compare.html"):
            continue
        inside = path.rglob("*") if path.is_dir() else [path]
        size = sum(file.stat().st_size for file in inside if file.is_file())
        found.append((path.name + "/" * path.is_dir(), size))
    return found


def number(value) -> str:
    """A number as one reads it: four significant digits, thousands apart.

    >>> number(0.977777), number(1293), number(12345.678), number(None)
    ('0.9778', '1,293', '12,346', '–')
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return "–" if value is None else f"{value}"
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value):
        return f"{value}"
    if abs(value) >= 10000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def score(value) -> str:
    """A metric as it stands in a column: with four decimals where it is small.

    >>> score(0.5), score(123.456), score(0.00001)
    ('0.5000', '123.5', '1e-05')
    """
    if isinstance(value, float) and (value == 0 or 0.0001 <= abs(value) < 10):
        return f"{value:.4f}"
    return number(value)


def bytes_of(size: int) -> str:
    """A size in bytes as one reads it.

    >>> bytes_of(900), bytes_of(1_250_000)
    ('900 B', '1.25 MB')
    """
    if size < 1000:
        return f"{size} B"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 1000 or unit == "GB":
            break
    return f"{size:.3g} {unit}" if size < 99.5 else f"{size:.0f} {unit}"


def duration(seconds: float) -> str:
    """A time as one reads it.

    >>> duration(3.24), duration(75), duration(7320)
    ('3.2 s', '1 min 15 s', '2 h 2 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def when(text: str) -> str:
    """A time of run.json as one reads it.

    >>> when("2026-01-31T12:30:59.123+00:00")
    '31 January 2026, 12:30 UTC'
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{time.day} {time:%B %Y, %H:%M} UTC"


def _capital(text):
    return text[:1].upper() + text[1:]
