"""Published files: under ``KERASRNN_DATA``, in the user's cache, or downloaded once."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from pathlib import Path

from kerasrnn.data.readers import formats
from kerasrnn.errors import InputError

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


def unknown(name, names) -> InputError:
    """The error for data that is neither one of ``names`` nor a file or folder."""
    from difflib import get_close_matches

    if Path(name).suffix or os.sep in name:
        return InputError("no such file or folder", found=repr(name))
    close = get_close_matches(name, names, 1)
    return InputError(
        "unknown dataset",
        found=repr(name),
        expected=f"{', '.join(names)}, or the path of a file or folder",
        fix=f"did you mean '{close[0]}'?" if close else None,
    )


def find_mnist() -> Path:
    """The folder with the four MNIST files: under ``KERASRNN_DATA``, or the cache.

    What the cache lacks is downloaded. Raises ``InputError`` where that fails.
    """
    if root := os.environ.get("KERASRNN_DATA"):
        folder = Path(root) / "mnist"
        if folder.is_dir() and len(formats.find_idx(folder)) == len(_MNIST_SHA256):
            return folder
    folder = cache_folder() / "mnist"
    for name, checksum in _MNIST_SHA256.items():
        download(_MNIST_URL + name, folder / name, checksum)
    return folder


def find_text(name) -> Path:
    """The file of a text in ``TEXTS``: under ``KERASRNN_DATA``, in the cache, or downloaded."""
    place, url, sha256 = TEXTS[name]
    if root := os.environ.get("KERASRNN_DATA"):
        path = Path(root) / place
        if path.is_file():
            return path
    download(url, cache_folder() / place, sha256)
    return cache_folder() / place


def cache_folder() -> Path:
    """Where downloads are kept: ``$XDG_CACHE_HOME/kerasrnn``, else ``~/.cache/kerasrnn``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kerasrnn"


def download(url, path, sha256):
    """Get the file at ``url`` to ``path`` unless it is there, and check its SHA-256.

    A progress bar goes to stderr. Raises ``InputError`` where the file cannot be had, saying
    where to put it.
    """
    import keras

    folder, name = path.parent, path.name
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)  # seconds without an answer; get_file itself would wait for ever
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} is not writable")
        with contextlib.redirect_stdout(sys.stderr):
            keras.utils.get_file(name, url, file_hash=sha256, cache_dir=folder, cache_subdir=".")
    except Exception as error:  # get_file raises a bare Exception where the network fails
        raise InputError(
            f"cannot download {url} ({error})",
            fix=f"get {name} by other means and put it into {folder}, or into the folder "
            f"{folder.name} under the one that KERASRNN_DATA names",
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
