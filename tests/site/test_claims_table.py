"""The table of claims on the results page: sorted and filtered in the browser, whole without a script."""

import pytest
from browsing import DESKTOP, KNOWN_ERROR, PHONE
from layout import assert_accessible
from pages import toc_pages
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
NAME = "notebooks/results"
TABLE = "article table:has(.claims):not(:has(svg.track)) >> nth=0"
ORDER = "●◐▲✕○–"
PATIENT = 60_000  # milliseconds, on a busy machine


@pytest.fixture(params=["http", "file"])
def results(request, browser, site):
    """The page with its script at work; what its console says is an error."""
    root = request.getfixturevalue("address") if request.param == "http" else site.as_uri()
    with browser.new_context(viewport=DESKTOP) as context:
        page = context.new_page()
        errors = []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{root}/{NAME}.html")
        page.wait_for_selector(".claims-filters")
        yield page
        assert [error for error in errors if KNOWN_ERROR not in error] == []


def rows(page) -> list[tuple[str, str]]:
    """The link of each row, and its verdict."""
    pair = "row => [row.querySelector('a').getAttribute('href'), row.lastElementChild.innerText.trim()]"
    return [tuple(row) for row in page.locator(TABLE).locator("tbody tr").evaluate_all(f"rows => rows.map({pair})")]


def test_sorts_by_verdict(results):
    before = rows(results)
    ranks = [ORDER.index(verdict[0]) for _, verdict in before]
    assert ranks != sorted(ranks), "the table is sorted already, so this shows nothing"
    head = results.locator(TABLE).locator("th").last
    head.get_by_role("button").press("Enter")
    expect(head).to_have_attribute("aria-sort", "ascending", timeout=PATIENT)
    assert [ORDER.index(verdict[0]) for _, verdict in rows(results)] == sorted(ranks)
    head.click()
    expect(head).to_have_attribute("aria-sort", "descending", timeout=PATIENT)
    assert [ORDER.index(verdict[0]) for _, verdict in rows(results)] == sorted(ranks, reverse=True)
    assert sorted(rows(results)) == sorted(before)


def test_sorts_by_our_numbers(results):
    head = results.locator(TABLE).locator("th").nth(2)
    head.click()
    expect(head).to_have_attribute("aria-sort", "ascending", timeout=PATIENT)
    texts = results.locator(TABLE).locator("tbody td:nth-child(3)").all_inner_texts()
    first = [float(text.split()[0].replace(",", "")) for text in texts if text[:1].isdigit()]
    assert len(first) > 10
    assert first == sorted(first)


def test_filters_by_paper_and_verdict(results):
    before = rows(results)
    ponder = [row for row in before if row[0].startswith("ponder/")]
    results.get_by_role("combobox", name="Paper").select_option("Ponder")
    assert rows(results) == ponder
    results.get_by_role("combobox", name="Verdict").select_option("✕ not found")
    both = [row for row in ponder if row[1] == "✕ not found"]
    assert rows(results) == both
    assert 0 < len(both) < len(ponder) < len(before)
    assert results.locator(".claims-filters output").inner_text() == f"{len(both)} of {len(before)} claims"
    results.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert rows(results) == before


def test_paper_has_no_controls(results):
    results.emulate_media(media="print")
    controls = results.locator(".claims-filters, .dt-column-order")
    assert controls.count() == 6
    assert not any(control.is_visible() for control in controls.all())


def test_controls_are_accessible_and_fit_a_phone(results):
    results.set_viewport_size(PHONE)
    assert results.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    box = results.locator(".claims-filters").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    results.evaluate("document.querySelectorAll('tbody tr:nth-child(n + 4)').forEach(row => row.remove())")
    assert_accessible(results)
    results.emulate_media(color_scheme="dark")
    results.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert_accessible(results)


def test_without_a_script_the_whole_table_stands_there(browser, address, results):
    with browser.new_context(viewport=DESKTOP, java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{address}/{NAME}.html")
        assert page.locator(".claims-filters").count() == 0
        assert rows(page) == rows(results)


def test_no_other_page_loads_the_scripts(site):
    for name in toc_pages():
        text = (site / f"{name}.html").read_text()
        assert ("datatables.js" in text, "claims.js" in text) == (name == NAME, name == NAME)
