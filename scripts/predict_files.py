"""Run a large file through an export, in constant memory, whole or one shard of it.

    python scripts/predict_files.py saved_models/digits images.npz labels.csv
    python scripts/predict_files.py saved_models/moods reviews.txt moods.jsonl
    python scripts/predict_files.py saved_models/names prompts.txt texts.jsonl --max-length 200

It needs TensorFlow, NumPy and Click, not kerasrnn. Each shard is a run of its own that knows
nothing of the others, so any scheduler does. A Slurm array, for one:

    #SBATCH --array=1-8
    python predict_files.py EXPORT INPUT "part-$SLURM_ARRAY_TASK_ID.jsonl" \\
        --shard "$SLURM_ARRAY_TASK_ID/8"

An indexed Kubernetes job gives $((JOB_COMPLETION_INDEX + 1))/N. From Ray, or Spark's
mapPartitions over the numbers 1 to N, call ``predict_file(..., shard=(i, N))``.

A SavedModel is code that is run: use only exports from people you trust.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import zipfile
import zlib
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np

_PIECE = 1 << 20  # bytes of an array that are read at once, one row at least
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class BadInput(click.ClickException):
    """What the user can put right; one line, exit code 2."""

    exit_code = 2


# --- reading ------------------------------------------------------------------------------


def read_rows(path, features):
    """The rows of an input file, one after the other: float arrays (time, features), or texts.

    features: what the export takes a step; None if it takes texts.
    """
    readers = {".npz": _read_npz, ".npy": _read_npy, ".csv": _read_csv_numbers}
    if features is None:
        readers = {".npz": None, ".npy": None, ".csv": _read_csv_texts}
    read = readers.get(path.suffix.lower(), _read_lines if features is None else None)
    if read is None:
        expected = "a .csv or text file" if features is None else "an .npz, .npy or .csv file"
        raise BadInput(f"{path}: the export takes {expected}")
    try:
        yield from read(path) if features is None else read(path, features)
    except FileNotFoundError as error:
        raise BadInput(f"no file {path}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 ({error.reason})") from error
    except (OSError, EOFError, ValueError, csv.Error, zlib.error, zipfile.BadZipFile) as error:
        raise BadInput(f"cannot read {path}: {str(error).splitlines()[0]}") from error


def _read_lines(path):
    with path.open(encoding="utf-8-sig") as file:
        for line in file:
            yield line.removesuffix("\n")


def _csv_rows(path):
    """The rows with anything in them."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from filter(None, csv.reader(file))


def _read_csv_texts(path):
    rows = _csv_rows(path)
    header = next(rows, [])
    if "text" not in header:
        raise BadInput(f"{path}: no column 'text', found {', '.join(header) or 'nothing'}")
    column = header.index("text")
    for number, row in enumerate(rows):
        if len(row) <= column:
            raise BadInput(f"{path}: no text in row {number}")
        yield row[column]


def _read_csv_numbers(path, features):
    """Rows may differ in length; empty cells at the end are none. The first may be a header."""
    rows = _csv_rows(path)
    first = next(rows, None)
    if first is not None and all(map(_is_number, first)):
        rows = itertools.chain([first], rows)
    for number, row in enumerate(rows):
        while row and not row[-1].strip():
            row.pop()
        wrong = next((cell for cell in row if not _is_number(cell)), None)
        if wrong is not None:
            raise BadInput(f"{path}: row {number} holds {wrong[:40]!r}, which is no number")
        if not row or len(row) % features:
            raise BadInput(
                f"{path}: row {number} has {len(row)} values; expected a multiple of {features}, "
                "the features of a step"
            )
        yield _sequence(row, features)


def _sequence(values, features):
    """A copy as float32 (time, features)."""
    with np.errstate(over="ignore"):  # what becomes infinite is refused later
        return np.array(values, "float32").reshape(-1, features)


def _is_number(cell):
    try:
        return float(cell) is not None
    except ValueError:
        return False


