"""``kerasrnn explain``: how a model comes to its answer for one input."""

from __future__ import annotations

import click

from kerasrnn.cli.common import (
    RUN_OR_DATA,
    find_run,
    load_predictor,
    option,
    split_model,
    talk,
    verb,
)
from kerasrnn.cli.output import print_json
from kerasrnn.errors import InputError
from kerasrnn.options import STYLES

_MOST_STEPS = 5  # that are printed
_DIGITS = 6  # significant ones, in JSON


@verb(
    output=("FILE", "Picture to write, .png, .svg or .pdf  [explain.png in the run]"),
    json="Print all numbers as JSON, and draw only where there is --output",
)
@click.argument("arguments", type=RUN_OR_DATA, nargs=-1, metavar="[RUN] INPUT")
@option("--row", type=click.IntRange(min=0), metavar="N", help="Row of INPUT, from 0  [0]")
@option("--encoding", metavar="NAME", help="Encoding of text files  [utf-8]")
@option("--style", type=click.Choice(STYLES), default=STYLES[0], help="Ground  [light]")
def explain(arguments, row, encoding, style, output, as_json):
    """Show hidden states and salient steps.

    The picture has the hidden states of each recurrent layer over time, the saliency of each step
    and the input itself on one time axis. Prints the answer and the steps that it hangs on most.
    RUN is by default the newest.

    INPUT is a text, or a file or data set as 'predict' takes it, of which --row chooses one row.
    A generator also shows how likely each token was, an infiller what may stand in each blank.

    The saliency of a step is the gradient of the label's score times the scaled input (Simonyan
    et al. 2014), of a token the gradient's norm at its embedding (Li et al. 2016). It says what a
    small change would do, which is not all that a model may have used.

    \b
    Examples:
      kerasrnn explain digits --row 7
      kerasrnn explain runs/names-classifier-1 Kowalski -o kowalski.png
      kerasrnn explain runs/ud-ewt-tagger-1 "Time flies like an arrow." --json
    """
    path, inputs = split_model(arguments)
    if len(inputs) != 1:
        raise InputError("inputs to explain", found=len(inputs), expected="one")
    run, task, predictor = load_predictor(find_run(path))
    found = task.explanation(predictor, inputs[0], row, encoding)
    if not as_json:
        _print(found)
    if output is not None or not as_json:
        place = output or run.path / "explain.png"
        _draw(found, place, style)
        talk(f"wrote {place}")
    if as_json:
        print_json({"run": str(run), **_numbers(found)})


def _title(found):
    """The answer in a few words."""
    answer = found.answer
    if "label" in answer:
        return f"{answer['label'] or 'no label'}  {answer['probability']:.3f}"
    if "next" in answer:
        return "next: " + ", ".join(f"{token!r} {p:.3f}" for token, p in answer["next"])
    if "text" in answer:
        return answer["text"]
    if "numbers" in answer:
        return ", ".join(f"{name} {_ends(value)}" for name, value in answer["numbers"].items())
    return ""


def _ends(value):
    """A number, or the first and the last of several steps; of quantiles all of a step."""
    if not isinstance(value, list):
        return f"{value:.4g}"
    if len(value) == 1 or not isinstance(value[0], list):
        return " … ".join(_ends(one) for one in dict.fromkeys((value[0], value[-1])))
    return " … ".join(" ".join(map(_ends, step)) for step in (value[0], value[-1]))


def _print(found):
    """Print the answer and the most salient steps."""
    import numpy as np

    if title := _title(found):
        click.echo(title)
    for place, best in enumerate(found.answer.get("candidates", ())):
        said = ", ".join(f"{token!r} {p:.3f}" for token, p in best)
        click.echo(f"blank {place + 1}  {said}")
    saliency = found.reading.saliency
    shares = saliency / max(np.abs(saliency).max(), 1e-30)
    texts = not isinstance(found.steps, np.ndarray)
    click.echo(f"\n{'step':>6}  saliency" + ("  token" if texts else ""))
    for step in np.argsort(-np.abs(shares), kind="stable")[:_MOST_STEPS]:
        token = f"  {found.steps[step]!r}" if texts else ""
        note = f"  {found.notes[step]}" if found.notes and found.notes[step] else ""
        click.echo(f"{step:>6}  {shares[step]:>8.3f}{token}{note}")


def _draw(found, path, style):
    from kerasrnn.plotting import plot_explanation, save

    layers = []
    for one in found.reading.layers:
        units, whole = one.most_varied(), one.states.shape[1]
        some = f", {len(units)} of {whole} units" if len(units) < whole else ""
        layers.append((f"{one.name}, {one.direction}{some}", one.states[:, units]))
    given = {"title": _title(found), "notes": found.notes, "sure": found.sure}
    steps, saliency = found.steps, found.reading.saliency
    save(path, lambda ax: plot_explanation(steps, saliency, layers, ax, **given), style=style)


def _numbers(found):
    """An explanation as JSON."""
    from kerasrnn.inference.explaining import METHODS
    from kerasrnn.tasks.examples import rounded

    reading = found.reading
    return found.answer | {
        "steps": found.steps if isinstance(found.steps, list) else rounded(found.steps, _DIGITS),
        **({"notes": [*found.notes]} if found.notes else {}),
        **({} if found.sure is None else {"step_probabilities": rounded(found.sure, _DIGITS)}),
        "saliency": rounded(reading.saliency, _DIGITS),
        "method": f"{reading.method} ({METHODS[reading.method]})",
        "layers": [
            {
                "name": one.name,
                "direction": one.direction,
                "units": one.most_varied().tolist(),
                "states": rounded(one.states[:, one.most_varied()], _DIGITS),
            }
            for one in reading.layers
        ],
    }


VERBS = [explain]
