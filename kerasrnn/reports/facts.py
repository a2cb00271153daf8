"""What a run's files say, as the report shows it: tables of numbers, options, a verdict."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from kerasrnn import options
from kerasrnn.errors import InputError
from kerasrnn.files import check_sum, read_json
from kerasrnn.history import PARTS, headline, tabled
from kerasrnn.reports.charts import finite
from kerasrnn.runs import Run

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
_LARGEST = 64 << 20  # bytes of an examples.json that is read
_FOUND = "as the data has it, or the run to start from"
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
    """The rows of metrics.json: parts, then baselines; of several runs with mean and deviation."""
    rows = []
    for name, values in tabled(metrics).items():
        named = f"{values['ngram']}-gram" if "ngram" in values else name
        kind = "part" if name.removeprefix("ensemble, ") in PARTS else "baseline"
        kept = {k: v for k, v in values.items() if isinstance(v, (float, dict))}
        rows.append(Row(named, kind, kept))
    return rows


def mean_of(value):
    """A number; of several runs their mean."""
    return value["mean"] if isinstance(value, dict) else value


def value_of(row: Row, metric: str) -> float | None:
    """A metric of a row, of several runs the mean; None where the row lacks it."""
    return mean_of(row.values.get(metric))


def best_baseline(metrics: dict) -> tuple[str, float] | None:
    """The best baseline by the metric that stands for a run, and its value; None without one."""
    _, metric, _ = headline(metrics) or (None, "", None)
    rows = [row for row in table_of(metrics) if row.kind == "baseline"]
    values = {row.name: value_of(row, metric) for row in rows}
    best = best_of(metric, values)
    return (best, values[best]) if best else None


def verdict(metrics: dict, members: int = 0) -> str:
    """In a sentence how good a run is, beside the best baseline; empty of one not evaluated.

    >>> verdict({"test": {"accuracy": 0.9}, "baseline": {"mean": {"accuracy": 0.5}}})
    'Accuracy of 0.9 on the test part; the best baseline, mean, has 0.5.'
    """
    if not (found := headline(metrics)):
        return ""
    part, metric, value = found
    if isinstance(value, dict):
        said = f"{score(value['mean'])} ± {score(value['deviation'])}"
        return f"{_capital(title_of(metric))} of {said} on the {part} part, over {members} runs."
    said = f"{_capital(title_of(metric))} of {number(value)} on the {part} part"
    if not (best := best_baseline(metrics)):
        return f"{said}."
    name = "baseline" if best[0] == "baseline" else f"best baseline, {best[0]},"
    return f"{said}; the {name} has {number(best[1])}."


def beats(metrics: dict) -> bool | None:
    """Whether the run is better than every baseline; None where there is nothing to compare."""
    if not (found := headline(metrics)) or not (best := best_baseline(metrics)):
        return None
    both = {"run": mean_of(found[2]), "baseline": best[1]}
    return both["run"] != both["baseline"] and best_of(found[1], both) == "run"


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
    given, settings = run.info.get("given"), []
    known = () if given is None else (*given, *options.GOES_ON)
    for name, value in (run.info["options"] | of_data).items():
        usual = defaults.get(name)
        same = value in (usual, [usual], None) or _equal(value, usual)
        if name in reasons:
            settings.append(Setting(name, value, "found", f"{reasons[name]}"))
        elif name == "seed":
            continue  # the run's own
        elif given is None or same or name in known:
            settings.append(Setting(name, value, "default" if same else "given"))
        else:
            settings.append(Setting(name, value, "found", _FOUND))
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
