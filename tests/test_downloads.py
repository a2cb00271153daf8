import hashlib
import http.server
import threading

import pytest

from kerasrnn import InputError, load_dataset
from kerasrnn.data import downloads


class _Files(http.server.BaseHTTPRequestHandler):
    content = b"forty-two"

    def do_GET(self):
        if self.path.endswith("absent"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.HTTPServer(("127.0.0.1", 0), _Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_a_download_is_checked_and_kept(server, tmp_path, capsys):
    checksum = hashlib.sha256(_Files.content).hexdigest()
    downloads.download(server + "file", tmp_path / "set" / "file", checksum)
    assert (tmp_path / "set" / "file").read_bytes() == _Files.content
    assert capsys.readouterr().out == ""
    downloads.download(
        "http://127.0.0.1:9/file", tmp_path / "set" / "file", checksum
    )  # not asked for again


@pytest.mark.slow
@pytest.mark.parametrize(
    ("url", "checksum"), [("file", "0" * 64), ("absent", "0" * 64), ("//127.0.0.1:9/x", "0" * 64)]
)
def test_a_failed_download_says_where_to_put_the_file(server, tmp_path, url, checksum):
    url = f"http:{url}" if url.startswith("//") else server + url
    with pytest.raises(InputError, match="cannot download .* put it into .*set.* KERASRNN_DATA"):
        downloads.download(url, tmp_path / "set" / "file", checksum)


def test_mnist_without_network_or_files(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASRNN_DATA", str(tmp_path / "nothing"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(downloads, "_MNIST_URL", "http://127.0.0.1:9/mnist/")
    with pytest.raises(InputError, match="put it into .*cache/kerasrnn/mnist"):
        load_dataset("mnist")
