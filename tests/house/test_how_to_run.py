"""The commands on the page "How to run" name notebooks, files, parameters and models that exist."""

import ast
import re
import shlex
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book" / "how_to_run.md").read_text()
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE, flags=re.DOTALL)
LINES = [line.strip() for block in BLOCKS for line in block.replace("\\\n", " ").splitlines()]
PAPERMILL = [line for line in LINES if line.startswith("papermill ")]


def parameters(notebook: Path) -> set[str]:
    cells = nbformat.read(notebook, as_version=4).cells
    (cell,) = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    return {line.target.id for line in ast.parse(cell.source).body}


@pytest.mark.parametrize("line", PAPERMILL)
def test_papermill_command(line):
    words = shlex.split(line, comments=True)
    notebook = ROOT / next(word for word in words[1:] if word.endswith(".ipynb"))
    assert notebook.is_file()
    names = parameters(notebook)
    for option, value in zip(words, words[1:], strict=False):
        if option == "-f":
            assert (ROOT / value).is_file()
        if option == "-p":
            assert value in names
        if option == "-y":
            asked = yaml.safe_load(value)
            assert asked.keys() <= names
            known = yaml.safe_load(notebook.with_suffix(".laptop.yaml").read_text())["models"]
            assert set(asked.get("models", [])) <= set(known)


def test_make_commands():
    makefile = (ROOT / "Makefile").read_text()
    for line in LINES:
        if line.startswith("make "):
            _, target, *settings = shlex.split(line, comments=True)
            assert re.search(rf"^{target}\b|\b{target} [a-z ]*:", makefile, flags=re.MULTILINE)
            for setting in settings:
                assert re.search(rf"^{setting.partition('=')[0]} \?=", makefile, flags=re.MULTILINE)


def test_every_snakemake_command_uses_the_one_file():
    commands = [line for line in LINES if line.startswith("snakemake ")]
    assert len(commands) == 3
    for command in commands:
        assert "--snakefile workflow/Snakefile" in command


def test_what_is_asked_for_alone_is_the_beginning_of_records():
    """On a cluster, where one command may cost weeks, nothing is asked for without a name."""
    on_clusters = [line for line in LINES if "--executor" in line]
    assert len(on_clusters) == 2
    assert all(" only=" in line for line in on_clusters)
    named = [name for line in LINES for name in re.findall(r"\b(?:only|ONLY)=(\S+)", line)]
    for name in named:
        part, experiment, *model = name.split("/")
        models = yaml.safe_load((ROOT / "notebooks" / part / f"{experiment}.paper.yaml").read_text())["models"]
        assert not model or any(known.startswith(model[0]) for known in models), name
