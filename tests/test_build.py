"""What the build stores, what it says when it fails, and how it shows a site."""

import base64
import importlib.util
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from companion import figures

spec = importlib.util.spec_from_file_location("build", Path(__file__).parents[1] / "workflow" / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)


@pytest.fixture(autouse=True)
def beside_the_script(monkeypatch):
    """`python workflow/build.py` finds the modules that stand beside it."""
    monkeypatch.syspath_prepend(Path(spec.origin).parent)


@pytest.fixture
def figure():
    figures.style()
    picture, axes = plt.subplots(figsize=(5, 3))
    for colour in range(8):
        axes.plot(range(20), [colour + 0.1 * x for x in range(20)], label=f"line {colour}")
    axes.legend()
    drawn = io.BytesIO()
    picture.savefig(drawn)
    plt.close(picture)
    return base64.b64encode(drawn.getvalue()).decode()


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")).astype(int)


def test_a_stored_figure_is_smaller_and_looks_the_same(figure):
    stored = build.with_palette(figure)
    assert len(stored) < 0.6 * len(figure)
    before, after = pixels(figure), pixels(stored)
    assert before.shape == after.shape
    assert np.abs(before - after).mean() < 1
    assert (after[0, 0] == 255).all()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A build folder with a site in it that is a day old."""
    monkeypatch.setattr(build, "BUILD", tmp_path)
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "index.html").write_text("the old site")
    os.utime(tmp_path / "book" / "index.html", (1_700_000_000, 1_700_000_000))
    return tmp_path


@pytest.fixture
def a_build(folder, monkeypatch):
    """Builds a site of two notebooks of which so many run, and whose pages compile or do not."""

    def run(site="book", ran=2, compiles=True):
        def compiled(command, **_):
            assert (folder / "source" / "networks").exists(), "the pages to try are compiled with theirs"
            if compiles:
                (folder / "source" / "_build" / "html").mkdir(parents=True)
                (folder / "source" / "_build" / "html" / "index.html").write_text("the new site")
                (folder / "source" / "_config.yml").write_text("title: Two notebooks")
                (folder / "source" / "_toc.yml").write_text("parts: []")
            return subprocess.CompletedProcess(command, not compiles, "", "")

        monkeypatch.setattr(build, "fresh_copy", lambda name: folder / "source")
        monkeypatch.setattr(build, "all_notebooks", lambda copy: [1, 2])
        monkeypatch.setattr(build, "run_notebooks", lambda notebooks, copy: notebooks[:ran])
        monkeypatch.setattr(build, "write_live_networks", lambda copy: (copy / "networks").touch())
        monkeypatch.setattr(build.subprocess, "run", compiled)
        build.book(site)

    return run


def test_a_build_writes_the_parts_to_be_printed(a_build, folder, monkeypatch):
    import printable

    asked = []
    monkeypatch.setattr(printable, "write", lambda *arguments: asked.append(arguments))
    a_build("site")
    assert asked == [(folder / "site", {"parts": []}, "Two notebooks")]


def shown(monkeypatch, capsys):
    """What `serve` prints before it shows the site."""
    monkeypatch.setattr(build, "PORT", 0)
    monkeypatch.setattr(build.ThreadingHTTPServer, "serve_forever", lambda self: None)
    capsys.readouterr()
    build.serve()
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("how", "why"),
    [({"ran": 1}, "a notebook failed"), ({"compiles": False}, "see the warnings and errors above")],
)
def test_a_failed_build_says_that_the_site_is_older_and_so_does_serve(
    how, why, a_build, folder, monkeypatch, capsys, sentence
):
    assert "older" not in shown(monkeypatch, capsys)
    with pytest.raises(SystemExit) as caught:
        a_build(**how)
    expected = f"The book was not built: {why}; {folder / 'book'} is the site of an earlier build (1"
    assert sentence(caught).startswith(expected)
    assert "is older than the last build, which did not finish.\nShowing" in shown(monkeypatch, capsys)
    a_build()
    assert "older" not in shown(monkeypatch, capsys)
    with pytest.raises(SystemExit, match=rf"^The book was not built: {why}\.$"):
        a_build("site", **how)
    assert "This site, of" in shown(monkeypatch, capsys)


def test_a_build_that_was_stopped_leaves_its_mark(a_build, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "compile_pages", stop)
    with pytest.raises(KeyboardInterrupt):
        a_build()
    assert "is older than the last build" in shown(monkeypatch, capsys)


def test_a_port_that_is_taken_is_said_in_one_sentence(folder, monkeypatch, capsys, sentence):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(build, "PORT", taken.getsockname()[1])
        with pytest.raises(SystemExit) as caught:
            build.serve()
    assert re.match(r"The site cannot be shown at port \d+ \(Address already in use\)", sentence(caught))
    assert not capsys.readouterr().out


def test_a_site_is_shown_until_ctrl_c(folder):
    program = f"""
