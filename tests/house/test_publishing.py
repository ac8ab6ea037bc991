"""The public address is one setting, and what the workflows and the Makefile name exists."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CI = ROOT / ".github" / "workflows" / "ci.yml"
PUBLISH = ROOT / ".github" / "workflows" / "publish.yml"
MAY_WRITE = {"deploy": {"pages": "write", "id-token": "write"}, "release": {"contents": "write", "actions": "read"}}
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
    for name in ("README.md", "CITATION.cff", "CHANGELOG.md"):
        shutil.copy(ROOT / name, folder)
    (folder / "book").mkdir()
    for page in (ROOT / "book").glob("*.md"):
        shutil.copy(page, folder / "book")
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
        assert ADDRESS in notebook.read_text()
    for file in tmp_path.rglob("*.*"):
        assert file.is_dir() or CONFIG["repository"]["url"] not in file.read_text(), file
    for page in ("README.md", "book/how_to_run.md", "book/cite.md"):
        assert ADDRESS in (tmp_path / page).read_text()


def test_no_other_file_names_the_address():
    """Of the repository, or of the site, which follows from it."""
    owner, name = urlsplit(CONFIG["repository"]["url"]).path.strip("/").split("/")
    named = re.compile(rf"(?:github\.com/{owner}|{owner}\.github\.io)/{name}\b")
    changed = {ROOT / "_config.yml", ROOT / "README.md"}
    changed |= {*(ROOT / "book").rglob("*.md"), *(ROOT / "notebooks").rglob("*.ipynb")}
    folders = (".ci", ".github", "benchmarks", "book", "notebooks", "src", "tests", "workflow")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*")] + list(ROOT.glob("*.*"))
    kinds = {".cff", ".css", ".ipynb", ".md", ".py", ".toml", ".txt", ".yaml", ".yml"}
    texts = {path for path in files if path.suffix in kinds and ".ipynb_checkpoints" not in path.parts}
    assert {path for path in texts if named.search(path.read_text(encoding="utf-8"))} <= changed


@pytest.mark.parametrize(
    ("repository", "site"),
    [
        (ADDRESS, "https://someone.github.io/a-fork/"),
        ("https://github.com/SomeOne/Book", "https://someone.github.io/Book/"),
        ("https://github.com/SomeOne/SomeOne.github.io", "https://someone.github.io/"),
    ],
)
def test_address_of_the_site_follows(monkeypatch, repository, site):
    monkeypatch.syspath_prepend(ROOT / "book" / "_ext")
    site_address = pytest.importorskip("site_address", reason="the extra book is not installed", exc_type=ImportError)
    assert site_address.site_address(repository) == site


@pytest.mark.parametrize("page", ["README.md", "book/how_to_run.md"])
def test_page_installs_from_the_address_of_the_setting(page):
    """And clones once at most, into a folder that does not depend on the name of the repository."""
    text = (ROOT / page).read_text()
    assert re.findall(r"^pip install (\S+)$", text, flags=re.MULTILINE)[0] == f"git+{CONFIG['repository']['url']}"
    clones = [f"git clone {CONFIG['repository']['url']} companion"] if page == "book/how_to_run.md" else []
    assert re.findall(r"^git clone .*$", text, flags=re.MULTILINE) == clones


def test_version_is_the_same_everywhere():
    """In the changelog it has a day, or is yet to come."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert re.findall(r"version = \{(.*)\}", (ROOT / "book" / "cite.md").read_text()) == [version]
    newest = re.search(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)[1]
    assert newest == "Unreleased" or re.fullmatch(rf"{re.escape(version)} - \d{{4}}-\d\d-\d\d", newest)


@pytest.mark.parametrize(
    ("tag", "heading", "accepted"),
    [("v1.2.0", "1.2.0 - 2026-12-31", True), ("v1.2.0", "Unreleased", False), ("v1.2", "1.2.0 - 2026-12-31", False)],
)
def test_tag_is_the_version(tmp_path, tag, heading, accepted):
    (step,) = [step for step in jobs(PUBLISH)["build"]["steps"] if step.get("name", "").startswith("A tag is the")]
    assert step["if"] == "github.ref_type == 'tag'"
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {heading}\n")
    (tmp_path / "python").symlink_to(sys.executable)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_REF_NAME": tag}
    run = subprocess.run(["bash", "-c", step["run"]], cwd=tmp_path, env=environment, capture_output=True)
    assert (run.returncode == 0) == accepted, run.stderr


def test_release_has_the_site(tmp_path):
    """The step runs with stand-ins for GitHub's own program and for zip."""
    content = yaml.safe_load(PUBLISH.read_text())
    assert content[True]["push"] == {"branches": ["main"], "tags": ["v*"]}  # YAML reads the word on as true
    assert jobs(PUBLISH)["deploy"]["if"] == "github.ref_type == 'branch'"
    job = jobs(PUBLISH)["release"]
    assert job["if"] == "github.ref_type == 'tag'"
    assert job["needs"] == "build"
    (step,) = job["steps"]
    log = tmp_path / "log"
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("the site")
    stand_in = f"""#!/bin/bash
echo "$(basename "$0") $*" >> {log}
case "$(basename "$0") $*" in
    "gh run download 7 --name github-pages") tar -cf artifact.tar -C {site} . ;;
    "gh release view"*) exit 1 ;;
    zip*) cat "$3/index.html" > "$2" ;;
esac
"""
    for name in ("gh", "zip"):
        (tmp_path / name).write_text(stand_in)
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "GITHUB_REF_NAME": "v1.2.0", "GITHUB_RUN_ID": "7"}
    environment["GITHUB_REPOSITORY"] = "someone/a-fork"
    subprocess.run(["bash", "-c", step["run"]], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "a-fork-v1.2.0.zip").read_text() == "the site"
    *_, create, upload = log.read_text().splitlines()
    assert create.startswith("gh release create v1.2.0 --verify-tag ")
    assert upload == "gh release upload v1.2.0 a-fork-v1.2.0.zip --clobber"


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
def test_only_the_jobs_that_publish_may_write(file):
    """Each has one step, which runs nothing of the repository."""
    assert yaml.safe_load(file.read_text())["permissions"] == {"contents": "read"}
    for name, job in jobs(file).items():
        assert job.get("permissions") == (MAY_WRITE.get(name) if file == PUBLISH else None)
        if "permissions" in job:
            (step,) = job["steps"]
            assert step.get("uses", "actions/deploy-pages@").startswith("actions/deploy-pages@")
            assert not re.search(r"\b(python|make|bash|checkout)\b", step.get("run", ""))


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