def _read_npy(path, features):
    with path.open("rb") as file:
        yield from _sequences(*_read_array(file, path), features, path)


def _read_npz(path, features):
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "x.npy" not in names:
            found = ", ".join(name.removesuffix(".npy") for name in names) or "nothing"
            raise BadInput(f"{path}: no array x, found {found}")
        with archive.open("x.npy") as file:
            shape, rows = _read_array(file, path)
            sequences = _sequences(shape, rows, features, path)
            if "lengths.npy" not in names:
                yield from sequences
                return
            with archive.open("lengths.npy") as file:
                lengths_shape, lengths = _read_array(file, path)
                if lengths_shape != shape[:1]:
                    raise BadInput(f"{path}: lengths is {lengths_shape}; expected {shape[:1]}")
                yield from _cut(sequences, lengths, path)


def _sequences(shape, rows, features, path):
    """The rows (time, features) of x (n, time, features), or (n, time) where that is 1."""
    if len(shape) not in (2, 3) or (shape[2:] or (1,)) != (features,) or not shape[1]:
        raise BadInput(f"{path}: x is {shape}; the export takes (n, time, {features})")
    for row in rows:
        if row.dtype.kind not in "fiub":
            raise BadInput(f"{path}: x is of {row.dtype}; expected numbers")
        yield _sequence(row, features)


def _cut(sequences, lengths, path):
    """Sequences without their padding."""
    for number, (x, length) in enumerate(zip(sequences, lengths, strict=True)):
        if length.dtype.kind not in "iu" or not 1 <= length <= len(x):
            raise BadInput(f"{path}: length {length} of row {number}; expected 1 to {len(x)}")
        yield x[:length]


def _read_array(file, path):
    """Shape and rows of an array, from a file in the .npy format that need not be seekable.

    ``np.load`` would decompress an array of an .npz file whole.
    """
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise BadInput(f"{path}: .npy format {version}; expected one of {list(_HEADERS)}")
    shape, fortran, dtype = _HEADERS[version](file)
    if dtype.hasobject or not shape or (fortran and len(shape) > 1):
        raise BadInput(f"{path}: expected an array of numbers in C order (np.ascontiguousarray)")
    return shape, _array_rows(file, shape, dtype)


