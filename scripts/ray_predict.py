"""Predict tables of any size on the machines of a Ray cluster, with an export.

    pip install 'kerasrnn[ray]'
    python scripts/ray_predict.py saved_models/reviews new.csv -o labelled --workers 8
    python scripts/ray_predict.py saved_models/waves folder-of-parquet/ -o labelled --cpus 2

Each worker loads the export once. Tables are read in parts of ``--rows`` rows, as ``kerasrnn
predict`` reads them; every part is predicted by a worker and becomes one Parquet file,
``OUTPUT/<name of the input file>/part-000000.parquet``, written whole or not at all. The same
command goes on with what is missing after it was stopped, whatever stopped it, and the parts are
the same as without. ``pyarrow.dataset.dataset(OUTPUT)``, Spark, Polars and DuckDB read them all.

Where a row is no sequence by itself (a step a row with an id; series; arrays; the texts of a
tagger), a part is a whole file: give a folder of many.

The machines must see EXPORT, INPUT and OUTPUT under one path. A SavedModel is code that is run:
use only exports from people you trust.
"""

from __future__ import annotations

import copy
import functools
import logging
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import click
from ray_cluster import ADDRESS, Command, connected

from kerasrnn.cli.common import import_tensorflow
from kerasrnn.errors import InputError
from kerasrnn.files import read_json, write_json

STATE = "_input.json"  # beside the parts; readers of Parquet folders leave out names with _
_BY_ROW = ("texts", "wide")  # layouts of tables whose rows stand for themselves
_LARGEST = 1 << 25  # bytes of a part, about
_MOST_TASKS = 1000  # that read files
_PAUSE = 10  # seconds between lines of progress


# --- what is to be done -------------------------------------------------------------------


def files_of(inputs, output, tables) -> dict[str, Path]:
    """The files to predict by the names of their folders in the output.

    tables: whether only tables are meant, of a folder and those in it.
    """
    from kerasrnn.data.readers.part_files import TABLES, is_named

    found = {}
    for path in map(Path, inputs):
        if not path.exists():
            raise InputError(f"no file or folder {path}")
        if path.is_dir() and output.resolve().is_relative_to(path.resolve()):
            raise InputError("the output is within the input", where=output, fix="choose another")
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in below:
            name = file.relative_to(path) if path.is_dir() else Path(file.name)
            if path.is_dir() and not (file.is_file() and _is_meant(name)):
                continue
            if path.is_dir() and tables and not is_named(file, *TABLES):
                continue
            if name.as_posix() in found:
                raise InputError("two files of one name", found=f"{file}, {found[str(name)]}")
            found[name.as_posix()] = file.absolute()
    if not found:
        expected = " or ".join(TABLES) if tables else "any file"
        raise InputError("nothing to predict", where=" ".join(map(str, inputs)), expected=expected)
    return found


def _is_meant(name):
    """Whether no part of a name says that it is hidden."""
    return not any(part.startswith((".", "_")) for part in name.parts)


def begin(place, file, **said) -> set[int] | None:
    """Make ready the folder of a file's parts; the numbers of those there, None if all are.

    said: what all parts must be made with.
    """
    about = os.stat(file)
    version = {"size": about.st_size, "modified": about.st_mtime_ns}
    state = place / STATE
    before = read_json(state, dict) if state.exists() else None
    if before is not None and any(before.get(name) != said[name] for name in said):
        name = next(name for name in said if before.get(name) != said[name])
        raise InputError(
            f"predicted before with other {name}",
            where=place,
            found=str(said[name])[:12],
            expected=str(before.get(name))[:12],
            fix="repeat it, or choose another --output",
        )
    if before is not None and any(before.get(name) != version[name] for name in version):
        shutil.rmtree(place)
        click.echo(f"{file} has changed: all of it is predicted again", err=True)
        before = None
    if before is None:
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write {place}", found=error.strerror) from error
        write_json(state, {**said, **version, "parts": None})
    elif before.get("parts") is not None:
        return None
    return {int(path.stem.removeprefix("part-")) for path in place.glob("part-*.parquet")}


# --- on the machines ----------------------------------------------------------------------


def part_path(output, name, number) -> Path:
    """The file of a part."""
    return Path(output) / name / f"part-{number:06}.parquet"


