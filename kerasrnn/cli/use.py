"""``kerasrnn generate`` and ``infill``: text from models."""

from __future__ import annotations

import secrets
from itertools import chain

import click

from kerasrnn import options
from kerasrnn.cli.common import RUN, load_predictor, option, verb
from kerasrnn.cli.output import print_json
from kerasrnn.errors import InputError

_SEARCH = {"max_length", "stop", "unknown"}  # the options of generate that beam search has
_source_argument = click.argument("source", type=RUN, required=False, metavar="[RUN|EXPORT]")
_unknown_option = option(
    "--unknown",
    type=click.Choice(options.UNKNOWN_CHOICES),
    default="error",
    help="Tokens that the model does not know: refuse, skip, or read as unknown  [error]",
)


def _number_option(name, type, metavar, help):
    """An option of ``generate`` with a default in ``options.GENERATION``."""
    default = options.GENERATION[name.lstrip("-").replace("-", "_")]
    return option(name, type=type, metavar=metavar, help=f"{help}  [{default}]", group="Text")


@verb(json='Print {"run", "prompt", "seed", "samples"}')
@_source_argument
@option(
    "--prompt",
    default="",
    metavar="TEXT",
    group="Text",
    help="Text to continue, - for standard input; a run of --lines needs none",
)
@_number_option("--max-length", int, "N", "Tokens to generate at most")
@_number_option("--temperature", float, "T", "0: the likeliest token; above 1: more varied")
@_number_option("--top-k", int, "K", "Choose among the K likeliest tokens, 0: all")
@_number_option("--top-p", float, "P", "Nucleus sampling: the likeliest of total probability P")
@_number_option("--repetition-penalty", float, "X", "Values above 1 discourage repetition")
@option("--stop", multiple=True, metavar="TEXT", group="Text", help="Stop at this; repeatable")
@option("--samples", type=int, metavar="N", default=1, group="Text", help="Number of texts  [1]")
@option("--beams", type=int, metavar="N", group="Text", help="Beam search instead of sampling")
@option("--seed", type=int, metavar="N", group="Text", help="Same seed, same text  [random]")
@_unknown_option
def generate(source, prompt, samples, beams, unknown, seed, as_json, **given):
    """Generate text from a prompt.

    RUN is by default the newest generator. Prints the prompt and the text as it is made;
    several texts with --- between them, or one per line where the run learnt lines.

    \b
    Examples:
      kerasrnn generate --prompt "ROMEO:" --temperature 0.8
      kerasrnn generate runs/names-generator-1 --samples 10
      kerasrnn generate saved_models/shakespeare-generator-1 --prompt - < opening.txt
    """
    given = {name: value for name, value in given.items() if value not in (None, ())}
    if beams is not None and (other := {*given, *(["seed"] if seed is not None else [])} - _SEARCH):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(other))
        raise InputError(f"{names} with --beams, which does not sample")
    source, _, generator = load_predictor(source, "generator")
    from kerasrnn.data.inputs import text_of

    prompt = text_of(prompt)
    answer = {"run": str(source), "prompt": prompt}
    chosen = {"samples": samples, "unknown": unknown}
    if beams is None:
        answer["seed"] = secrets.randbits(32) if seed is None else seed
        sampling = options.GENERATION | given
        pieces = generator.stream(prompt, **sampling, **chosen, seed=answer["seed"])
        if samples == 1 and not as_json:
            for piece in chain([prompt], (piece for (piece,) in pieces), ["\n"]):
                click.echo(piece, nl=False)
            return
        texts = ["".join(rows) for rows in zip(*pieces, strict=True)]
    else:
        texts = generator.search(prompt, beams=beams, **given, **chosen)
    if as_json:
        print_json(answer | {"samples": texts})
    else:
        click.echo(("\n" if generator.lines else "\n---\n").join(prompt + text for text in texts))


@verb(json='Print {"run", "text", "blanks": [[{"token", "probability"}]]}')
@click.argument("arguments", type=RUN, nargs=-1, required=True, metavar="[RUN|EXPORT] TEXT")
@option("--alternatives", type=int, metavar="N", default=1, help="Candidates per blank  [1]")
@_unknown_option
def infill(arguments, alternatives, unknown, as_json):
    """Fill the blanks of a text.

    RUN is by default the newest infiller; TEXT may be - for standard input. Each _ is a blank
    for one character; for a model of words a word of _ only, such as ____, is a blank for one
    word. The surest blank is filled first, then the others in view of it. --alternatives prints
    the candidates of each blank and their probabilities.

    \b
    Examples:
      kerasrnn infill "the time trav_ller"
      kerasrnn infill runs/time-machine-infiller-1 "the time ____ sat in the chair"
    """
    if len(arguments) > 2:
        raise click.UsageError("Too many arguments: expected [RUN|EXPORT] TEXT.")
    *path, text = arguments
    from kerasrnn.data.inputs import text_of

    source, _, infiller = load_predictor(path[0] if path else None, "infiller")
    filled, blanks = infiller.fill(text_of(text), alternatives=alternatives, unknown=unknown)
    if as_json:
        rows = [[{"token": token, "probability": p} for token, p in row] for row in blanks]
        print_json({"run": str(source), "text": filled, "blanks": rows})
        return
    click.echo(filled)
    if alternatives > 1:
        for row in blanks:
            click.echo("  ".join(f"{token!r} {p:.4f}" for token, p in row))


VERBS = [generate, infill]
