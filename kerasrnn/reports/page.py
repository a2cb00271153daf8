"""The page: templates filled with what sections give."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import jinja2

from kerasrnn import __version__
from kerasrnn.errors import InputError
from kerasrnn.history import headline
from kerasrnn.reports import facts
from kerasrnn.reports.comparing import compared_sections, ranked
from kerasrnn.reports.examples import seen
from kerasrnn.reports.sections import run_sections
from kerasrnn.runs import Run, names_of

_TEMPLATES = Path(__file__).parent / "templates"
_BROKEN = (LookupError, TypeError, ValueError, AttributeError, jinja2.UndefinedError)
_RELOAD = 3  # seconds between looks at a training that goes on


def render(runs: Sequence[Run], command: Callable[[Run], str], live: bool = False) -> str:
    """The report of a run, or of several side by side, as one HTML file.

    Args:
        runs: one or more.
        command: gives the command that made a run.
        live: whether the run is being trained, so that the page is to be loaded anew.

    Raises:
        InputError: a file of a run is damaged or not as it should be.

    >>> from kerasrnn.runs import open_run
    >>> page = render([open_run("runs/digits-classifier-1")], str)  # doctest: +SKIP
    """
    try:
        values = _one(runs[0], command, live) if len(runs) == 1 else _several(runs, command)
        return (
            _environment()
            .get_template("page.html")
            .render(
                values,
                script=_source("report.js"),
                style=_source("report.css"),
                version=__version__,
                now=facts.when(datetime.now(UTC).isoformat()),
            )
        )
    except InputError:
        raise
    except _BROKEN as error:
        names = ", ".join(map(str, runs))
        raise InputError(f"files that are not as a run has them: {error}", where=names) from error


def _one(run, command, live):
    metrics = run.metrics()
    better = facts.beats(metrics)
    mark = None
    if better is not None:
        said = "Better than every baseline." if better else "No better than the best baseline."
        mark = {"kind": "good" if better else "bad", "said": said}
    return {
        "title": run.path.resolve().name,
        "kicker": f"{run.task}, {facts.when(run.info['created'])}",
        "verdict": facts.verdict(metrics, len(run.runs)),
        "mark": mark,
        "status": status_of(run, live),
        "command": command(run),
        "reload": _RELOAD if live else 0,
        "sections": run_sections(run),
    }


def _several(runs, command):
    names, verdicts = names_of(runs), []
    prints = {run.info["data"].get("fingerprint") for run in runs}
    found = [headline(run.metrics()) for run in runs]
    shared = {one and one[1] for one in found}
    if len(shared) == 1 and len(prints) == 1 and all(found):
        (metric,) = shared
        values = [facts.mean_of(value) for *_, value in found]
        _, best = ranked(metric, [{metric: value} for value in values])
        said = dict(zip(names, map(facts.number, values), strict=True))
        first, title = None if best is None else names[best], facts.title_of(metric)
        others = ", ".join(f"{name} {value}" for name, value in said.items() if name != first)
        start = f"{first} is best, with {title} of {said[first]};" if first else None
        verdicts = [start or f"None is best alone in {title}:", f"{others}."]
    same = len(prints) == 1
    mark = {"kind": "bad", "said": "They were not trained on the same data: compare with care."}
    return {
        "title": " · ".join(names) if len(names) < 4 else f"{len(names)} runs",
        "kicker": "comparison",
        "verdict": " ".join(verdicts),
        "mark": None if same else mark,
        "status": "",
        "command": "",
        "reload": 0,
        "sections": compared_sections(runs, [command(run) for run in runs]),
    }


def status_of(run: Run, live: bool) -> str:
    """How far an unfinished run is, in words; empty of a finished one."""
    if run.finished:
        return ""
    if run.info.get("plan"):
        done, planned = len(run.runs), len(run.info["plan"]["members"])
        return f"Not finished: {done} of {planned} runs. Go on with: kerasrnn train --resume {run}"
    history, epochs = run.history(), run.info["options"].get("epochs")
    done = len(history.get("epoch", ()))
    if live:
        left = (epochs - done) * sum(history.get("seconds", ())) / max(done, 1)
        about = f", at most {facts.duration(left)} to go" if done and left else ""
        evaluating = " It is being evaluated." if done == epochs else ""
        return f"Training: {done} of {epochs} epochs are done{about}.{evaluating}"
    return (
        f"Interrupted after {done} of {epochs} epochs, unless it is being trained just now. "
        f"Go on with: kerasrnn train --resume {run}"
    )


@cache
def _environment():
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "number": facts.number,
        "answer": _answer,
        "score": facts.score,
        "metric": _metric,
        "shape": _shape,
        "seen": seen,
        "sha256": _sha256,
    }
    return environment


@cache
def _source(name):
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _sha256(text):
    """The hash of a script or style as the Content-Security-Policy names it."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _metric(value):
    """A metric, or its mean and deviation over several runs."""
    if isinstance(value, dict):
        return f"{facts.score(value.get('mean'))} ± {facts.score(value.get('deviation'))}"
    return facts.score(value)


def _answer(value):
    """A label, a number or a list of them."""
    if isinstance(value, list):
        return ", ".join(map(facts.number, value))
    return facts.number(value)


def _shape(shape):
    return " × ".join("·" if size is None else f"{size}" for size in shape or ()) or "one number"
