import functools
import os
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browsing import browser, desktop, phone, visit  # noqa: F401
from pages import built_site


@pytest.fixture(scope="session")
def site() -> Path:
    return built_site()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def address(site):
    """The site served on this machine, as http://127.0.0.1:<port>."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """In continuous integration a browser test that is skipped has failed: nobody would look for it."""
    report = yield
    if report.skipped and item.get_closest_marker("browser") and os.environ.get("CI") == "true":
        *_, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"A browser test was skipped where CI is true ({reason})."
    return report
