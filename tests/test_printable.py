"""A part on one page: all its articles, with links, images and identifiers that still lead somewhere."""

import importlib.util
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

spec = importlib.util.spec_from_file_location("printable", Path(__file__).parents[1] / "workflow" / "printable.py")
printable = importlib.util.module_from_spec(spec)
spec.loader.exec_module(printable)

HEAD = """<head><link rel="stylesheet" href="../../_static/a.css"/><link rel="next" href="b.html"/>
<link rel="icon" href="../../_static/icon.svg"/>
<script>window.MathJax = {}</script><script src="../../_static/mathjax/tex.js"></script>
<script src="../../_static/other.js"></script></head>"""
A = """<article class="bd-article"><h1 id="idea">One</h1><span class="math">x</span>
<a href="b.html">whole</a> <a href="b.html#idea">below</a> <a href="#idea">here</a>
<a href="../../book/data.html#x">elsewhere</a> <a href="https://example.org/b.html">away</a>
<div class="live"><div>an example</div><div data-live-needs hidden><output for="a b">run me</output></div></div>
<script src="../../_static/live/a.js"></script>
<img src="../../_images/a.png"/><input id="tab"/><label for="tab">tab</label></article>"""
B = """<article class="bd-article"><h1 id="idea">Two</h1></article>"""
TOC = {
    "parts": [
        {"chapters": [{"file": "book/first"}]},
        {
            "caption": "Ponder",
            "chapters": [{"file": "notebooks/ponder/a", "sections": [{"file": "notebooks/ponder/b"}]}],
        },
    ]
}


@pytest.fixture
def written(tmp_path):
    (tmp_path / "notebooks" / "ponder").mkdir(parents=True)
    for name, text in (("a", A), ("b", B)):
        page = f"<html>{HEAD}<body><nav>sidebar</nav>{text}</body></html>"
        (tmp_path / "notebooks" / "ponder" / f"{name}.html").write_text(page)
    return printable.write(tmp_path, TOC, "The book")


@pytest.fixture
def page(written):
    return BeautifulSoup(written[0].read_text(), "html.parser")


def test_a_part_with_a_caption_has_a_page_and_only_that(written, page):
    assert [path.name for path in written] == ["print-ponder.html"]
    assert page.title.text == "The book: Ponder"


def test_articles_stand_in_order_without_sidebars(page):
    assert [title.text for title in page.select("article h1")] == ["One", "Two"]
    assert not page.find("nav")


def test_on_paper_stands_what_stands_without_javascript(page):
    assert page.select_one(".live").text.strip() == "an example"
    assert not page.select("article script")


def test_links_lead_within_the_page_or_from_the_root(page):
    assert [link["href"] for link in page.select("article a")] == [
        "#notebooks-ponder-b",
        "#notebooks-ponder-b--idea",
        "#notebooks-ponder-a--idea",
        "book/data.html#x",
        "https://example.org/b.html",
    ]
    assert page.img["src"] == "_images/a.png"


def test_identifiers_stay_unique_and_labels_keep_their_fields(page):
    names = [tag["id"] for tag in page.find_all(id=True)]
    assert len(set(names)) == len(names) == 5
    assert page.label["for"] == page.input["id"]


def test_the_head_has_style_and_mathematics_and_nothing_else(page):
    assert [link["href"] for link in page.head.find_all("link")] == ["_static/a.css", "_static/icon.svg"]
    assert [script.get("src") for script in page.head.find_all("script")] == [None, "_static/mathjax/tex.js"]
