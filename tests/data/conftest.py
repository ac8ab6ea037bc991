"""A small MNIST of noise, an HTTP server on this machine that serves it, and an empty cache."""

import gzip
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pooch
import pytest

from companion.data import files

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
DIGITS = 400


class Server:
    """Serves files of bytes, understands Range, and can break a transfer off, spoil it or refuse it."""

    def __init__(self):
        self.files, self.requests, self.stop_after, self.status, self.ranges = {}, [], None, None, True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}/"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def answer(self, handler):
        name, wanted = handler.path.lstrip("/"), handler.headers.get("Range")
        self.requests.append((name, wanted))
        body = self.files.get(name)
        if self.status or body is None:
            handler.send_error(self.status or 404)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and self.ranges else 0
        if start >= len(body):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        handler.wfile.write(body[start : start + self.stop_after] if self.stop_after else body[start:])

    def asked(self, name):
        return [wanted for asked, wanted in self.requests if asked == f"{name}.gz"]

    def close(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and no mirror."""
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.delenv("COMPANION_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache" / "remind-attend-ponder" / "mnist"


@pytest.fixture
def left_over(cache):
    """Lists the files in the cache but the locks, which are empty and stay."""
    return lambda: sorted(path.name for path in cache.glob("*") if path.suffix != ".lock")


@pytest.fixture
def announce(server, monkeypatch):
    """Makes the table of files point to the local server, with the checksum of the given bytes."""

    def announce(name, raw, hosts=None):
        addresses = tuple(f"{host}{name}.gz" for host in hosts or [server.address])
        file = files.File(addresses, "md5:" + hashlib.md5(raw).hexdigest())
        monkeypatch.setitem(files.FILES, f"mnist/{name}.gz", file)

    return announce


@pytest.fixture
def digits(server, cache, announce):
    """Random digits and labels, served and announced. Returns the raw IDX bytes by name."""
    draw = np.random.default_rng(0)
    raw = {
        IMAGES: idx(draw.integers(0, 256, (DIGITS, 28, 28))),
        LABELS: idx(draw.integers(0, 10, DIGITS)),
    }
    for name, content in raw.items():
        server.files[f"{name}.gz"] = gzip.compress(content, mtime=0)
        announce(name, content)
    return raw


def idx(array):
    """The bytes of an IDX file of unsigned bytes."""
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()
