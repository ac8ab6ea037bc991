"""A real browser, one for all files of tests: conftest.py hands its fixtures to them."""

import shutil
from pathlib import Path

import pytest
from layout import PAPER
from playwright.sync_api import sync_playwright

INSTALLED = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--process-per-site",  # every page in one process, which has MathJax compiled
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no other host is found
]
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
KNOWN_ERROR = "THEBE_JS_URL' has already been declared"  # the theme and sphinx-thebe both declare it


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as playwright:
        program = INSTALLED or playwright.chromium.executable_path
        if not Path(program).exists():
            pytest.skip("there is no Chromium: .venv/bin/python -m playwright install chromium brings one")
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def desktop(browser, address):
    """One window for all pages; the page left open in it keeps their process alive."""
    context = browser.new_context(viewport=DESKTOP)
    context.new_page().goto(f"{address}/genindex.html")
    return context


@pytest.fixture
def phone(browser):
    context = browser.new_context(viewport=PHONE, is_mobile=True, has_touch=True, device_scale_factor=2)
    yield context
    context.close()


class Visit:
    """An open page, with what its console said and what it asked other hosts for."""

    def __init__(self, context, address, name):
        self.address = address
        self.errors, self.elsewhere, self.missing = [], [], []
        self.page = context.new_page()
        self.page.set_default_timeout(120_000)  # a whole part on a busy machine
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("response", lambda answer: self.missing.append(answer.url) if answer.status >= 400 else None)
        self.page.on("request", self.note_other_host)
        self.page.goto(f"{address}/{name}", wait_until="load")
        self.page.wait_for_function("!document.querySelector('.math') || document.querySelector('mjx-container')")
        self.page.evaluate("window.MathJax?.startup?.promise")
        self.page.wait_for_load_state("networkidle")

    def note_other_host(self, request):
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.elsewhere.append(request.url)

    def become(self, size, phone=False):
        """Have the same page laid out anew in a window of this size; a phone's as `is_mobile` and `has_touch` do it."""
        session = self.page.context.new_cdp_session(self.page)
        scale = 2 if phone else 1
        session.send("Emulation.setDeviceMetricsOverride", {**size, "deviceScaleFactor": scale, "mobile": phone})
        session.send("Emulation.setTouchEmulationEnabled", {"enabled": phone})
        self.page.wait_for_function(f"innerWidth === {size['width']} && devicePixelRatio === {scale}")

    def become_paper(self):
        self.page.emulate_media(media="print")
        self.become({**DESKTOP, "width": PAPER})

    def become_phone(self):
        self.page.emulate_media(media="screen")
        self.become(PHONE, phone=True)

    def become_desktop(self):
        self.page.emulate_media(media="screen")
        self.become(DESKTOP)

    def become_dark(self):
        self.page.emulate_media(color_scheme="dark")
        self.page.wait_for_function("matchMedia('(prefers-color-scheme: dark)').matches")


@pytest.fixture
def visit(address):
    visits = []

    def open_page(context, name, address=address):
        visits.append(Visit(context, address, name))
        return visits[-1]

    yield open_page
    for each in visits:
        each.page.close()


def assert_quiet(visit):
    assert visit.elsewhere == []
    assert visit.missing == []
    assert [error for error in visit.errors if KNOWN_ERROR not in error] == []
