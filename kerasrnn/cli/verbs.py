"""The command line: verbs that parse, call the library and print. Nothing heavy up here."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import shlex
import sys
from functools import partial
from pathlib import Path

import click

from kerasrnn import options as task_options
from kerasrnn.errors import InputError


class _Group(click.Group):
    """Turns bad input into one line on stderr and exit code 2."""

    def invoke(self, context):
        try:
            return super().invoke(context)
        except InputError as error:
            raise _Refusal(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of our output has left; click knows
                raise
            place = f"{error.filename}: " if error.filename else ""
            raise _Refusal(f"{place}{error.strerror or error}") from error
        except Exception as error:  # TensorFlow's own is known by name, so as not to import it
            if type(error).__name__ not in ("MemoryError", "ResourceExhaustedError"):
                raise
            raise _Refusal(
                "out of memory; choose fewer --units or a smaller --batch-size"
            ) from error


class _Refusal(click.ClickException):
    exit_code = 2

    def show(self, file=None):
        click.echo(f"kerasrnn: {self.message}", err=True)


class _RunPath(click.ParamType):
    name = "run"

    def shell_complete(self, ctx, param, incomplete):
        from click.shell_completion import CompletionItem

        from kerasrnn.runs import list_runs

        found = [str(run) for run in list_runs()]
        names = [CompletionItem(name) for name in found if name.startswith(incomplete)]
        return names or [CompletionItem(incomplete, type="dir")]


class _Data(click.ParamType):
    name = "data"

    def shell_complete(self, ctx, param, incomplete):
        from click.shell_completion import CompletionItem

        from kerasrnn.data.sequences import CORPORA, NAMES

        names = [CompletionItem(name) for name in NAMES + CORPORA if name.startswith(incomplete)]
        return names or [CompletionItem(incomplete, type="file")]


class _Units(click.ParamType):
    """``50`` or ``64,32``."""

    name = "n[,n…]"

    def convert(self, value, param, ctx):
        try:
            return tuple(int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a number or a list like 64,32", param, ctx)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kerasrnn")
def main():
    """Recurrent networks in Keras: train, evaluate, plot and use them.

    \b
    kerasrnn train --stacked       a stacked bidirectional LSTM on handwritten digits
    kerasrnn evaluate              the newest run, on its test part
    kerasrnn plot --show           its curves in a window
    kerasrnn train shakespeare     a character generator
    kerasrnn generate --prompt "ROMEO:"
    kerasrnn export                the newest run as a SavedModel for CPU and GPU

    A run is one directory; every verb but 'train' takes one, by default the newest.
    """


def _import_keras():
    """Import Keras and TensorFlow without TensorFlow's start-up lines.

    Some of them come before any of its settings counts, hence the closed file descriptor.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import kerasrnn.training  # noqa: F401
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


_json_option = click.option("--json", "as_json", is_flag=True, help="Print results as JSON.")


def _option(*names, help, **settings):
    """An option of ``train`` whose default depends on the task; the help tells it."""
    name = names[-1].split("/")[0].lstrip("-").replace("-", "_")
    rows = task_options.defaults(name)
    first, *others = rows.items()
    text = _spell(first[1])
    text += "".join(f"; {task} {_spell(value)}" for task, value in others if value != first[1])
    only = "" if len(rows) == len(task_options.FIT) else f"{', '.join(rows).capitalize()}: "
    if first[1] is not None and not settings.get("is_flag"):
        help += f"  [default: {text}]"
    settings |= {"help": only + help, "default": None, "show_default": False}
    return click.option(*names, **settings)


def _spell(value):
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


