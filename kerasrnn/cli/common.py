"""What the verbs share: errors as one line, types of arguments, options, the model to use."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from kerasrnn.errors import InputError, Terminated

_WIDTH = 100  # columns of a help text at most
_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}  # exit codes, as a shell gives them
_QUIET = "kerasrnn.quiet"
_PACKAGE = Path(__file__).parents[1]
_FILES_OF_MODELS = ("run.json", "signature.json", "saved_model.pb")


class Group(click.Group):
    """The verbs. Turns every error into one line on stderr.

    The exit code is 2 where the input is to blame, 1 where the program is, 130 after
    Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, *arguments, **settings):
        context = {"help_option_names": ["-h", "--help"], "max_content_width": _WIDTH}
        super().__init__(*arguments, context_settings=context, **settings)

    def list_commands(self, ctx):
        return list(self.commands)

    def parse_args(self, ctx, args):
        for argument in args:
            try:
                argument.encode()
            except UnicodeEncodeError as error:
                raise Refusal(f"an argument that is not UTF-8: found {argument!r}") from error
        return super().parse_args(ctx, args)

    def invoke(self, ctx):
        warnings.showwarning = _show_warning
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _terminate)
        if sys.stderr.isatty():
            _show_progress()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            terminated = isinstance(error, Terminated)
            ctx.exit(_CODES[signal.SIGTERM if terminated else signal.SIGINT])
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # the reader of our output has left; click knows
            if ctx.params["debug"]:
                traceback.print_exc()
            raise _refusal(error) from error


class Refusal(click.ClickException):
    """An error as one line."""

    def __init__(self, message: str, exit_code: int = 2):
        super().__init__(" ".join(message.split()))
        self.exit_code = exit_code

    def show(self, file=None):
        click.echo(f"kerasrnn: {self.message}", err=True)


def _terminate(*_):
    raise Terminated


_RAISING = (signal.default_int_handler, _terminate)


def _refusal(error):
    """What an exception means to the user."""
    if isinstance(error, InputError):
        return Refusal(str(error))
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return Refusal(f"{place}{error.strerror or error}")
    name = type(error).__name__
    if isinstance(error, MemoryError) or name == "ResourceExhaustedError":  # TensorFlow's
        return Refusal("out of memory; choose fewer --units or a smaller --batch-size")
    said = (str(error).strip().splitlines() or ["no message"])[0]
    fix = "run it again as 'kerasrnn --debug …' to see where, and please report it"
    return Refusal(f"internal error: {name}: {said}; {fix}", exit_code=1)


def _show_warning(message, category, filename, *_):
    """A warning of ours as one line; those of libraries are for their developers."""
    if Path(filename).is_relative_to(_PACKAGE) and not is_quiet():
        click.echo(f"kerasrnn: {message}", err=True)


def _show_progress():
    """Show what the log says of work that takes its time, on one line of the terminal."""
    handler = logging.StreamHandler(sys.stderr)
    handler.terminator = "\r"
    handler.setFormatter(logging.Formatter("\x1b[K%(message)s"))
    handler.addFilter(lambda record: not is_quiet())
    log = logging.getLogger("kerasrnn")
    log.setLevel(logging.INFO)
    log.handlers = [handler]


class GroupedOption(click.Option):
    """An option under a heading of its own in the help."""

    def __init__(self, *arguments, group: str = "Options", **settings):
        super().__init__(*arguments, **settings)
        self.group = group


class Verb(click.Command):
    """A command whose help shows its options in groups, all in the same two columns.

    Each verb has --quiet, --json (the argument ``as_json``; ``json`` is its help), with
    ``output``, its metavar and help, --output, a ``Path`` or None, and unless ``runs`` is false
    --runs-dir.
    """

    def __init__(
        self, *arguments, output=None, json="Print the results as JSON", runs=True, **settings
    ):
        super().__init__(*arguments, **settings)
        make = partial(GroupedOption, group="Output")
        if runs:
            root = {"callback": _set_runs, "help": "Where runs are  [$KERASRNN_RUNS or runs]"}
            self.params.append(make(["--runs-dir"], metavar="DIR", expose_value=False, **root))
        if output:
            place = _OutputPath(dir_okay=output[0] != "FILE", path_type=Path)
            names = ["-o", "--output"]
            self.params.append(make(names, type=place, metavar=output[0], help=output[1]))
        quiet = {"callback": _set_quiet, "help": "Print nothing on stderr but errors"}
        self.params += [
            make(["-q", "--quiet"], is_flag=True, expose_value=False, **quiet),
            make(["--json", "as_json"], is_flag=True, help=json),
        ]

    def format_options(self, ctx, formatter):
        groups = {}
        for option in self.get_params(ctx):
            if isinstance(option, click.Option) and not option.hidden:
                names, said = option.get_help_record(ctx)
                row = (names, said.removesuffix("."))
                groups.setdefault(getattr(option, "group", "Output"), []).append(row)
        width = max(len(names) for rows in groups.values() for names, _ in rows)
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl([(f"{names:<{width}}", said) for names, said in rows], width)


