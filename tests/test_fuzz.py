"""Whatever bytes a file holds: an array, or one InputError."""

import gzip
import io
import json
import tempfile
from pathlib import Path

import numpy as np
from factories import CONLLU, TS_HEADER, TS_ROWS, idx_bytes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kerasrnn import InputError, load_dataset, load_export, open_run
from kerasrnn.data.kinds import kind_of
from kerasrnn.data.readers.conll import read_conll, read_conllu
from kerasrnn.data.readers.idx import read_idx
from kerasrnn.data.readers.ts import read_ts


def npz_bytes():
    file = io.BytesIO()
    np.savez(file, x=np.arange(60.0).reshape(10, 3, 2), y=np.arange(10) % 2)
    return file.getvalue()


IDX, NPZ = idx_bytes(np.zeros((5, 2, 2), "u1")), npz_bytes()
INFO = {"format": 1, "task": "classifier", "created": "", "data": {}, "options": {}, "seed": 0}
JSON = json.dumps(INFO).encode()
SPEC = {"dtype": "float32", "shape": [None, 3]}
ABOUT = {"format": 1, "kind": "saved_model", "task": "tagger", "labels": ["a"], "unit": "word"}
ABOUT |= {"signatures": {"s": {"inputs": {"x": SPEC}, "outputs": {"y": SPEC}}}, "files": {"a": ""}}
CONLL = b"-DOCSTART- -X- O\n\n# text\nNew\tNNP B-LOC\n# # O\n\n\xc3\xa9 NN\tO\n"


def mutations(whole):
    """The bytes with a few of them changed, or cut short, or anything at all."""
    places = st.lists(
        st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), min_size=1, max_size=4
    )

    def change(changes):
        data = bytearray(whole)
        for place, value in changes:
            data[place] = value
        return bytes(data)

    cut = st.integers(0, len(whole)).map(lambda end: whole[:end])
    return st.one_of(places.map(change), cut, st.binary(max_size=80))


def survives(read, name, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            read(path)
        except InputError as error:
            assert "\n" not in str(error)


fuzz = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@fuzz
@given(st.one_of(mutations(IDX), mutations(gzip.compress(IDX, mtime=0))))
def test_idx(data):
    survives(read_idx, "images-idx3-ubyte", data)


@fuzz
@given(mutations(NPZ))
def test_npz(data):
    survives(load_dataset, "a.npz", data)


@fuzz
@given(mutations((TS_HEADER + TS_ROWS).encode()))
def test_ts(data):
    survives(read_ts, "a.ts", data)


@fuzz
@given(mutations(JSON))
def test_run_json(data):
    survives(lambda path: open_run(path.parent), "run.json", data)


@fuzz
@given(mutations(json.dumps(ABOUT).encode()))
def test_signature_json(data):
    """The file that an export named in it lacks, at the latest, is missed."""
    survives(lambda path: load_export(path.parent), "signature.json", data)


@fuzz
@given(st.sampled_from([read_conllu, read_conll]), mutations(CONLLU.encode()) | mutations(CONLL))
def test_conll(read, data):
    def check(path):
        for tokens, labels in read(path):
            assert len(tokens) == len(labels) > 0 and all(tokens) and all(labels)

    survives(check, "a.conll", data)


@fuzz
@given(st.text().map(str.encode) | mutations(b'a,"b"\nc,d\ne,f\n') | mutations(b'[{"a": 1}]\n'))
def test_kind(data):
    survives(kind_of, "a.txt", data)
