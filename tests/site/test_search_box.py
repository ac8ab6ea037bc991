"""What readers of this field type into the search finds the pages that have it."""

from urllib.parse import urlencode

import pytest
from browsing import assert_quiet
from pages import ROOT

pytestmark = pytest.mark.browser


def found(visit, context, query: str) -> list[str]:
    """The pages that the search shows, without what stands behind the #."""
    opened = visit(context, f"search.html?{urlencode({'q': query})}")
    page = opened.page
    page.wait_for_selector("#search-results .search-summary:not(:empty)", timeout=10_000)
    assert_quiet(opened)
    links = page.eval_on_selector_all("#search-results li > a", "els => els.map(el => new URL(el.href).pathname)")
    return sorted(set(links))


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("tau", "notebooks/ponder/overview"),
        ("τ", "notebooks/ponder/overview"),
        ("0.001", "notebooks/ponder/time_penalty"),
        ("lambda", "notebooks/attend/overview"),
        ("λ", "notebooks/attend/overview"),
        ("ACT, τ = 0.001", "notebooks/ponder/parity"),
    ],
)
def test_search_finds(visit, desktop, query, name):
    assert f"/{name}.html" in found(visit, desktop, query)


def test_letter_and_name_find_the_same(visit, desktop):
    assert found(visit, desktop, "τ") == found(visit, desktop, "TAU")
    assert found(visit, desktop, "Λ") == found(visit, desktop, "lambda")


def test_number_is_not_taken_apart(visit, desktop, site):
    pages = found(visit, desktop, "0.001")
    assert pages
    for page in pages:
        assert "0.001" in (site / page.removeprefix("/")).read_text(), page


def test_browser_splits_as_python_does(visit, desktop, monkeypatch):
    """What is asked for is compared with what the pages were split into."""
    monkeypatch.syspath_prepend(ROOT / "book" / "_ext")
    from search_words import SearchWords

    texts = ["ACT, τ = 0.001", "time_penalty=1e-2", "act-0.001-0.003-prefix", "λ_t, ρ(t) ≤ Σ"]
    texts += ["v0.1.0. 3.", "naïve 5 %", "h₀", ""]
    page = visit(desktop, "search.html").page
    assert page.evaluate("texts => texts.map(splitQuery)", texts) == [SearchWords({}).split(text) for text in texts]