@main.command(context_settings={"show_default": True})
@click.argument("data", type=_Data(), nargs=-1, metavar="[DATA]...")
@click.option(
    "--task",
    type=click.Choice(list(task_options.FIT)),
    help="What to learn.  [default: what the data is for]",
)
@_option("--units", type=_Units(), help="Width of all layers, or one a layer.")
@click.option("--layers", type=int, help="Number of layers.  [default: one for each of --units]")
@click.option("--stacked", is_flag=True, help="The same as --layers 2.")
@_option("--cell", type=click.Choice(["lstm", "gru", "simple"]), help="Cell.")
@_option("--bidirectional/--unidirectional", help="Read both ways, or forwards only.")
@_option("--go-backwards", is_flag=True, help="With --unidirectional: read from the last step.")
@_option("--dropout", type=float, help="Share dropped after each layer.")
@_option(
    "--pooling",
    type=click.Choice(["last", "mean", "max"]),
    help="What the head sees: the last state, or the mean or maximum over the steps.",
)
@_option("--embedding", type=int, help="Width of the token embedding, 0 for one-hot.")
@_option(
    "--characters/--no-characters",
    help="Compose words from their characters too.  [default: yes where tokens are words]",
)
@_option("--tied", is_flag=True, help="The head shares the embedding's weights.")
@_option("--functional", is_flag=True, help="A functional model instead of a Sequential.")
@_option("--epochs", type=int, help="Passes over the training part.")
@_option("--batch-size", type=int, help="Sequences a step.")
@_option("--optimizer", type=click.Choice(["adam", "adamw", "rmsprop", "sgd"]), help="Optimizer.")
@_option("--learning-rate", type=float, help="Learning rate.")
@_option(
    "--schedule",
    type=click.Choice(["constant", "cosine", "plateau"]),
    help="Of the learning rate: constant, a cosine with warm-up, or halved on a plateau.",
)
@_option("--clip-norm", type=float, help="Largest global norm of the gradients; 0 for no limit.")
@_option("--validation-split", type=float, help="Share cut off to choose the best epoch.")
@_option("--column", help="Of CoNLL-U, which column is the label.")
@_option("--unit", type=click.Choice(["char", "word"]), help="What a token is.")
@_option("--lines", is_flag=True, help="Lines are independent, such as names.")
@_option("--classic", is_flag=True, help="Keep letters only, lower-cased.")
@_option("--max-tokens", type=int, help="Use only so many tokens.")
@_option("--min-frequency", type=int, help="Tokens that occur less often are unknown.")
@_option("--max-size", type=int, help="Size of the vocabulary at most.")
@_option("--steps", type=int, help="Length of a window.")
@_option(
    "--sampling",
    type=click.Choice(["random", "sequential"]),
    help="Windows in random order, or neighbouring ones with the state carried on.",
)
@_option("--mask-rate", type=float, help="Share of the tokens that is hidden while training.")
@_option("--mask-span", type=int, help="Longest run of tokens that is hidden at once.")
@_option("--sample-every", type=int, help="Print a text every so many epochs; 0 for never.")
@_option("--prompt", help="What that text goes on from.")
@click.option("--seed", type=int, default=0, help="Fixes weights, order, dropout, validation cut.")
@click.option(
    "--out", type=click.Path(), help="Directory to make.  [default: runs/<data>-<task>-<n>]"
)
@click.option("--quiet", is_flag=True, help="Nothing on stderr.")
@_json_option
def train(data, task, out, seed, quiet, as_json, layers, stacked, **options):
    """Train a model on DATA and leave a run directory.

    A classifier: DATA is 'digits' (the default, ships with scikit-learn), 'mnist', an .npz
    file with x and y (or x_train, y_train, x_test, y_test), a .ts file or folder of the
    UCR/UEA archive, or a folder of IDX files.

    A tagger: DATA is 'python' (the standard library's source, each character with the kind
    of its token), a CoNLL-U file (.conllu), a file of CoNLL columns (.conll), or a folder
    with those of the training, validation and test part.

    A generator of text: DATA is 'english' (ships with Python), 'shakespeare',
    'time-machine', UTF-8 text files, folders of .txt files, or - for standard input. With
    --task infiller the same texts train a model that fills blanks.

    \b
    kerasrnn train --stacked
    kerasrnn train mnist --units 128,64 --cell gru --epochs 5
    kerasrnn train sensors.npz --unidirectional --out runs/forward
    kerasrnn train shakespeare --stacked --prompt "ROMEO:"
    kerasrnn train names.txt --lines --units 128
    kerasrnn train time-machine --task infiller
    kerasrnn train treebank/ --column xpos
    """
    data = data or ("digits",)
    given = {name: value for name, value in options.items() if value is not None}
    _import_keras()
    from kerasrnn.data.sequences import task_of
    from kerasrnn.tasks import TASKS
    from kerasrnn.training import train as train_run

    row = TASKS[task or task_of(data[0])]
    if layers is not None or stacked:
        units = given.get("units", (task_options.MODEL[row.name]["units"],))
        given["units"] = _stack_units(units, layers, stacked)
    known = {**given, "seed": seed}
    of_data = {name: known[name] for name in task_options.DATA[row.name] if name in known}
    of_run = {name: value for name, value in given.items() if name not in of_data}
    row.complete(of_run)  # an option that is not the task's, before the data is read
    dataset = row.load(*data, **of_data)
    try:
        run = train_run(dataset, out, seed=seed, quiet=quiet, **of_run)
    except KeyboardInterrupt:
        sys.exit(130)
    metrics = run.metrics()
    if as_json:
        click.echo(json.dumps({"run": str(run), **metrics}))
        return
    _print_metrics(metrics)
    click.echo(f"run            {run}")
    if not quiet:
        click.echo("next", err=True)
        path = str(run)
        first = {
            "generator": lambda: ["generate", path, *_start(dataset)],
            "infiller": lambda: ["infill", path, _with_blanks(dataset)],
            "tagger": lambda: ["predict", path, _first_sentence(dataset)],
        }.get(run.task, lambda: ["predict", path, data[0]])()
        for words in (first, ["evaluate", path], ["plot", path, "--show"]):
            click.echo(f"  kerasrnn {shlex.join(words)}", err=True)


