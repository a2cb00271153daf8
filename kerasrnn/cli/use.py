"""``kerasrnn predict``, ``generate`` and ``infill``: models in use."""

from __future__ import annotations

import os
import secrets
from itertools import chain

import click

from kerasrnn import options
from kerasrnn.cli.common import RUN, RUN_OR_DATA, load_predictor, option, talk, verb
from kerasrnn.cli.output import print_json, to_json
from kerasrnn.errors import InputError

_SEARCH = {"max_length", "stop", "unknown"}  # the options of generate that beam search has
_FILES_OF_MODELS = ("run.json", "signature.json", "saved_model.pb")
_source_argument = click.argument("source", type=RUN, required=False, metavar="[RUN|EXPORT]")
_unknown_option = option(
    "--unknown",
    type=click.Choice(options.UNKNOWN_CHOICES),
    default="error",
    help="Tokens that the model does not know: refuse, skip, or read as unknown  [error]",
)


@verb(output=("FILE", "Write to a file instead of stdout"))
@click.argument("inputs", type=RUN_OR_DATA, nargs=-1, metavar="[RUN|EXPORT] INPUT...")
def predict(inputs, output, as_json):
    """Predict the labels or texts of INPUT.

    The first argument is the model where it is a run or an export; by default the newest run.

    A classifier: INPUT is an .npz file with x (and lengths), an .npy file, a .ts file, an IDX
    file of images, or a data set's name for its test part. Prints CSV: index, label,
    probability; with --json a list of {"label", "probabilities"}.

    A tagger: INPUT is a text file, a .conllu file whose words are taken as they are, - for
    standard input, or the text itself. Prints a token and its label per line, and a blank line
    after each sentence; with --json a list of lists of {"token", "label"}; with -o words.png a
    picture of the words in the colours of their labels.

    A generator or infiller: INPUT is a prompt, a text with blanks, or - for standard input.

    A SavedModel is code: use only exports from people you trust.

    \b
    Examples:
      kerasrnn predict digits
      kerasrnn predict runs/ud-ewt-tagger-1 "Time flies like an arrow."
      kerasrnn predict saved_models/digits-classifier-1 digits -o labels.csv
    """
    path, inputs = _split_model(inputs)
    _, task, predictor = load_predictor(path)
    if task.kind == "text":
        inputs = [_read_text(text) for text in inputs]
    predictions = task.predictions(predictor, inputs)
    text = to_json(predictions.records) + "\n" if as_json else predictions.text
    if output is None:
        click.echo(text, nl=False)
        return
    _write(output, text, predictions.draw)
    talk(f"wrote {output}")


def _write(output, text, draw):
    """Write a text, or for the suffix of a picture the picture."""
    from kerasrnn import plotting
    from kerasrnn.files import write_text

    if output.suffix.lower() not in plotting.FORMATS:
        write_text(output, text)
    elif draw is None:
        raise InputError("no picture of these predictions", found=output.name, expected="a .csv")
    else:
        plotting.save(output, draw)


def _split_model(arguments):
    """The path of the model, None for the newest run, and the inputs."""
    first, *rest = arguments or ("",)
    files = (os.path.join(first, name) for name in _FILES_OF_MODELS)
    meant = len(arguments) > 1 and first.split(os.sep)[0] in ("runs", "saved_models")
    path, inputs = (first, rest) if meant or any(map(os.path.isfile, files)) else (None, arguments)
    if not inputs:
        raise click.UsageError("Missing argument 'INPUT...'.")
    return path, list(inputs)


def _read_text(text):
    """A text of the command line; for ``-`` standard input without its last line end."""
    if text != "-":
        return text
    from kerasrnn.data.readers.text_files import read_standard_input

    return read_standard_input().removesuffix("\n")


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
    prompt = _read_text(prompt)
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
    source, _, infiller = load_predictor(path[0] if path else None, "infiller")
    filled, blanks = infiller.fill(_read_text(text), alternatives=alternatives, unknown=unknown)
    if as_json:
        rows = [[{"token": token, "probability": p} for token, p in row] for row in blanks]
        print_json({"run": str(source), "text": filled, "blanks": rows})
        return
    click.echo(filled)
    if alternatives > 1:
        for row in blanks:
            click.echo("  ".join(f"{token!r} {p:.4f}" for token, p in row))


VERBS = [predict, generate, infill]
