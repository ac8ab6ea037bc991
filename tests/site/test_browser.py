"""The pages in a real browser, each loaded once: console, other hosts, mathematics, images, phone, paper, dark mode."""

import re

import pytest
from browsing import DESKTOP, assert_quiet
from layout import (
    THIN,
    assert_accessible,
    assert_nothing_is_cut,
    assert_paper_has_all_and_no_buttons,
    assert_what_scrolls_shows_it,
)
from pages import PARTS, toc_pages

pytestmark = pytest.mark.browser


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
