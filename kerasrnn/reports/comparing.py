"""The sections of a page that holds several runs side by side, differences marked."""

from __future__ import annotations

from kerasrnn.history import PARTS, headline
from kerasrnn.reports import facts
from kerasrnn.reports.network import read_network
from kerasrnn.reports.sections import Section, curves, environment
from kerasrnn.runs import Run, names_of


def compared_sections(runs: list[Run], commands: list[str]) -> list[Section]:
    """What there is to see of several runs at once."""
    names = names_of(runs)
    histories = {
        f"{name}/{one.path.name}" if run.runs else name: one.history()
        for name, run in zip(names, runs, strict=True)
        for one in (run.runs or [run])
    }
    networks = [
        (name, read_network(run.path / "best.keras")) for name, run in zip(names, runs, strict=True)
    ]
    settings = [{one.name: _plain(one.value) for one in facts.settings_of(run)} for run in runs]
    made_by = [*zip(names, commands, strict=True)]
    made = [dict(environment(run)) for run in runs]
    sections = [
        Section("metrics", "Metrics", "differences", _metrics(names, runs)),
        Section("curves", "Training curves", "curves", curves(histories)),
        Section("labels", "F1 of each label", "differences", _labels(names, runs)),
        Section("options", "Options", "differences", [_differing("Option", names, settings)]),
        Section("data", "Data", "differences", [_differing("Data", names, _data(runs))]),
        Section("models", "Models", "models", [pair for pair in networks if pair[1]]),
        Section("commands", "Commands", "commands", [pair for pair in made_by if pair[1]]),
        Section("environment", "Environment", "differences", [_differing("What", names, made)]),
    ]
    return [section for section in sections if section.value]


def _plain(value):
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


def _differing(title, names, tables):
    """What differs between tables of runs, and what is the same in all."""
    keys = [*dict.fromkeys(key for table in tables for key in table)]
    rows, same = [], []
    for key in keys:
        values = [table.get(key) for table in tables]
        if all(value == values[0] for value in values):
            same.append((key, values[0]))
        else:
            rows.append((key, values, None))
    return title, title.lower(), names, rows, same


def _metrics(names, runs):
    """A table of each part, with the best run of each metric marked."""
    tables = [
        {row.name: {name: facts.value_of(row, name) for name in row.values} for row in rows}
        for rows in (facts.table_of(run.metrics()) for run in runs)
    ]
    found = []
    for part in PARTS:
        values = [table.pop(f"ensemble, {part}", None) or table.get(part, {}) for table in tables]
        rows = _ranked(values)
        if rows:
            found.append((f"{part.capitalize()} part", "metric", names, rows, []))
    heads = [headline(run.metrics()) for run in runs]
    metric = next((head[1] for head in heads if head), None)
    baselines = dict.fromkeys(name for table in tables for name in table if name not in PARTS)
    rows = [
        (name, [facts.score(table.get(name, {}).get(metric)) for table in tables], None)
        for name in baselines
    ]
    if rows and metric:
        found.append(
            (f"{facts.title_of(metric).capitalize()} of baselines", "baseline", names, rows, [])
        )
    return found


def _ranked(tables):
    """Rows (metric, values, place of the best) of tables of numbers."""
    names = dict.fromkeys(name for table in tables for name in table)
    return [(facts.title_of(name), *ranked(name, tables)) for name in names]


def ranked(name: str, tables: list[dict]) -> tuple[list[str], int | None]:
    """A metric of tables as it is shown, and the place of the best, None where two look alike.

    >>> ranked("loss", [{"loss": 0.5}, {"loss": 0.25}])
    (['0.5000', '0.2500'], 1)
    """
    values = [table.get(name) for table in tables]
    shown, best = [*map(facts.score, values)], facts.best_of(name, dict(enumerate(values)))
    alone = best is not None and shown.count(shown[best]) == 1
    return shown, best if alone else None


def _labels(names, runs):
    """F1 of each label of each run, the best marked."""
    tables = [
        {label: row["f1"] for label, row in run.metrics().get("labels", {}).items()} for run in runs
    ]
    if sum(map(bool, tables)) < 2:
        return []
    labels = dict.fromkeys(label for table in tables for label in table)
    rows = [(one, *ranked("f1", [{"f1": table.get(one)} for table in tables])) for one in labels]
    return [("F1", "label", names, rows, [])]


def _data(runs):
    """What the data of each run is."""
    tables = []
    for run in runs:
        said = run.info["data"]
        sizes = said.get("sizes") if isinstance(said.get("sizes"), dict) else {}
        known = {name: said.get(name) for name in ("name", "source", "origin", "fingerprint")}
        tables.append({name: value for name, value in known.items() if value} | sizes)
    return tables
