"""Labels come with the models of a notebook's table, and the recorded runs have them."""

import re
from pathlib import Path

import nbformat
import pytest

from companion.notebook import models_of
from companion.records import load
from companion.settings import notebook_parameters

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(path for path in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
EXPERIMENTS = [path for path in NOTEBOOKS if path.with_suffix(".laptop.yaml").exists()]
RESULTS = ROOT / "book" / "results"
TAKEN_APART = re.compile(r"\.(?:removesuffix|rpartition|partition|extract)\(|\.split\(['\"]-['\"]\)|\bname\[\d")


def experiment_of(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", EXPERIMENTS, ids=experiment_of)
def test_every_recorded_run_has_the_label_of_its_notebooks_table(path, monkeypatch, as_users_run_it):
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.chdir(path.parent)
    table, _ = models_of(path, notebook_parameters(path))
    shown = [model.label or name for name, model in table.items()]
    assert len(set(shown)) == len(shown), "two models have one label"
    recorded = [load(file) for file in sorted((RESULTS / experiment_of(path)).glob("*.json"))]
    assert recorded
    assert {record.name: record.label for record in recorded} == {
        record.name: table[record.model].label for record in recorded
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=experiment_of)
def test_no_notebook_takes_names_apart(path):
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert not [line for source in cells for line in source.splitlines() if TAKEN_APART.search(line)]
