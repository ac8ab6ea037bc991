"""The public address is one setting, and what the workflows and the Makefile name exists."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CI = ROOT / ".github" / "workflows" / "ci.yml"
ADDRESS = "https://github.com/someone/a-fork"

every_workflow = pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.name)


def jobs(file: Path) -> dict:
    return yaml.safe_load(file.read_text())["jobs"]


def setup_python(job: dict) -> str:
    """The version that a job asks for."""
    (step,) = [step for step in job["steps"] if step.get("uses", "").startswith("actions/setup-python@")]
    return step["with"]["python-version"]


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


@every_workflow
def test_workflows_name_targets_that_exist(file):
    targets = set(re.findall(r"^([a-z-]+)(?= |:)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    targets |= {"site", "notebooks"}
    content = yaml.safe_load(file.read_text())
    commands = [step.get("run", "") for job in content["jobs"].values() for step in job["steps"]]
    for target in re.findall(r"\bmake ([a-z-]+)", "\n".join(commands)):
        assert target in targets
    assert content["defaults"]["run"]["shell"] == "bash"


@every_workflow
def test_actions_are_pinned_by_commit(file):
    """A tag can be moved to other code; the comment says which one it was, for people."""
    used = [line for line in file.read_text().splitlines() if re.search(r"\buses\b", line)]
    assert len(used) == sum("uses" in step for job in jobs(file).values() for step in job["steps"]) > 0
    for line in used:
        assert re.search(r"\buses: [\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_an_action_has_one_commit():
    """And one commit has one version, in all workflows."""
    pins = {tuple(re.findall(r"uses: (\S+)@(\S+) # (\S+)", line)[0])
            for file in WORKFLOWS for line in file.read_text().splitlines() if "uses: " in line}  # fmt: skip
    assert len(pins) == len({action for action, _, _ in pins}) == len({commit for _, commit, _ in pins})


@every_workflow
def test_only_the_job_that_deploys_may_write(file):
    assert yaml.safe_load(file.read_text())["permissions"] == {"contents": "read"}
    for job in jobs(file).values():
        deploys = any(step.get("uses", "").startswith("actions/deploy-pages@") for step in job["steps"])
        assert job.get("permissions") == ({"pages": "write", "id-token": "write"} if deploys else None)
        assert not deploys or len(job["steps"]) == 1


def test_every_python_of_the_package_is_tested():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    job = jobs(CI)["test"]
    assert named == job["strategy"]["matrix"]["python"]
    assert project["requires-python"] == f">={named[0]}"
    assert setup_python(job) == "${{ matrix.python }}"
    assert {setup_python(job) for job in jobs(CI).values()} <= {*named, "${{ matrix.python }}"}


def test_macos_and_windows_test_the_layers_and_the_tasks():
    """Without make, which Windows lacks; every module is imported there by tests/test_memory.py."""
    job = jobs(CI)["elsewhere"]
    assert job["strategy"]["matrix"]["system"] == ["macos-latest", "windows-latest"]
    assert job["runs-on"] == "${{ matrix.system }}"
    install, test = [step["run"] for step in job["steps"] if "run" in step]
    assert "pip install -c constraints.txt" in install
    folders = {"tests/mechanisms", "tests/baselines", "tests/tasks", "tests/test_memory.py"}
    assert {word for word in test.split() if word.startswith("tests/")} == folders
    assert all((ROOT / folder).exists() for folder in folders)
    assert "make" not in install + test


def test_make_alone_prints_what_there_is():
    if shutil.which("make") is None:
        pytest.skip("there is no make on this machine")
    text = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ["book", "test", "site", "notebooks", "record", "lint", "serve"]:
        assert f"make {target} " in text