verb = partial(click.command, cls=Verb)
option = partial(click.option, cls=GroupedOption)


class Completed(click.ParamType):
    """A string that the shell completes with names, or else with files or directories.

    sources: functions that give the names. other: ``"file"`` or ``"dir"``.
    """

    def __init__(self, name: str, other: str, *sources: Callable[[], Iterable[str]]):
        self.name, self.other, self.sources = name, other, sources

    def shell_complete(self, ctx, param, incomplete):
        from click.shell_completion import CompletionItem

        names = (name for source in self.sources for name in source())
        found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type=self.other)]


def _runs_and_exports():
    from kerasrnn.runs import list_runs

    exports = Path("saved_models").glob("*/signature.json")
    return [*map(str, list_runs()), *(str(path.parent) for path in exports)]


def _data_sets():
    from kerasrnn.data.kinds import NAMES

    return NAMES


RUN = Completed("run", "dir", _runs_and_exports)
DATA = Completed("data", "file", _data_sets)
RUN_OR_DATA = Completed("input", "file", _runs_and_exports, _data_sets)


class _OutputPath(click.Path):
    def convert(self, value, param, ctx):
        if not os.fspath(value):
            self.fail("an empty path", param, ctx)
        return super().convert(value, param, ctx)


def _set_runs(ctx, param, value):
    if value:
        os.environ["KERASRNN_RUNS"] = value  # for the processes of this one too


def _set_quiet(ctx, param, value):
    ctx.meta[_QUIET] = value or ctx.meta.get(_QUIET, False)  # said before a verb below this one


def is_quiet() -> bool:
    """Whether the user wants nothing but results."""
    context = click.get_current_context(silent=True)  # none in a thread, or after the command
    return bool(context and context.meta.get(_QUIET))


def talk(message: str):
    """Print to stderr what is no result, unless the user wants to be left in peace."""
    if not is_quiet():
        click.echo(message, err=True)


def find_run(path: str | None, task: str | None = None):
    """The run at a path; the newest, of a task if one is given, where there is no path."""
    from kerasrnn.runs import latest_run, open_run

    if path is not None:
        return open_run(path)
    run = latest_run(task=task)
    talk(f"run {run}")
    return run


def load_predictor(path: str | None, task: str | None = None):
    """The run or export at a path, or the newest run: itself, its ``Task``, its ``Predictor``.

    A run that is not there is refused before TensorFlow is imported.
    """
    source = path if path is not None and _may_be_export(path) else find_run(path, task)
    import_tensorflow()
    from kerasrnn.inference.exports import MODEL
    from kerasrnn.inference.loading import open_source
    from kerasrnn.tasks import task_of

    source = open_source(source)
    if source.task == MODEL:
        raise InputError(
            "a plain Keras model, which takes no files or texts",
            where=source,
            fix="call it in Python: kerasrnn.load_export(path).call(...)",
        )
    row = task_of(task or source.task)
    return source, row, row.predictor.load(source)


def split_model(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """The path of the model that comes first, None for the newest run, and the other arguments."""
    from kerasrnn.runs import runs_folder

    first, *rest = arguments or ("",)
    files = (os.path.join(first, name) for name in _FILES_OF_MODELS)
    meant = {runs_folder(), Path("saved_models")} & {*Path(first).parents}
    if first and ((meant and not os.path.isfile(first)) or any(map(os.path.isfile, files))):
        return first, rest
    return None, list(arguments)


def _may_be_export(path):
    return os.path.isdir(path) and not os.path.exists(os.path.join(path, "run.json"))


def import_tensorflow():
    """Import TensorFlow, and Keras with it, without TensorFlow's start-up lines.

    Some of them come before any of its settings counts, hence the closed file descriptor. Ctrl-C
    and SIGTERM end the process at once: raised within an import from C, they could be lost.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    before = {number: signal.getsignal(number) for number in _CODES}
    raising = [number for number, old in before.items() if old in _RAISING]
    for number in raising:
        signal.signal(number, lambda number, _: os._exit(_CODES[number]))
    try:
        with no_stderr():
            import tensorflow  # noqa: F401
    finally:
        for number in raising:
            signal.signal(number, before[number])


@contextmanager
def no_stderr() -> Iterator[None]:
    """Nothing on stderr, not from C either."""
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)
