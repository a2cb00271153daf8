"""Published files: under ``KERASRNN_DATA``, in the user's cache, or downloaded once."""

from __future__ import annotations

import os
import shutil
import sys
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from kerasrnn.data.readers.idx import find_idx
from kerasrnn.errors import InputError
from kerasrnn.files import atomic, digest

_PATIENCE = 30  # seconds without an answer

TEXTS = {
    "time-machine": (
        "text/timemachine.txt",
        "https://d2l-data.s3-accelerate.amazonaws.com/timemachine.txt",
        "8424dbd9532ac81f7e5f0b6add90e6952baea29158309d7d1bf3884f4e12c516",
    ),
    "shakespeare": (
        "text/tinyshakespeare.txt",
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
    ),
}
# SHA-256 sums of the original files, those whose MD5 sums torchvision publishes.
_MNIST_URL = "https://storage.googleapis.com/cvdf-datasets/mnist/"
_MNIST_SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}


def find_mnist() -> Path:
    """The folder with the four MNIST files: under ``KERASRNN_DATA``, or the cache.

    What the cache lacks is downloaded. Raises ``InputError`` where that fails.
    """
    if root := os.environ.get("KERASRNN_DATA"):
        folder = Path(root) / "mnist"
        if folder.is_dir() and len(find_idx(folder)) == len(_MNIST_SHA256):
            return folder
    folder = cache_folder() / "mnist"
    for name, checksum in _MNIST_SHA256.items():
        download(_MNIST_URL + name, folder / name, checksum)
    return folder


def find_text(title: str) -> Path:
    """The file of a text in ``TEXTS``: under ``KERASRNN_DATA``, in the cache, or downloaded."""
    name, url, sha256 = TEXTS[title]
    if root := os.environ.get("KERASRNN_DATA"):
        path = Path(root) / name
        if path.is_file():
            return path
    download(url, cache_folder() / name, sha256)
    return cache_folder() / name


def cache_folder() -> Path:
    """Where downloads are kept: ``$XDG_CACHE_HOME/kerasrnn``, else ``~/.cache/kerasrnn``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kerasrnn"


def download(url: str, path: Path, sha256: str):
    """Get the file at ``url`` to ``path`` unless it is there, and check its SHA-256.

    Raises ``InputError`` where the file cannot be had, saying where to put it.
    """
    if path.is_file() and digest(path) == sha256:
        return
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            _fetch(url, temporary)
            if digest(temporary) != sha256:
                raise InputError("another file than the one published")
    except (OSError, HTTPException, InputError) as error:
        raise InputError(
            f"cannot download {url} ({error})",
            fix=f"get {path.name} by other means and put it into {folder}, or into the folder "
            f"{folder.name} under the one that KERASRNN_DATA names",
        ) from error


def _fetch(url, path):
    print(f"downloading {url}", file=sys.stderr)
    try:
        with urlopen(url, timeout=_PATIENCE) as answer, open(path, "wb") as file:
            shutil.copyfileobj(answer, file)
    except URLError as error:  # a kind of OSError, which would be taken for one of the disk
        raise InputError(str(error)) from error
