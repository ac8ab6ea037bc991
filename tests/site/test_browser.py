"""The pages in a real browser: quiet console, no request to another host, mathematics, phone, dark mode."""

import re
import shutil

import pytest
from pages import toc_pages

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.browser

CHROMIUM = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
KNOWN_ERROR = "THEBE_JS_URL' has already been declared"  # the theme and sphinx-thebe both declare it
every_page = pytest.mark.parametrize("name", toc_pages())


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Visit:
    """An open page, with what its console said and what it asked other hosts for."""

    def __init__(self, browser, address, name, **options):
        self.errors, self.elsewhere, self.missing = [], [], []
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("response", lambda answer: self.missing.append(answer.url) if answer.status >= 400 else None)
        self.context.route(lambda url: not url.startswith((address, "data:", "blob:")), self.refuse)
        self.page.goto(f"{address}/{name}.html", wait_until="load")
        self.page.wait_for_function("!document.querySelector('.math') || document.querySelector('mjx-container')")
        self.page.evaluate("window.MathJax?.startup?.promise")
        self.page.wait_for_load_state("networkidle")

    def refuse(self, route):
        self.elsewhere.append(route.request.url)
        route.abort()


@pytest.fixture
def visit(browser, address):
    visits = []

    def open_page(name, **options):
        visits.append(Visit(browser, address, name, **options))
        return visits[-1]

    yield open_page
    for each in visits:
        each.context.close()


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


@every_page
def test_page_is_whole_and_asks_no_other_host(visit, name):
    opened = visit(name, viewport={"width": 1280, "height": 900})
    assert opened.elsewhere == []
    assert opened.missing == []
    assert [error for error in opened.errors if KNOWN_ERROR not in error] == []
    assert_mathematics_is_rendered(opened.page)
    assert_images_are_shown(opened.page)


@every_page
def test_phone_has_no_sideways_scroll(visit, name):
    page = visit(
        name, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, device_scale_factor=2
    ).page
    width = page.evaluate("document.documentElement.scrollWidth")
    wide = page.evaluate(
        "() => [...document.querySelectorAll('article *')].filter(el => el.getBoundingClientRect().right > 391)"
        ".map(el => el.tagName + '.' + el.className).slice(0, 10)"
    )
    assert width <= 390, wide


def luminance(colour: str) -> float:
    red, green, blue = map(float, re.findall(r"[\d.]+", colour)[:3])
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255


@every_page
def test_dark_mode(visit, name):
    page = visit(name, color_scheme="dark").page
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) < 0.2
    assert luminance(page.evaluate("getComputedStyle(document.querySelector('article p')).color")) > 0.6
    for background, effect in page.eval_on_selector_all(
        "article .cell_output img, article figure img",
        "els => els.map(el => [getComputedStyle(el).backgroundColor, getComputedStyle(el).filter])",
    ):
        assert background == "rgb(255, 255, 255)"
        assert effect == "none"


def test_search_finds_a_word(visit):
    page = visit("search", viewport={"width": 1280, "height": 900}).page
    page.goto(page.url + "?q=papermill")
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li a").count() > 0


def test_phone_menu_opens(visit):
    page = visit("book/how_to_run", viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True).page
    page.locator("button.primary-toggle:visible, label.primary-toggle:visible").first.click()
    page.wait_for_selector("nav.bd-links a:visible")