def read(batch, *, files, done, rows, encoding):
    """The parts of some files that are not done, and at the end of each file their number.

    rows: of a part; None where a part is a whole file, which is left to the worker. done: the
    parts that were there at the start, and not those that are there by now: where a machine was
    lost, Ray asks for the same parts once more.
    """
    from kerasrnn.data.readers.tables import open_table

    for name in batch["name"]:
        number = 0
        try:
            if rows is None:
                if 0 not in done[name]:
                    yield _row(name, 0)
                number = 1
            else:
                first = 0
                for found in cut(open_table(files[name], encoding=encoding).batches(), rows):
                    if number not in done[name]:
                        yield _row(name, number, first, _to_bytes(found))
                    number, first = number + 1, first + found.num_rows
        except InputError as error:
            yield _row(name, number, error=str(error))
        else:
            yield _row(name, -1, parts=number)


def _row(name, number, first=0, data=b"", parts=0, error=""):
    values = {"name": name, "number": number, "first": first, "data": data}
    return {key: [value] for key, value in (values | {"parts": parts, "error": error}).items()}


def cut(batches, rows):
    """Record batches of a number of rows each, or of fewer where these are large."""
    import pyarrow as pa

    held, number, size = [], 0, 0
    for batch in batches:
        while batch.num_rows:
            some = batch.slice(0, rows - number)
            batch = batch.slice(some.num_rows)
            held.append(some)
            number, size = number + some.num_rows, size + some.nbytes
            if number == rows or size >= _LARGEST:
                yield pa.Table.from_batches(held).combine_chunks().to_batches()[0]
                held, number, size = [], 0, 0
    if held:
        yield pa.Table.from_batches(held).combine_chunks().to_batches()[0]


def _to_bytes(batch):
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def part_of(table, first, rows):
    """Some rows of a table as one; first: the number of the first of them."""
    part = copy.copy(table)
    part.batches = lambda columns=None: iter([rows.select(list(columns or table.columns))])
    part.line = lambda row: table.line(first + row)
    return part


class Worker:
    """Predicts parts with an export, which it loads once, and writes them."""

    def __init__(self, export, output, files, encoding, cpus):
        os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # a GPU may be shared
        import tensorflow as tf

        from kerasrnn.data.readers.tables import open_table

        tf.config.threading.set_intra_op_parallelism_threads(max(1, int(cpus)))
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self.output, self.files, self.encoding = output, files, encoding
        self.open = functools.lru_cache(16)(lambda file: open_table(file, encoding=encoding))
        self.load = functools.cache(lambda: _load(export))

    def __call__(self, batch):
        import tensorflow as tf

        row = {name: values[0] for name, values in batch.items()}
        began, rows = time.time(), 0
        if row["number"] >= 0 and not row["error"]:
            try:
                rows = self.predict(row["name"], int(row["number"]), row["first"], row["data"])
            except InputError as error:
                row["error"] = str(error)
            except (tf.errors.OpError, MemoryError) as error:
                said = str(error).strip().splitlines() or [type(error).__name__]
                row["error"] = f"{self.files[row['name']]}: {said[0]}"
        told = {name: row[name] for name in ("name", "number", "parts", "error")}
        told |= {"rows": rows, "began": began, "ended": time.time()}
        return {name: [value] for name, value in told.items()}

    def predict(self, name, number, first, data):
        """Write one part; returns the number of its rows."""
        import pyarrow as pa

        from kerasrnn.data.writers import write_table

        task, predictor = self.load()
        source, batch = self.files[name], None
        if data:
            batch = pa.ipc.open_stream(data).read_next_batch()
            source = part_of(self.open(source), int(first), batch)
        elif predictor.reading.get("layout") == "long":
            batch = next(self.open(source).batches())
        types = {field.name: field.type for field in batch.schema} if batch else {}
        said = task.predictions(predictor, [source], self.encoding)
        if said.columns is None:
            fix = "run scripts/predict_files.py"
            raise InputError(f"the texts of a {task.name} are no table", fix=fix)
        path = part_path(self.output, name, number)
        return write_table(path, map(said.columns, said.batches), types)


def _load(export):
    from kerasrnn.inference.loading import open_source
    from kerasrnn.tasks import task_of

    source = open_source(export)
    task = task_of(source.task)
    return task, task.predictor.load(source)


# --- all of it ----------------------------------------------------------------------------


def run(export, files, output, done, *, rows, encoding, workers, cpus, gpus):
    """What is told of each part, as soon as it is there: the work of ``Worker.__call__``."""
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.target_max_block_size = 1  # a block a part, so that any worker may take it
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    blocks = min(len(done), _MOST_TASKS)
    names = ray.data.from_items([{"name": name} for name in done], override_num_blocks=blocks)
    paths = {name: str(files[name]) for name in done}
    given = {"files": paths, "done": done, "rows": rows, "encoding": encoding}
    parts = names.map_batches(
        read,
        fn_kwargs=given,
        batch_size=1,
        num_cpus=0,  # the workers have all CPUs that there are
        concurrency=min(workers, blocks),
    )
    told = parts.map_batches(
        Worker,
        fn_constructor_args=(str(export), str(output), paths, encoding, cpus),
        batch_size=1,
        num_cpus=cpus,
        num_gpus=gpus,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )
    return told.iter_rows()