def _start(corpus):
    """Words of a command that give ``generate`` something to start from."""
    return [] if corpus.lines else ["--prompt", _beginning(corpus, 20)]


def _first_sentence(data):
    """A short sentence of the test part."""
    from kerasrnn.text import detokenize

    sentence = min(data.test.tokens, key=lambda tokens: abs(len(tokens) - 8))
    return detokenize(sentence, data.unit).strip()


def _with_blanks(corpus):
    """The beginning of a corpus with a blank in it."""
    if corpus.unit == "word":
        words = _beginning(corpus, 60).split()
        return " ".join([*words[:2], "____", *words[3:]])
    text = _beginning(corpus, 40)
    return text[: len(text) // 2] + "_" + text[len(text) // 2 + 1 :]


def _beginning(corpus, size):
    """So many characters of the text that was trained on, of its first line."""
    from kerasrnn.text import detokenize

    tokens = corpus.vocabulary.decode(corpus.train[:200])
    line = detokenize(tokens, corpus.unit).strip().split("\n")[0]
    return line[:size].strip()


@main.command(context_settings={"show_default": True})
@click.argument("run", type=_RunPath(), required=False)
@_json_option
def evaluate(run, as_json):
    """Evaluate RUN (by default the newest).

    A classifier or tagger on its test part, beside a baseline that predicts the label
    frequencies of the training part, or those of each word; writes metrics.json and
    confusion.png into the run. A generator on the whole validation text, beside the best of
    smoothed n-gram models; an infiller on hidden tokens; writes metrics.json.

    \b
    kerasrnn evaluate runs/digits-classifier-1 --json
    """
    run = _open(run)
    _import_keras()
    from kerasrnn.training import evaluate as evaluate_run

    metrics = evaluate_run(run)
    if as_json:
        click.echo(json.dumps(metrics))
        return
    _print_metrics(metrics)
    for order, loss in metrics.get("ngrams", {}).items():
        click.echo(f"{order}-gram{loss:>18.4f}")
    for title in ("labels", "entities"):
        if title in metrics:
            heading = {"labels": "label", "entities": "entity"}[title]
            click.echo(f"{heading:<14} precision    recall        f1   support")
        for label, row in metrics.get(title, {}).items():
            click.echo(
                f"{label:<14}{row['precision']:>10.4f}{row['recall']:>10.4f}"
                f"{row['f1']:>10.4f}{row['support']:>10}"
            )


@main.command(context_settings={"show_default": True})
@click.argument("runs", type=_RunPath(), nargs=-1, metavar="[RUN]...")
@click.option("--metric", multiple=True, help="What to draw, again for more.  [default: all]")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="One picture with all metrics, .png, .svg or .pdf.  "
    "[default: one PNG for each metric, in the run]",
)
@click.option("--show", is_flag=True, help="Open a window instead of writing files.")
def plot(runs, metric, output, show):
    """Draw the training curves of RUN (by default the newest), or of several on one Axes.

    \b
    kerasrnn plot
    kerasrnn plot runs/forward runs/both --output forward-or-both.svg
    """
    from kerasrnn import plotting

    opened = [_open(run) for run in runs] or [_open(None)]
    histories = {run.path.name if len(opened) > 1 else "": run.history() for run in opened}
    if len(histories) < len(opened):
        histories = {str(run): run.history() for run in opened}
    metrics = list(metric) or plotting.metrics_in(opened[0].history())
    if not metrics:
        raise InputError(f"{opened[0]} has no finished epoch to draw")
    if show:
        _show(plotting, histories, metrics)
        return
    name = "{}.png" if len(opened) == 1 else "compare-{}.png"
    pictures = (
        {output: metrics}
        if output
        else {opened[0].path / name.format(metric): [metric] for metric in metrics}
    )
    for path, names in pictures.items():

        def draw(*axes, names=names):
            plotting.plot_panels(histories, names, axes)

        click.echo(plotting.save(path, draw, panels=len(names)))