def _array_rows(file, shape, dtype):
    size = dtype.itemsize * int(np.prod(shape[1:]))
    at_once = max(1, _PIECE // max(1, size))
    for start in range(0, shape[0], at_once):
        number = min(at_once, shape[0] - start)
        data = file.read(number * size)
        if len(data) < number * size:
            raise EOFError("the array ends early")
        yield from np.frombuffer(data, dtype).reshape(number, *shape[1:])


# --- asking the export --------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Exported:
    """An export: the ``serving_default`` signature of a SavedModel, and what it takes.

    takes: the names of its inputs. features: of a step, None for texts. fields: those of a
    record. record: outputs of a batch → records.
    """

    takes: tuple[str, ...]
    features: int | None
    fields: tuple[str, ...]
    record: Callable
    call: Callable
    loaded: object  # its signatures live no longer than it

    def answer(self, rows, numbers):
        """A record for each of a batch of rows."""
        import tensorflow as tf

        inputs = numbers | (_stacked(rows) if self.features else {self.takes[0]: rows})
        specs = self.call.structured_input_signature[1]
        given = {name: tf.constant(inputs[name], specs[name].dtype) for name in self.takes}
        return list(self.record({k: value.numpy() for k, value in self.call(**given).items()}))


def open_export(path) -> Exported:
    """Load an export made by ``kerasrnn export``. Raises ``BadInput`` for anything else."""
    path = Path(path)
    try:
        about = json.loads((path / "signature.json").read_text(encoding="utf-8"))
        inputs, outputs = (
            about["signatures"]["serving_default"][side] for side in ("inputs", "outputs")
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} is not an export: no signature.json of one") from error
    task, first = about.get("task"), next(iter(inputs), None)
    kind = next((row for row in _RECORDS if row[0] == task and row[1] in outputs), None)
    if kind is None:
        tasks = ", ".join(dict.fromkeys(task for task, _ in _RECORDS))
        raise BadInput(f"{path}: an export of the task {task}; expected one of {tasks}")
    if first not in ("x", "text", "prompt") or "known" in inputs:
        expected = "x, x and lengths, text or prompt"
        raise BadInput(f"{path}: an export that takes {', '.join(inputs)}; expected {expected}")
    if not (path / "saved_model.pb").is_file():
        raise BadInput(f"{path}: no saved_model.pb; only an export as a SavedModel can be run")
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(path)
        call = loaded.signatures["serving_default"]
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise BadInput(f"cannot load {path}: {str(error).splitlines()[0]}") from error
    features = inputs["x"]["shape"][2] if first == "x" else None
    return Exported(tuple(inputs), features, *_RECORDS[kind], call, loaded)


def _stacked(rows):
    """Sequences of any lengths as one array padded with 0, and the lengths."""
    lengths = np.array([len(row) for row in rows], "int32")
    x = np.zeros((len(rows), lengths.max(), rows[0].shape[1]), "float32")
    for row, values in zip(x, rows, strict=True):
        row[: len(values)] = values
    if not np.isfinite(x).all():
        raise ValueError("values that are not finite float32 numbers")
    return {"x": x, "lengths": lengths}


def _labelled(outputs):
    probabilities = outputs["probabilities"].max(-1)
    for label, probability in zip(outputs["label"], probabilities, strict=True):
        yield {"label": label.decode(), "probability": round(float(probability), 6)}


def _several(outputs):
    probabilities = outputs["probabilities"].max(-1)
    for labels, probability in zip(outputs["labels"], probabilities, strict=True):
        real = [label.decode() for label in labels[labels != b""]]
        yield {"labels": real, "probability": round(float(probability), 6)}


def _predicted(outputs):
    for numbers in outputs["prediction"]:
        numbers = numbers.astype(str).astype(float)  # the fewest digits that tell a float32
        yield {"prediction": numbers.item() if numbers.size == 1 else numbers.tolist()}


def _tagged(outputs):
    for tokens, labels in zip(outputs["tokens"], outputs["labels"], strict=True):
        real = tokens != b""
        yield {
            "tokens": [token.decode() for token in tokens[real]],
            "labels": [label.decode() for label in labels[real]],
        }


def _texts(outputs):
    for text in outputs["text"]:
        yield {"text": text.decode(errors="replace")}


_RECORDS = {  # by the task, and an output that there must be
    ("classifier", "label"): (("label", "probability"), _labelled),
    ("classifier", "labels"): (("labels", "probability"), _several),
    ("regressor", "prediction"): (("prediction",), _predicted),
    ("tagger", "labels"): (("tokens", "labels"), _tagged),
    ("infiller", "text"): (("text",), _texts),
    ("generator", "text"): (("text",), _texts),
}


def predict(exported, rows, batch_size, **sampling):
    """Records for rows ``(index, row)``, a batch in memory at a time.

    A batch of an export that takes no lengths holds sequences of one length. sampling: of a
    generator; to its seed the index of the first row of each batch is added.
    """
    import tensorflow as tf

    alike = exported.features is not None and "lengths" not in exported.takes
    for _, group in itertools.groupby(rows, lambda row: alike and len(row[1])):
        while batch := list(itertools.islice(group, batch_size)):
            indices, values = zip(*batch, strict=True)
            numbers = sampling and sampling | {"seed": sampling["seed"] + indices[0]}
            try:
                records = exported.answer(list(values), numbers)
            except (ValueError, TypeError, tf.errors.OpError) as error:
                where = f"rows {indices[0]} to {indices[-1]}"
                raise BadInput(f"{where}: {_reason(error)}") from error
            for index, record in zip(indices, records, strict=True):
                yield {"index": index, **record}


def _reason(error):
    """The line of an error of TensorFlow that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if "expected" in line), lines[0] if lines else repr(error))


# --- writing ------------------------------------------------------------------------------


@contextmanager
def replacing(path):
    """An open text file beside ``path``, moved there when all is written; else removed."""
    place = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with place.open("w", encoding="utf-8", newline="") as file:
            yield file
        os.replace(place, path)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {error.strerror}") from error
    finally:
        place.unlink(missing_ok=True)


def write_jsonl(file, fields, records):
    """One JSON object a line."""
    for record in records:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")


def write_csv(file, fields, records):
    """A header and one row a record; lists as JSON."""
    writer = csv.DictWriter(file, fields)
    writer.writeheader()
    for record in records:
        lists = {name: value for name, value in record.items() if isinstance(value, list)}
        lists = {name: json.dumps(value, ensure_ascii=False) for name, value in lists.items()}
        writer.writerow(record | lists)


_WRITERS = {".jsonl": write_jsonl, ".csv": write_csv}


def predict_file(export, input, output, *, shard=(1, 1), batch_size=256, **sampling):
    """What the command does. shard: (i, n), the rows with index % n == i - 1.

    sampling: max_length, temperature, top_k, top_p and seed, which a generator must have.
    """
    input, output = Path(input), Path(output)
    write = _WRITERS.get(output.suffix)
    if write is None:
        raise BadInput(f"{output}: expected a name that ends in {' or '.join(_WRITERS)}")
    if not input.is_file():
        raise BadInput(f"no file {input}")
    exported = open_export(export)
    number, shards = shard
    rows = itertools.islice(
        enumerate(read_rows(input, exported.features)), number - 1, None, shards
    )
    sampling = sampling if "seed" in exported.takes else {}
    with replacing(output) as file:
        fields = ("index", *exported.fields)
        write(file, fields, predict(exported, rows, batch_size, **sampling))


def _shard(context, parameter, value):
    try:
        number, shards = map(int, value.split("/"))
    except ValueError:
        number = shards = 0
    if not 1 <= number <= shards:
        raise BadInput(f"--shard {value}; expected i/n with 1 ≤ i ≤ n, such as 3/8")
    return number, shards


@click.command(context_settings={"show_default": True})
@click.argument("export", type=click.Path(path_type=Path))
@click.argument("input", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--shard", default="1/1", callback=_shard, help="The i-th of n parts of the rows.")
@click.option("--batch-size", type=click.IntRange(1), default=256, help="Rows in memory.")
@click.option("--max-length", default=500, help="(generator) Tokens to generate at most.")
@click.option("--temperature", default=1.0, help="(generator) 0: the likeliest token.")
@click.option("--top-k", default=0, help="(generator) Choose among the k likeliest; 0: all.")
@click.option("--top-p", default=1.0, help="(generator) The likeliest of total probability p.")
@click.option("--seed", default=0, help="(generator) Same seed, same texts.")
def main(export, input, output, **options):
    """Run INPUT through EXPORT and write OUTPUT, .jsonl or .csv.

    INPUT, for an export that takes numbers: .npz with x (n, time, features) and perhaps
    lengths; .npy; or .csv, a sequence a row, step after step. For one that takes texts: a
    text file, one a line, UTF-8; or .csv with a column text.

    OUTPUT has the index of each row, counted from 0, and: label, or labels, and probability
    (classifier); prediction, a number or a list of them (regressor, but not with known values);
    tokens and labels (tagger); text (infiller, and generator, the prompt left out). It appears
    when it is whole. Shard i of n has the rows whose index leaves i - 1 when divided by n, so
    that all shards together have each row once, whatever the batch size; every shard reads
    through the whole INPUT.

    With one seed a generator writes the same texts again for the same shards and batch size,
    with --batch-size 1 for any shards.
    """
    predict_file(export, input, output, **options)


if __name__ == "__main__":
    main()