def predict(export, inputs, output, *, rows, encoding, quiet=False, **engine) -> list[dict]:
    """Predict what is not predicted yet, as the command does; what was told of each new part.

    Raises ``InputError`` where the export, the input or the output is bad.
    """
    import_tensorflow()
    from kerasrnn.inference.exports import read_about

    about = read_about(export)
    by_row = about["reading"].get("layout") in _BY_ROW
    tables = by_row or about["reading"].get("layout") in ("long", "series")
    files = files_of(inputs, output, tables)
    said = {"export": about["digest"], "rows": rows, "encoding": encoding}
    state = {name: begin(output / name, file, **said) for name, file in files.items()}
    done = {name: found for name, found in state.items() if found is not None}
    told, sums, parts, shown = [], dict.fromkeys(done, 0), {}, time.monotonic()
    if done:
        how = {"rows": rows if by_row else None, "encoding": encoding, **engine}
        for row in run(export.absolute(), files, output.absolute(), done, **how):
            if row["error"]:
                raise InputError(row["error"])
            if row["number"] < 0:
                parts[row["name"]] = row["parts"]
            else:
                told.append(row)
                sums[row["name"]] += 1
            name = row["name"]
            if sums[name] + len(done[name]) == parts.get(name):
                place = output / name / STATE
                write_json(place, read_json(place, dict) | {"parts": parts[name]})
            if told and not quiet and time.monotonic() - shown > _PAUSE:
                shown = time.monotonic()
                click.echo(_said(told), err=True)
    if not quiet:
        there = sum(map(len, done.values())), len(files) - len(done)
        before = "; there before: {} parts of these files, {} whole files".format(*there)
        click.echo(_said(told) + (before if any(there) else ""), err=True)
    return told


def _said(told):
    rows = sum(row["rows"] for row in told)
    return f"{rows:,} rows in {len(told):,} new parts"


def benchmark(turns, most, cpus, **work):
    """Print the rows a second of one worker and of ``most``, in turns."""
    rates = {1: [], most: []}
    for _ in range(turns):
        for workers, found in rates.items():
            with tempfile.TemporaryDirectory(dir=".") as folder:
                start = time.time()
                told = predict(output=Path(folder), workers=workers, cpus=cpus, quiet=True, **work)
                began, ended = min(row["began"] for row in told), max(row["ended"] for row in told)
                rows = sum(row["rows"] for row in told)
                found.append((rows / (ended - began), began - start, rows))
    click.echo("| workers | rows | rows/s, lowest | median | highest | seconds to start |")
    click.echo("|---|---|---|---|---|---|")
    for workers, found in rates.items():
        speeds = [rate for rate, *_ in found]
        numbers = (min(speeds), statistics.median(speeds), max(speeds))
        cells = " | ".join(f"{number:,.0f}" for number in numbers)
        begin = statistics.median(start for _, start, _ in found)
        click.echo(f"| {workers} | {found[0][2]:,} | {cells} | {begin:.1f} |")


@click.command(cls=Command, context_settings={"show_default": True})
@click.argument("export", type=click.Path(path_type=Path))
@click.argument("inputs", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder for the parts.")
@click.option("--rows", type=click.IntRange(1), default=1 << 14, help="Of a part.")
@click.option("--encoding", help="Encoding of text files.  [default: that of the training]")
@click.option("--workers", type=click.IntRange(1), default=2, help="Processes that predict.")
@click.option("--cpus", type=click.FloatRange(0.1), default=1.0, help="Of a worker.")
@click.option("--gpus", type=click.FloatRange(0), default=0.0, help="Of a worker.")
@click.option("--benchmark", "turns", type=click.IntRange(1), help="Turns to measure; no output.")
@ADDRESS
def main(export, inputs, output, workers, cpus, gpus, turns, address, **options):
    """Predict the rows of INPUTS, tables and folders of them, with EXPORT, on a Ray cluster.

    The columns of the input are kept, and those predicted follow, as from 'kerasrnn predict'.
    """
    if (output is None) == (turns is None):
        raise click.UsageError("give either --output or --benchmark")
    with connected(address, workers * cpus, workers * gpus):
        work = {"export": export, "inputs": inputs, "gpus": gpus, **options}
        if turns:
            benchmark(turns, workers, cpus, **work)
        else:
            predict(output=output, workers=workers, cpus=cpus, **work)


if __name__ == "__main__":
    main()