@main.command(context_settings={"show_default": True})
@click.argument("path", type=_RunPath())
@click.argument("inputs", type=_Data(), nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to a file instead of stdout.",
)
@_json_option
def predict(path, inputs, output, as_json):
    """Predict labels for INPUT with the best model of a run, or with an export, at PATH.

    A classifier: INPUT is an .npz file with x (and lengths), an .npy file, an IDX file of
    images, or a dataset's name for its test part. Prints CSV: index, label, probability; with
    --json a list of {"label", "probabilities"}.

    A tagger: INPUT is a text file, a .conllu file whose words are taken as they are, - for
    standard input, or the text itself. Prints one token and its label a line, and a blank
    line after each line or block of the text; with --json a list of lists of {"token",
    "label"}.

    An export of a generator or infiller: INPUT is a prompt, or a text with blanks.

    A SavedModel is code: use only exports from people you trust.

    \b
    kerasrnn predict runs/digits-classifier-1 digits
    kerasrnn predict runs/ud-ewt-tagger-1 "Time flies like an arrow."
    kerasrnn predict saved_models/digits-classifier-1 digits
    """
    exported = any((Path(path) / n).is_file() for n in ("signature.json", "saved_model.pb"))
    source = None if exported else _open(path, "classifier", "tagger")
    _import_keras()
    from kerasrnn.files import write_text

    if exported:
        from kerasrnn.inference.exports import load_export

        source = load_export(path)
    text = _PREDICTIONS[source.task](source, inputs, as_json)
    if output:
        write_text(output, text)
        click.echo(f"wrote {output}", err=True)
    else:
        click.echo(text, nl=False)


def _predict_labels(source, inputs, as_json):
    from kerasrnn.runs import Run

    if isinstance(source, Run):
        labels, probabilities = _classify(source, inputs)
    elif source.takes("text"):
        labels, probabilities = source.labels, source.ask(text=inputs)["probabilities"]
    else:
        labels, probabilities = source.labels, _of_files(source.classify, inputs)
    return (_as_json if as_json else _as_csv)(labels, probabilities)


def _classify(run, inputs):
    from kerasrnn.inference.loading import load_model
    from kerasrnn.tasks import predict as predict_sequences

    labels = run.labels()
    probabilities = _of_files(partial(predict_sequences, load_model(run.path)), inputs)
    if probabilities.shape[1] != len(labels):
        raise InputError(
            f"labels.json of {run} does not match its model",
            found=f"{len(labels)} labels",
            expected=probabilities.shape[1],
        )
    return labels, probabilities


def _of_files(classify, inputs):
    import numpy as np

    from kerasrnn.data.sequences import load_sequences

    return np.concatenate([classify(*load_sequences(input)) for input in inputs])


