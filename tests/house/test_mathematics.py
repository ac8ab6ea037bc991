"""Displayed equations with a number reach MathJax in a form that takes one, which needs no browser to see.

Sphinx puts an equation that holds a double backslash into `split`, and one that holds a blank line into `aligned`.
MathJax takes no tag in either, and shows red words in place of the equation. Inside `cases`, `cr` ends a row as well.
"""

import re
from collections import Counter
from pathlib import Path

import nbformat
import pytest
from markdown_it import MarkdownIt
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "book").rglob("*.md"), *(ROOT / "notebooks").rglob("*.ipynb")])
# The parts of the book's parser that make formulas.
PARSER = MarkdownIt().use(dollarmath_plugin, double_inline=True).use(amsmath_plugin)
TAG = re.compile(r"\\tag\*?\{([^}]*)\}")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())


def texts(page: Path) -> list[str]:
    """The Markdown of a page: all of it, or a notebook's cells."""
    if page.suffix == ".md":
        return [page.read_text()]
    return [cell.source for cell in nbformat.read(page, as_version=4).cells if cell.cell_type == "markdown"]


def mathematics(markdown: str) -> tuple[list[str], list[str]]:
    """The displayed formulas of a text, and those in its lines, as the book's parser finds them."""
    tokens = PARSER.parse(markdown)
    tokens += [part for token in tokens for part in token.children or []]
    displayed = [
        token.content
        for token in tokens
        if token.type.startswith(("math_block", "math_inline_double")) or token.info.startswith("{math}")
    ]
    inline = [token.content for token in tokens if token.type == "math_inline"]
    return displayed, inline


def tags(page: Path) -> list[str]:
    """The numbers of a page's displayed formulas."""
    return [tag for text in texts(page) for formula in mathematics(text)[0] for tag in TAG.findall(formula)]


def faults(markdown: str) -> list[str]:
    """The formulas of a text whose tag MathJax would refuse."""
    displayed, inline = mathematics(markdown)
    return [
        formula
        for formula in displayed
        if TAG.search(formula) and ("\\\\" in formula or "\n\n" in formula.strip() or len(TAG.findall(formula)) > 1)
    ] + [formula for formula in inline if TAG.search(formula)]


@every_page
def test_numbered_equations_are_taken_by_mathjax(page):
    assert [formula for text in texts(page) for formula in faults(text)] == []


@every_page
def test_no_number_is_given_twice_on_a_page(page):
    assert [tag for tag, count in Counter(tags(page)).items() if count > 1] == []


def test_there_are_numbered_equations():
    """The parser finds them, as it finds the ones below."""
    found = [tag for page in PAGES for tag in tags(page)]
    assert {"A1", "A13", "F1", "G5", "R5", "S1"} <= set(found)


@pytest.mark.parametrize(
    "formula",
    [
        r"$$a = \begin{cases} 1 \\ 0 \end{cases} \tag{X1}$$",
        "$$a = 1\n\nb = 2 \\tag{X1}$$",
        r"$$a = 1 \tag{X1} \tag{X2}$$",
        "```{math}\na = 1 \\\\ b \\tag{X1}\n```",
        r"so that $a = 1 \tag{X1}$ holds",
    ],
)
def test_faults_are_found(formula):
    assert len(faults(f"Words before.\n\n{formula}\n\nWords after.")) == 1


@pytest.mark.parametrize(
    "formula", [r"$$a = \begin{cases} 1 \cr 0 \end{cases} \tag{X1}$$", r"$$\begin{aligned} a \\ b \end{aligned}$$"]
)
def test_what_renders_is_no_fault(formula):
    assert faults(formula) == []
    assert len(mathematics(formula)[0]) == 1
