"""The three overviews: a picture on the first screen, words explained where they first stand, a way to every page."""

import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
# Words that mean something of their own here, by the pattern of all their forms.
WORDS = {
    "remind": {"hand-over": r"hand-?overs?|hands? over|handed over", "summary": r"summar(?:y|ies)"},
    "attend": {"fast weights": r"fast weights"},
    "ponder": {
        "budget": r"budgets?",
        "spends": r"spends?|spent",
        "price": r"prices?",
        "remainder": r"remainders?",
        "halting unit": r"halting units?",
    },
}
IMAGE = re.compile(r"^!\[([^\]]+)\]\(([^)]+)\)$", flags=re.MULTILINE)

every_part = pytest.mark.parametrize("part", WORDS)


def overview(part: str) -> list[nbformat.NotebookNode]:
    return nbformat.read(ROOT / "notebooks" / part / "overview.ipynb", as_version=4).cells


@every_part
def test_the_picture_that_explains_the_mechanism_comes_first(part):
    """Before the first heading of the second level and after a few words, so that it is on the first screen."""
    lead = overview(part)[0].source.partition("\n## ")[0]
    (found,) = IMAGE.finditer(lead)
    assert (ROOT / "notebooks" / part / found[2]).is_file()
    assert len(found[1].split()) >= 20, "say what it shows"
    assert len(lead[: found.start()].split()) <= 75


@every_part
def test_every_figure_has_a_text_that_says_what_it_shows(part):
    for cell in overview(part):
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            shown = cell.metadata["mystnb"]
            assert len(shown.get("image", {}).get("alt", "").split()) >= 20, cell.id
            assert not re.search(r"\d", shown["image"]["alt"]), "a number of ours"
            assert shown["image"]["alt"] != shown["figure"]["caption"]


@pytest.mark.parametrize(
    ("part", "word", "forms"), [(part, word, forms) for part, words in WORDS.items() for word, forms in words.items()]
)
def test_a_word_is_explained_where_it_first_stands(part, word, forms):
    """There it is bold. What only names it counts as no use: a link, the text of a picture, a title."""
    page = "\n".join(cell.source for cell in overview(part))
    page = re.sub(r"^#.*$", "", IMAGE.sub("", page), flags=re.MULTILINE)
    explained = page.index(f"**{word}**")
    assert not re.search(rf"\b(?:{forms})\b", page[:explained], flags=re.IGNORECASE)


@every_part
def test_an_overview_leads_to_what_was_found_and_to_every_page_of_its_part(part):
    cells = overview(part)
    assert "(discussion.ipynb)" in cells[0].source.partition("\n## ")[0]
    onward = cells[-1].source.partition("## Where to go on")[2]
    pages = {path.name for path in (ROOT / "notebooks" / part).glob("*.ipynb")} - {"overview.ipynb"}
    assert pages <= set(re.findall(r"\(([^)/]+\.ipynb)\)", onward))


def test_it_is_said_at_once_that_one_paper_was_read_in_part():
    assert "only in part" in overview("remind")[0].source.partition("\n## ")[0]