def _standard_input():
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise InputError(
            "not UTF-8",
            where="standard input",
            found=f"byte 0x{error.object[error.start]:02x} at offset {error.start:,}",
        ) from error


def _tag(source, inputs, as_json):
    from kerasrnn.runs import Run
    from kerasrnn.tasks.tagger import load_tagger

    tagger = load_tagger(source) if isinstance(source, Run) else source.tagger()
    blocks = [block for input in inputs for block in _tag_input(tagger, input)]
    if as_json:
        rows = [[{"token": token, "label": label} for token, label in b] for b in blocks]
        return json.dumps(rows, ensure_ascii=False) + "\n"
    spell = str if tagger.unit == "word" else (lambda token: json.dumps(token)[1:-1])
    return "".join(
        "".join(f"{spell(token)}\t{label}\n" for token, label in block) + "\n" for block in blocks
    )


def _tag_input(tagger, input):
    from kerasrnn.data.readers.formats import read_conllu, read_text

    try:
        is_file = Path(input).is_file()
    except OSError:  # a text too long to be the name of a file
        is_file = False
    if is_file and input.endswith(".conllu"):
        return tagger.tag([tokens for tokens, *_ in read_conllu(input, "form")])
    if is_file:
        return tagger.tag_text("".join(read_text(input)))
    return tagger.tag_text(_standard_input() if input == "-" else input)


def _write_on(export, prompts, as_json):
    sampling = {"length": 500, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 0}
    texts = export.ask(prompt=prompts, **sampling)["text"]
    return _as_lines([prompt + text for prompt, text in zip(prompts, texts, strict=True)], as_json)


def _fill_in(export, texts, as_json):
    return _as_lines(export.ask(text=texts)["text"].tolist(), as_json)


def _as_lines(texts, as_json):
    if as_json:
        return json.dumps(texts, ensure_ascii=False) + "\n"
    return "".join(f"{text}\n" for text in texts)


def _refuse_model(export, inputs, as_json):
    raise InputError(
        f"{export} is a plain Keras model, which takes no files or texts",
        fix="call it in Python: kerasrnn.load_export(path).ask(...)",
    )


_PREDICTIONS = {
    "classifier": _predict_labels,
    "tagger": _tag,
    "generator": _write_on,
    "infiller": _fill_in,
    "model": _refuse_model,
}


@main.command(context_settings={"show_default": True})
@click.argument("run", type=_RunPath(), required=False)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="The directory to make.  [default: saved_models/<name of the run>]",
)
@click.option(
    "--format",
    type=click.Choice(["saved_model", "onnx", "litert"]),
    default="saved_model",
    help="ONNX and LiteRT hold the model alone: numbers in, numbers out.",
)
@click.option("--overwrite", is_flag=True, help="Replace an export that is there.")
@click.option("--check/--no-check", default=True, help="Compare it with the Keras model.")
def export(run, output, **options):
    """Export the best model of RUN (by default the newest) as a SavedModel for CPU and GPU.

    It takes raw input and needs TensorFlow only; on a GPU its layers take cuDNN. Before it
    goes to its place, a fresh process without kerasrnn compares its answers with the model's.
    The model card in it says how to call it.

    \b
    kerasrnn export
    kerasrnn export runs/digits-classifier-1 --output saved_models/digits
    """
    run = _open(run)
    _import_keras()
    from kerasrnn.exporting import export as export_run
    from kerasrnn.inference.exports import read_about

    path = export_run(run, output, **options)
    about = read_about(path)
    if "instead_of" in about:
        sides = about["signatures"]["serving_default"]
        click.echo(
            f"{about['kind']} has no strings and no loop around a model: in place of "
            f"{', '.join(about['instead_of'])} there is {', '.join(sides['inputs'])} → "
            f"{', '.join(sides['outputs'])}, as numbers",
            err=True,
        )
    click.echo(f"how to call it: {path / 'model_card.md'}", err=True)
    click.echo(path)


