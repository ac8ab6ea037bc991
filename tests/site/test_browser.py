"""The pages in a real browser, each loaded once: console, other hosts, mathematics, images, phone, paper, dark mode."""

import re
import shutil
from pathlib import Path

import pytest
from layout import (
    PAPER,
    THIN,
    assert_accessible,
    assert_nothing_is_cut,
    assert_paper_has_all_and_no_buttons,
    assert_what_scrolls_shows_it,
)
from pages import PARTS, toc_pages
from playwright.sync_api import sync_playwright

pytestmark = pytest.mark.browser

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

    def open_page(context, name):
        visits.append(Visit(context, address, name))
        return visits[-1]

    yield open_page
    for each in visits:
        each.page.close()


def assert_quiet(visit):
    assert visit.elsewhere == []
    assert visit.missing == []
    assert [error for error in visit.errors if KNOWN_ERROR not in error] == []


def assert_mathematics_is_rendered(page):
    unrendered = "els => els.filter(el => !el.querySelector('mjx-container')).map(el => el.textContent)"
    assert page.eval_on_selector_all("article .math", unrendered) == []
    assert page.locator("mjx-merror").count() == 0
    prose = page.evaluate(
        "() => { const copy = document.querySelector('article').cloneNode(true);"
        " copy.querySelectorAll('pre, code, script, style, mjx-container').forEach(el => el.remove());"
        " return copy.textContent }"
    )
    assert "$$" not in prose
    assert not re.search(r"\\\(|\\\[|\\frac|\\sum", prose)


def assert_images_are_shown(page):
    page.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
    page.wait_for_function("[...document.images].every(image => image.complete)")
    assert page.eval_on_selector_all("img", "els => els.filter(el => !el.naturalWidth).map(el => el.src)") == []


def assert_equations_have_their_numbers(page, source):
    """As the page's file asks for them, in this order."""
    asked = re.findall(r"\\tag\{([^}]*)\}", source)
    labels = page.eval_on_selector_all("article [id^='mjx-eqn:']", "els => els.map(el => el.id)")
    assert [label.removeprefix("mjx-eqn:") for label in labels] == asked


def assert_no_sideways_scroll(page):
    width = page.evaluate("document.documentElement.scrollWidth")
    wide = page.evaluate(
        "() => [...document.querySelectorAll('article *')].filter(el => el.getBoundingClientRect().right > 391)"
        ".map(el => el.tagName + '.' + el.className).slice(0, 10)"
    )
    assert width <= 390, wide


def luminance(colour: str) -> float:
    red, green, blue = map(float, re.findall(r"[\d.]+", colour)[:3])
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


def assert_dark(page):
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) < 0.2
    assert luminance(page.evaluate("getComputedStyle(document.querySelector('article p')).color")) > 0.6
    for background, effect in page.eval_on_selector_all(
        "article .cell_output img, article figure img",
        "els => els.map(el => [getComputedStyle(el).backgroundColor, getComputedStyle(el).filter])",
    ):
        assert background == "rgb(255, 255, 255)"
        assert effect == "none"


@pytest.mark.parametrize("name", toc_pages())
def test_page(visit, desktop, site, name):
    opened = visit(desktop, f"{name}.html")
    page = opened.page
    assert_quiet(opened)
    assert_mathematics_is_rendered(page)
    assert_equations_have_their_numbers(page, (site / f"{name}.html").read_text())
    assert_images_are_shown(page)
    assert_nothing_is_cut(page)
    opened.become_paper()
    assert_paper_has_all_and_no_buttons(page)
    opened.become_phone()
    assert_no_sideways_scroll(page)
    assert_what_scrolls_shows_it(page)
    opened.become_desktop()
    page.evaluate(THIN)
    assert_accessible(page)
    opened.become_dark()
    assert_dark(page)
    assert_accessible(page, runOnly=["color-contrast"])  # the rest is the same in the dark
    assert_quiet(opened)


def test_a_line_of_88_characters_fits_beside_both_sidebars(visit, desktop):
    """The length to which the code in notebooks is held."""
    page = visit(desktop, "notebooks/ponder/parity.html").page
    line = "pre => { pre.textContent = 'x'.repeat(88); pre.style.whiteSpace = 'pre' }"
    page.eval_on_selector(".cell_input pre", line)
    assert page.eval_on_selector(".cell_input pre", "pre => pre.scrollWidth <= pre.clientWidth")
    assert page.locator(".bd-sidebar-primary").is_visible()
    assert page.locator(".bd-sidebar-secondary").is_visible()


def test_captions_are_dark_enough_to_read(visit, desktop):
    page = visit(desktop, "book/index.html").page
    size, weight = page.eval_on_selector(
        "article figcaption", "el => [parseFloat(getComputedStyle(el).fontSize), +getComputedStyle(el).fontWeight]"
    )
    assert size >= 15
    assert weight >= 400


def test_paper_is_white_in_dark_mode(visit, browser):
    page = visit(browser.new_context(viewport=DESKTOP, color_scheme="dark"), "notebooks/ponder/parity.html").page
    assert_dark(page)
    page.emulate_media(media="print", color_scheme="dark")
    assert luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) > 0.99
    for part in ("article p", "article .highlight pre", "article .highlight .kc", "article td"):
        assert luminance(page.eval_on_selector(part, "el => getComputedStyle(el).color")) < 0.2


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_printed_whole(visit, desktop, part):
    opened = visit(desktop, f"print-{part}.html")
    assert_quiet(opened)
    assert_images_are_shown(opened.page)
    opened.become_paper()
    assert_nothing_is_cut(opened.page)


def test_page_that_is_dark_from_the_start(visit, browser):
    context = browser.new_context(viewport=DESKTOP, color_scheme="dark")
    assert_dark(visit(context, "notebooks/ponder/gradient.html").page)


def test_search_finds_a_word(visit, desktop):
    page = visit(desktop, "search.html?q=papermill").page
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li a").count() > 0


def test_phone_menu_opens(visit, phone):
    page = visit(phone, "book/how_to_run.html").page
    assert_no_sideways_scroll(page)
    page.locator("button.primary-toggle:visible, label.primary-toggle:visible").first.click()
    page.wait_for_selector("nav.bd-links a:visible")
