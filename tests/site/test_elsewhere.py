"""The site under the name of its repository, asked for addresses that are wrong, and as files without a server."""

import functools
import threading
from http.server import ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from browsing import KNOWN_ERROR, assert_quiet
from conftest import QuietHandler
from pages import CONFIG

pytestmark = pytest.mark.browser
NAME = urlsplit(CONFIG["repository"]["url"]).path.split("/")[2]


class PagesHandler(QuietHandler):
    """As GitHub Pages: the site is below the name of the repository, and what is missing is answered with 404.html."""

    def do_GET(self):
        self.path = self.path.removeprefix(f"/{NAME}") if self.path.startswith(f"/{NAME}/") else "/nowhere"
        super().do_GET()

    def send_error(self, code, message=None, explain=None):
        answer = (self.site / "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def pages(site):
    handler = functools.partial(type("Handler", (PagesHandler,), {"site": site}), directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{NAME}"
        server.shutdown()


@pytest.mark.parametrize("wrong", ["nowhere.html", "notebooks/remind/of/old/copying.html", "book/nowhere/"])
def test_wrong_address(browser, pages, visit, wrong):
    """Nothing but the page itself is missing, so it has its looks; its words lead to the first page and the search."""
    opened = visit(browser.new_context(), wrong, address=pages)
    page = opened.page
    assert opened.missing == [f"{pages}/{wrong}"]
    opened.missing.clear()
    opened.errors = [error for error in opened.errors if "404" not in error]  # the console names the wrong address
    assert_quiet(opened)
    assert page.locator("article h1").inner_text() == "There is no such page"
    assert page.evaluate("getComputedStyle(document.querySelector('.bd-article-container')).fontFamily") != "serif"
    page.click("article a:has-text('first page')")
    assert page.url == f"{pages}/book/index.html"
    page.go_back()
    page.click("article a:has-text('search')")
    assert page.url == f"{pages}/search.html"


@pytest.mark.parametrize(
    "name", ["index", "book/index", "notebooks/remind/copying", "notebooks/results", "book/api/index"]
)
def test_page_opens_without_a_server(browser, site, name):
    page = browser.new_context().new_page()
    errors, asked = [], []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((site / f"{name}.html").as_uri())
    page.wait_for_selector("article h1")
    page.wait_for_function("!document.querySelector('.math') || document.querySelector('mjx-container')")
    assert [error for error in errors if KNOWN_ERROR not in error] == []
    assert all(url.startswith((site.as_uri(), "data:", "blob:")) for url in asked)
