"""Text is read and written as UTF-8, whatever the machine's own encoding: pages and notebooks are full of τ and λ."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(file for folder in ("src", "workflow", "benchmarks") for file in (ROOT / folder).rglob("*.py"))
TEXT = ("read_text", "write_text")


def without_encoding(source: str) -> list[int]:
    """The lines that read or write text and leave the encoding to the machine."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [
        call.lineno
        for call in calls
        if getattr(call.func, "attr", "") in TEXT and "encoding" not in [word.arg for word in call.keywords]
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_the_encoding_is_named(file):
    assert without_encoding(file.read_text(encoding="utf-8")) == []


def test_a_call_without_it_is_found():
    assert without_encoding("a.read_text()\nb.write_text(x, encoding='utf-8')\nc.write_text(x)") == [1, 3]
