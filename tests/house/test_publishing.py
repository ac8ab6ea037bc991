"""The public address is one setting, and what the workflows and the Makefile name exists."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ADDRESS = "https://github.com/someone/a-fork"


def set_repository(folder: Path, address: str) -> subprocess.CompletedProcess:
    (folder / "workflow").mkdir()
    shutil.copy(ROOT / "workflow" / "set_repository.py", folder / "workflow")
    shutil.copy(ROOT / "_config.yml", folder)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks")
    command = [sys.executable, str(folder / "workflow" / "set_repository.py"), address]
    return subprocess.run(command, capture_output=True, text=True)


def test_address_is_filled_in(tmp_path):
    assert set_repository(tmp_path, ADDRESS).returncode == 0
    changed = yaml.safe_load((tmp_path / "_config.yml").read_text())
    assert changed["repository"]["url"] == ADDRESS
    changed["repository"]["url"] = CONFIG["repository"]["url"]
    assert changed == CONFIG
    for notebook in (tmp_path / "notebooks").rglob("*.ipynb"):
        assert CONFIG["repository"]["url"] not in notebook.read_text()
        assert ADDRESS in notebook.read_text()


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").rglob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_install_from_the_address_of_the_setting(notebook):
    """Into a folder that does not depend on the name of the repository."""
    found = re.findall(r"git clone (?:-\S+ |\d+ )*(https://\S+) (\S+)", notebook.read_text())
    assert [address for address, _ in found] == [CONFIG["repository"]["url"]]
    assert found[0][1] != "&&", "name the folder of the clone"


def test_wrong_address_is_refused(tmp_path):
    run = set_repository(tmp_path, "someone/a-fork")
    assert run.returncode != 0
    assert "Give one address" in run.stderr
    assert (tmp_path / "_config.yml").read_text() == (ROOT / "_config.yml").read_text()


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_name_targets_that_exist(file):
    targets = set(re.findall(r"^([a-z-]+)(?= |:)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    targets |= {"site", "notebooks"}
    content = yaml.safe_load(file.read_text())
    commands = [step.get("run", "") for job in content["jobs"].values() for step in job["steps"]]
    for target in re.findall(r"\bmake ([a-z-]+)", "\n".join(commands)):
        assert target in targets
    assert content["defaults"]["run"]["shell"] == "bash"


def test_make_alone_prints_what_there_is():
    if shutil.which("make") is None:
        pytest.skip("there is no make on this machine")
    text = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ["book", "test", "site", "notebooks", "record", "lint", "serve"]:
        assert f"make {target} " in text
