"""The API pages: every public name has one entry, which begins with what it is for; the mechanisms show an example."""

import importlib
import inspect
import pkgutil
import re
import textwrap
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml

import companion
from companion import AdaptiveComputation, FastWeights, PonderNet, SparseAttentiveBacktracking

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "book" / "api").glob("*.md"))
DIRECTIVE = re.compile(r"^\.\. (currentmodule|auto(?:class|function|exception)):: (\S+)$", flags=re.MULTILINE)
BLOCK = re.compile(r"^```python\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
WITH_EXAMPLE = [SparseAttentiveBacktracking, FastWeights, AdaptiveComputation, PonderNet]


def entries(page: Path) -> list[str]:
    """The full names that a page has an entry for."""
    module, found = "", []
    for directive, name in DIRECTIVE.findall(page.read_text(encoding="utf-8")):
        if directive == "currentmodule":
            module = name
        else:
            found.append(name if name.startswith("companion.") else f"{module}.{name}")
    return found


def thing(name: str):
    """What a full name stands for."""
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


def home(name: str) -> str:
    """Where it is defined: one name for what several modules give on."""
    return f"{thing(name).__module__}.{thing(name).__qualname__}"


ENTRIES = [entry for page in PAGES for entry in entries(page)]


def public() -> set[str]:
    """What the package, its folders and its modules offer by `__all__`."""
    modules = ["companion", *(f"companion.{module.name}" for module in pkgutil.iter_modules(companion.__path__))]
    return {f"{each}.{name}" for each in modules for name in getattr(importlib.import_module(each), "__all__", [])}


def test_every_public_name_has_an_entry():
    have = {home(entry) for entry in ENTRIES}
    assert len(have) > 100
    assert sorted(name for name in public() if home(name) not in have) == [], "give these an entry in book/api"


def test_no_name_has_two_entries():
    assert [name for name, times in Counter(map(home, ENTRIES)).items() if times > 1] == []


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_begins_with_a_line_that_says_what_it_is_for(entry):
    """Not with a symbol, nor with what only the entry before explains."""
    said = inspect.getdoc(thing(entry)) or ""
    first = said.split("\n")[0]
    assert first[:1].isupper() or re.match(r"`\w+`|`torch\.|[\d,]+ \w", first), first
    assert not re.match(r"(Such as|The same,|Both\b|\w+ = )", first), first
    assert len(first.split()) >= 4, first
    assert first.endswith("."), f"{first!r} goes on in another line"


@pytest.mark.parametrize("layer", WITH_EXAMPLE, ids=lambda layer: layer.__name__)
def test_the_example_at_the_head_of_a_mechanism_runs(layer, as_users_run_it):
    """Three lines behind the imports: make the layer, call it, use the answer."""
    _, head, block = inspect.getdoc(layer).split("\n\n", 3)[:3]
    assert head == "Example::"
    code = inspect.getdoc(layer).split("Example::\n\n")[1].split("\n\nArgs:")[0]
    assert code.startswith(block)
    imports, _, lines = textwrap.dedent(code).strip().partition("\n\n")
    assert imports == f"import torch\nfrom companion import {layer.__name__}"
    assert len(lines.splitlines()) == 3
    assert max(map(len, lines.splitlines())) <= 72, "more is cut off at 1,280 pixels"
    torch.manual_seed(0)
    names = {}
    exec(compile(imports + "\n" + lines, f"the example of {layer.__name__}", "exec"), names)
    assert isinstance(names["layer"], layer)
    assert names["answer"].outputs.shape[:2] == (20, 4)
    if ".backward()" in lines:
        assert all(each.grad is not None for each in names["layer"].parameters())


def test_no_line_of_code_is_cut_off_at_1280_pixels():
    for page in PAGES:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            assert max(map(len, block.splitlines())) <= 76, f"{page.name}: {max(block.splitlines(), key=len)}"


def test_the_contents_list_every_page_of_the_chapter():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    (chapter,) = (each for part in toc["parts"] for each in part["chapters"] if each["file"] == "book/api/index")
    listed = {chapter["file"], *(section["file"] for section in chapter["sections"])}
    assert listed == {page.relative_to(ROOT).with_suffix("").as_posix() for page in PAGES}


def test_the_table_names_every_module_that_has_an_entry_with_its_page():
    table, used = {}, set()
    for row in re.findall(r"^\| \[`.*$", (ROOT / "book/api/index.md").read_text(encoding="utf-8"), flags=re.MULTILINE):
        module = "companion." + row.split("`")[1]
        assert module not in table, module
        table[module] = re.findall(r"\]\((\w+\.md)\)", row)
    for page in PAGES:
        for entry in entries(page):
            named = max((module for module in table if entry.startswith(f"{module}.")), key=len, default="")
            assert page.name in table.get(named, []), f"{entry} is on {page.name}"
            used.add(named)
    assert used == set(table)