@main.command(context_settings={"show_default": True})
@click.argument("run", type=_RunPath(), required=False)
@click.option("--prompt", default="", help="Text to go on from; not needed by a run of --lines.")
@click.option("--length", type=int, default=500, help="Tokens to write at most.")
@click.option("--temperature", type=float, default=1.0, help="0 for the likeliest token always.")
@click.option("--top-k", type=int, default=0, help="Only the k likeliest tokens; 0 for all.")
@click.option("--top-p", type=float, default=1.0, help="Only the likeliest that make up p.")
@click.option("--beams", type=int, help="Beam search with so many beams instead of sampling.")
@click.option(
    "--repetition-penalty", type=float, default=1.0, help="Above 1: less of what was written."
)
@click.option("--stop", multiple=True, help="End before this text; again for more.")
@click.option("--samples", type=int, default=1, help="Number of texts.")
@click.option(
    "--unknown",
    type=click.Choice(["error", "skip", "unk"]),
    default="error",
    help="What to do with tokens of the prompt that the model does not know.",
)
@click.option("--seed", type=int, default=0, help="The same seed gives the same text.")
@_json_option
def generate(run, prompt, as_json, samples, beams, **options):
    """Write on from a prompt with the best model of RUN (by default the newest generator).

    Prints the prompt and the text as it is made; several texts with --- between them, or a
    line each where the run learnt lines. With --json {"run", "prompt", "samples"}.

    \b
    kerasrnn generate --prompt "ROMEO:" --temperature 0.8
    kerasrnn generate runs/names-generator-1 --samples 10
    """
    run = _open(run, "generator")
    _import_keras()
    from kerasrnn.tasks.generator import load_writer

    writer = load_writer(run)
    if beams is None:
        pieces = writer.stream(prompt, samples=samples, **options)
        if samples == 1 and not as_json:
            click.echo(prompt, nl=False)
            for (piece,) in pieces:
                click.echo(piece, nl=False)
            click.echo()
            return
        texts = ["".join(rows) for rows in zip(*pieces, strict=True)]
    else:
        texts = writer.search(prompt, beams=beams, samples=samples, **_for_search(options))
    if as_json:
        answer = {"run": str(run), "prompt": prompt, "samples": texts}
        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        click.echo(("\n" if writer.lines else "\n---\n").join(prompt + text for text in texts))


def _for_search(options):
    """The options that beam search has; the others must have been left out."""
    context = click.get_current_context()
    kept = ("length", "stop", "unknown")
    for name in options.keys() - kept:
        if context.get_parameter_source(name).name == "COMMANDLINE":
            raise InputError(f"--{name.replace('_', '-')} with --beams, which does not sample")
    return {name: options[name] for name in kept}


@main.command(context_settings={"show_default": True})
@click.argument("run", type=_RunPath())
@click.argument("text")
@click.option("--alternatives", type=int, default=1, help="Candidates to print for each blank.")
@click.option(
    "--unknown",
    type=click.Choice(["error", "skip", "unk"]),
    default="error",
    help="What to do with tokens of the text that the model does not know.",
)
@_json_option
def infill(run, text, alternatives, unknown, as_json):
    """Fill the blanks of TEXT with the best model of RUN.

    Each _ is a hidden character; of a run of words each word of _ only, such as ____, is a
    hidden word. Of several blanks the surest is filled first, again and again. With
    --alternatives prints the candidates of each blank and their probabilities; with --json
    {"run", "text", "blanks": [[{"token", "probability"}]]}.

    \b
    kerasrnn infill runs/time-machine-infiller-1 "the time ____ sat in the chair"
    """
    run = _open(run, "infiller")
    _import_keras()
    from kerasrnn.tasks.infiller import load_infiller

    filled, blanks = load_infiller(run).fill(text, alternatives=alternatives, unknown=unknown)
    if as_json:
        rows = [[{"token": token, "probability": p} for token, p in row] for row in blanks]
        answer = {"run": str(run), "text": filled, "blanks": rows}
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    click.echo(filled)
    if alternatives > 1:
        for row in blanks:
            click.echo("  ".join(f"{token!r} {p:.4f}" for token, p in row))