import importlib.util, pathlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what runs in the background without it
spec = importlib.util.spec_from_file_location("build", {spec.origin!r})
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)
build.BUILD, build.PORT, sys.argv = pathlib.Path({str(folder)!r}), 0, ["build.py", "serve"]
build.main()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=-1, stderr=-1, text=True) as server:
        try:
            address = re.search(r"http://localhost:\d+", server.stdout.readline())[0]
            assert urllib.request.urlopen(address.replace("localhost", "127.0.0.1")).read() == b"the old site"
            server.send_signal(signal.SIGINT)
            _, errors = server.communicate(timeout=30)
        finally:
            server.kill()  # what has ended is not killed, and what has not is not waited for
    assert server.returncode == 0
    assert "Traceback" not in errors


def test_a_second_build_waits_for_the_first(folder, capsys):
    order, first = [], FileLock(folder / ".lock")

    def second():
        with build.alone():
            order.append("second")

    with first:
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.5)
        order.append("first")
    waiting.join(30)
    assert order == ["first", "second"]
    assert capsys.readouterr().out == "Another build runs in this tree; this one waits for it.\n"


def test_every_build_is_alone_and_serve_is_not(monkeypatch, folder):
    alone = FileLock(folder / ".lock")
    locked = {}

    def note(name):
        def noted(*_, **__):
            try:
                alone.acquire(blocking=False)
                alone.release()
                locked[name] = False
            except TimeoutError:
                locked[name] = True

        return noted

    for name in ("book", "refresh", "serve"):
        monkeypatch.setattr(build, name, note(name))
    for what in ("book", "notebooks", "serve"):
        monkeypatch.setattr(sys, "argv", ["build.py", what])
        build.main()
    assert locked == {"book": True, "refresh": True, "serve": False}


def test_the_first_page_gets_the_verdicts_of_today(tmp_path):
    build.draw_what_held(tmp_path)
    assert "holds smaller" in (tmp_path / "book" / "_static" / "what_held.svg").read_text(encoding="utf-8")


def test_the_pages_to_try_get_their_networks_and_examples(tmp_path):
    from companion import live

    build.write_live_networks(tmp_path)
    files = [path.name for path in (tmp_path / "book" / "_static" / "live").iterdir()]
    assert set(files) == {name for page in live.PAGES for name in (f"networks_{page}.js", f"example_{page}.html")}


def test_what_a_screen_reader_stumbles_over_is_mended(tmp_path):
    faults = '<summary><span class="toctree-toggle"></span></summary><div role="list" class="citation-list">'
    (tmp_path / "page.html").write_text(f'{faults}<p role="doc-biblioentry">A</p></div>', encoding="utf-8")
    build.mend(tmp_path)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.startswith('<summary aria-label="Pages of this chapter"><span class="toctree-toggle">')
    assert page.endswith('<div class="citation-list"><p>A</p></div>')
