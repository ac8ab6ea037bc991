"""A page answers first: what was found, before any code; figures say what they show; what is long is folded."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(path for path in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
EXPERIMENTS = [path for path in NOTEBOOKS if path.with_suffix(".laptop.yaml").exists()]
FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}
WIDEST = 88  # characters of code that a page of 1,280 pixels shows
MOST_ROWS = 15


def name(path: Path) -> str:
    return path.relative_to(ROOT / "notebooks").with_suffix("").as_posix()


def cells(path: Path) -> list:
    return nbformat.read(path, as_version=4).cells


def tags(cell) -> set[str]:
    return set(cell.metadata.get("tags", []))


def pictures(cell) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_an_experiment_answers_before_it_explains(path):
    """Title, In short with a sentence from the records, a figure and the verdicts; all code up to there is folded."""
    page = cells(path)
    headings = [line for cell in page if cell.cell_type == "markdown" for line in cell.source.splitlines()
                if line.startswith("## ")]  # fmt: skip
    assert headings[0] == "## In short", headings[:2]
    assert headings[1].startswith("## The task"), headings[:3]
    begin, end = (next(place for place, cell in enumerate(page) if cell.cell_type == "markdown" and heading in
                       cell.source.splitlines()) for heading in headings[:2])  # fmt: skip
    first = [cell for cell in page[:end] if cell.cell_type == "code"]
    assert all(tags(cell) & FOLDED for cell in first), "code stands before the answer"
    answer = [cell for cell in page[begin:end] if cell.cell_type == "code"]
    assert any("say(" in cell.source for cell in answer)
    assert any(pictures(cell) for cell in answer), "there is no figure"
    experiment = f'"{name(path)}"'
    if f"experiment = {experiment}" in (ROOT / "book" / "results" / "claims.toml").read_text():
        assert any("what_held.table" in cell.source and experiment in cell.source for cell in answer)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_every_figure_has_a_caption_and_an_alternative_text(path):
    for cell in cells(path):
        if cell.cell_type != "code" or not pictures(cell):
            continue
        shown = cell.metadata.get("mystnb", {})
        alternative = shown.get("image", {}).get("alt", "")
        caption = shown.get("figure", {}).get("caption", "")
        assert len(alternative) > 40, f"no alternative text: {cell.source[:80]!r}"
        assert len(caption) > 20, f"no caption: {cell.source[:80]!r}"
        assert alternative != caption


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_no_line_of_code_is_cut_off(path):
    """A template of `say` is folded, but it is read by who unfolds it; what is removed from the page, by nobody."""
    shown = [
        cell for cell in cells(path) if cell.cell_type == "code" and not {"remove-input", "remove-cell"} & tags(cell)
    ]
    long = [line for cell in shown for line in cell.source.splitlines()
            if len(line) > WIDEST and "git clone" not in line]  # fmt: skip
    assert not long


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_long_tables_are_folded(path):
    for cell in cells(path):
        for output in cell.get("outputs", []):
            rows = len(re.findall(r"<tr", output.get("data", {}).get("text/html", "")))
            folded = tags(cell) & {"hide-output", "hide-cell", "remove-cell", "remove-output"}
            assert rows <= MOST_ROWS + 2 or folded, f"{rows} rows: {cell.source[:80]!r}"


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_departures_are_folded(path):
    for cell in cells(path):
        if cell.cell_type == "markdown" and re.search(r"^## What departs", cell.source, re.MULTILINE):
            below = cell.source.partition("## What departs")[2]
            assert "<details>" in below
            assert below.rstrip().endswith("</details>")


@pytest.mark.parametrize(
    "path", [path for path in NOTEBOOKS if path in EXPERIMENTS or path.stem == "discussion"], ids=name
)
def test_readings_are_short(path):
    """At most six bullets stand open in a reading section; the rest is folded."""
    for cell in cells(path):
        texts = [cell.source] if cell.cell_type == "markdown" else said(cell.source)
        for text in texts:
            open_text = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
            if not re.search("What departs|What the paper leaves out", open_text):
                assert len(re.findall(r"^\s*\* ", open_text, re.MULTILINE)) <= 6, open_text[:80]


def said(source: str) -> list[str]:
    """The templates that a cell says."""
    plain = re.sub(r"^(\s*)[!%].*", r"\1pass", source, flags=re.MULTILINE)
    calls = [node for node in ast.walk(ast.parse(plain)) if isinstance(node, ast.Call) and node.args]
    return [call.args[0].value for call in calls if ast.unparse(call.func).rpartition(".")[2] == "say"
            and isinstance(call.args[0], ast.Constant)]  # fmt: skip