@main.command()
@_json_option
def runs(as_json):
    """List the runs in runs/, the oldest first."""
    from kerasrnn.runs import list_runs

    rows = []
    for run in list_runs():
        try:
            rows.append(_run_row(run))
        except InputError as error:  # one broken run must not hide the others
            click.echo(f"kerasrnn: {error}", err=True)
    if as_json:
        click.echo(json.dumps(rows))
        return
    if not rows:
        click.echo("no runs here; 'kerasrnn train' makes one", err=True)
        return
    width = max(len(row["run"]) for row in rows)
    click.echo(f"{'run':<{width}}  {'made (UTC)':<16}  epochs  val_loss  test accuracy")
    for row in rows:
        click.echo(
            f"{row['run']:<{width}}  {row['created'][:16].replace('T', ' ')}  {row['epochs']:>6}"
            f"  {_cell(row['val_loss']):>8}  {_cell(row['test_accuracy']):>13}"
        )


def _stack_units(units, layers, stacked):
    """The width of each layer from --units, --layers and --stacked."""
    if stacked:
        if layers not in (None, 2):
            raise InputError("--stacked means --layers 2", found=f"--layers {layers}")
        layers = 2
    if layers is None:
        return units
    if layers < 1:
        raise InputError("--layers out of range", found=layers, expected="1 or more")
    if len(units) == 1:
        return units * layers
    if len(units) != layers:
        raise InputError(
            "--units and --layers differ",
            found=f"{len(units)} widths for {layers} layers",
            expected="one width, or one for each layer",
        )
    return units


def _open(path, *tasks):
    """The run at ``path``; the newest of the tasks, named on stderr, where there is none."""
    from kerasrnn.runs import latest_run, open_run

    if path is None:
        run = latest_run(tasks=tasks or None)
        click.echo(f"run {run}", err=True)
        return run
    run = open_run(path)
    if tasks and run.task not in tasks:
        raise InputError(
            "another kind of run", where=run, found=run.task, expected=" or ".join(tasks)
        )
    return run


_TITLES = {
    "macro_f1": "macro F1",
    "entity_precision": "ent. prec.",
    "entity_recall": "ent. recall",
    "entity_f1": "entity F1",
    "bits_per_character": "bits/char",
    "bits_per_word": "bits/word",
}


def _print_metrics(metrics):
    rows = {part: metrics[part] for part in ("validation", "test", "baseline") if part in metrics}
    for index, (part, row) in enumerate(rows.items()):
        numbers = {name: value for name, value in row.items() if isinstance(value, float)}
        if index == 0:
            titles = [_TITLES.get(name, name) for name in numbers]
            click.echo(" " * 14 + "".join(f"{title:>{_width(title)}}" for title in titles))
        if "ngram" in row:
            part = f"{row['ngram']}-gram"
        click.echo(
            f"{part:<14}"
            + "".join(
                f"{value:>{_width(title)}.4f}"
                for title, value in zip(titles, numbers.values(), strict=True)
            )
        )


def _width(title):
    return max(10, len(title) + 2)


def _show(plotting, histories, metrics):
    import matplotlib
    import matplotlib.pyplot as plt

    if matplotlib.get_backend().lower() == "agg" and not os.environ.get("MPLBACKEND"):
        raise InputError("no display to open a window on", fix="leave --show out, or set --output")
    size = plotting.panel_size(len(metrics))
    _, axes = plt.subplots(1, len(metrics), squeeze=False, figsize=size, layout="constrained")
    plotting.plot_panels(histories, metrics, axes[0])
    plt.show()


def _as_csv(labels, probabilities):
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["index", "label", "probability"])
    for index, row in enumerate(probabilities):
        writer.writerow([index, labels[row.argmax()], f"{row.max():.6f}"])
    return file.getvalue()


def _as_json(labels, probabilities):
    rows = [
        {
            "label": labels[row.argmax()],
            "probabilities": dict(zip(labels, map(float, row), strict=True)),
        }
        for row in probabilities
    ]
    return json.dumps(rows, ensure_ascii=False) + "\n"


def _run_row(run):
    history = run.history()
    test = run.metrics().get("test", {})
    return {
        "run": str(run),
        "task": run.task,
        "created": run.info["created"],
        "epochs": len(history.get("epoch", ())),
        "val_loss": min(history.get("val_loss", ()), default=None),
        "test_accuracy": test.get("accuracy"),
    }


def _cell(number):
    return "-" if number is None else f"{number:.4f}"
