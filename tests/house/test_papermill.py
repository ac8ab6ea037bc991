"""Papermill runs every experiment with other parameters, and a wrong one is refused in one sentence before training."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from papermill import inspect_notebook

from companion import data
from companion.notebook import models_of

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = sorted(
    file.with_name(file.name.split(".")[0] + ".ipynb") for file in (ROOT / "notebooks").rglob("*.laptop.yaml")
)
every_experiment = pytest.mark.parametrize("notebook", EXPERIMENTS, ids=lambda path: path.stem)
one_of_each_part = pytest.mark.parametrize(
    "notebook", {path.parent: path for path in EXPERIMENTS}.values(), ids=lambda path: path.stem
)


def papermill(notebook: Path, out: Path, *options: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "papermill", str(notebook), str(out), "--no-progress-bar", "--kernel", "python3"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COMPANION_RESULTS": str(ROOT / "book" / "results")}
    return subprocess.run(
        [*command, *options], capture_output=True, text=True, cwd=out.parent, env=environment, timeout=300
    )


def two_models(notebook: Path) -> list[str]:
    return yaml.safe_load(notebook.with_suffix(".laptop.yaml").read_text())["models"][:2]


def last_line(text: str) -> str:
    return [line for line in text.splitlines() if line.strip()][-1]


@one_of_each_part
def test_runs_with_other_parameters(notebook, tmp_path):
    """In a kernel of its own; in this process, `test_devices` runs every experiment with other parameters."""
    models = two_models(notebook)
    here = {"cifar10": data.cifar10_here(), "faces": data.face_set_here("cmu-pose")}.get(notebook.stem, True)
    trained = models if here else []
    out = tmp_path / "out.ipynb"
    run = papermill(
        notebook,
        out,
        "-p",
        "steps",
        "3",
        "-p",
        "seed",
        "5",
        "-y",
        f"models: {models}",
        "-p",
        "records",
        str(tmp_path / "records"),
    )
    assert run.returncode == 0, run.stderr
    (injected,) = [
        cell
        for cell in nbformat.read(out, as_version=4).cells
        if "injected-parameters" in cell.metadata.get("tags", [])
    ]
    assert "steps = 3" in injected.source
    records = sorted((tmp_path / "records").rglob("*.json"))
    assert [record.name for record in records] == sorted(f"{model}.smoke.seed5.json" for model in trained)
    for record in records:
        assert json.loads(record.read_text())["parameters"]["steps"] == 3


@every_experiment
def test_unknown_parameter_is_refused(notebook):
    """With what papermill injects among the cells that have run, as IPython keeps them in `In`."""
    with pytest.raises(ValueError, match="This notebook has no parameter 'stpes'"):
        models_of(notebook, {"In": ["# Parameters\nstpes = 3\n"]})


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (["-p", "stpes", "3"], "This notebook has no parameter 'stpes'"),
        (["-y", "models: [no_such_model]"], "The model 'no_such_model' is unknown"),
        (["-y", "models: []"], "No model was asked for"),
        (["-p", "profile", "huge"], "The profile 'huge' is unknown"),
        (["-p", "device", "toaster"], "The device 'toaster' is unknown"),
        (["-p", "steps", "many"], "The parameter 'steps' is 'many'; it must be of type int."),
        (["-p", "steps", "2.5"], "The parameter 'steps' is 2.5; it must be of type int."),
        (["-p", "seed", "-1"], "The parameter 'seed' is -1"),
    ],
    ids=["parameter", "model", "no-model", "profile", "device", "word-for-number", "fraction", "negative"],
)
def test_wrong_value_is_refused(option, sentence, tmp_path):
    run = papermill(EXPERIMENTS[0], tmp_path / "out.ipynb", *option, "-p", "records", str(tmp_path / "records"))
    assert run.returncode != 0
    assert sentence in last_line(run.stderr)
    assert not (tmp_path / "records").exists()


@every_experiment
def test_papermill_documents_the_parameters(notebook):
    found = inspect_notebook(notebook)
    assert found["steps"]["inferred_type_name"] == "int"
    assert all(each["help"] for each in found.values())
