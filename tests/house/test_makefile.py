"""What `make` does about an old environment and wrong arguments, with programs that stand in for Python and pip."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Answers to the question for its version, makes an environment of its kind, and notes what else it is asked to do.
STANDS_IN = """#!/bin/bash
echo "{name} $*" >> "{log}"
case "$*" in
    -c*version_info*) exit {old} ;;
    -V) echo "Python 3.{minor}" ;;
    "-m venv --clear .venv")
        rm -rf .venv && mkdir -p .venv/bin && sed 's/{name} /venv /' "$0" > .venv/bin/python
        cp .venv/bin/python .venv/bin/pip && chmod +x .venv/bin/* ;;
esac
"""


@pytest.fixture
def tree(tmp_path):
    """A folder with the Makefile and what it looks at; returns a function that writes a stand-in for Python."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)

    def python(name, minor):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STANDS_IN.format(name=path.name, log=tmp_path / "log", old=int(minor < 11), minor=minor))
        path.chmod(0o755)
        return path

    return python


def make(folder, *words):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", f"PYTHON={folder}/new", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def environment_of(tree, minor, installed):
    """An environment of another Python; None is one whose Python is gone."""
    for name in ("python", "pip"):
        path = tree(f".venv/bin/{name}", minor or 12)
        if minor is None:
            path.unlink()
            path.symlink_to("/nowhere/python")
    if installed:
        (path.parents[1] / ".installed").touch()


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("minor", [10, None])
def test_an_environment_of_an_older_python_is_made_anew(minor, installed, tree, tmp_path):
    tree("new", 12)
    environment_of(tree, minor, installed)
    run = make(tmp_path, ".venv/.installed")
    assert run.returncode == 0, run.stderr
    log = (tmp_path / "log").read_text()
    assert "new -m venv --clear .venv" in log
    assert "venv -m pip install" in log
    assert (tmp_path / ".venv" / ".installed").exists()
    (tmp_path / "log").unlink()
    assert make(tmp_path, ".venv/.installed").returncode == 0
    assert "pip install" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("installed", [True, False])
def test_a_sound_environment_is_kept(installed, tree, tmp_path):
    tree("new", 13)
    environment_of(tree, 12, installed)
    assert make(tmp_path, ".venv/.installed").returncode == 0
    log = (tmp_path / "log").read_text()
    assert "-m venv" not in log
    assert ("pip install" in log) != installed


def test_an_older_python_is_refused_in_one_sentence(tree, tmp_path):
    tree("new", 10)
    environment_of(tree, 10, installed=False)
    run = make(tmp_path, ".venv/.installed")
    assert run.returncode != 0
    assert run.stderr.startswith("Python 3.11 or newer is needed, and ")
    assert not (tmp_path / ".venv" / ".installed").exists()


@pytest.mark.parametrize("jobs", ["0", "-1", "many", "2.5", "", "100000"])
def test_jobs_that_are_no_number_are_refused(jobs, tree, tmp_path):
    tree("new", 12)
    environment_of(tree, 12, installed=True)
    tree(".venv/bin/snakemake", 12)
    run = make(tmp_path, "record", f"JOBS={jobs}")
    assert run.returncode != 0
    assert f"JOBS is '{jobs}'; it must be a whole number from 1 to 9999." in run.stderr
    assert "snakemake" not in (tmp_path / "log").read_text()
    assert make(tmp_path, "record").returncode == 0


@pytest.mark.parametrize(("name", "value"), [("ONLY", "remind/cooking"), ("STEPS", "-5"), ("DEVICE", "0")])
def test_other_arguments_of_record_reach_the_workflow_that_checks_them(name, value, tree, tmp_path):
    tree("new", 12)
    environment_of(tree, 12, installed=True)
    tree(".venv/bin/snakemake", 12)
    assert make(tmp_path, "record", f"{name}={value}").returncode == 0
    assert f" {name.lower()}={value}" in (tmp_path / "log").read_text()
