"""A browser is brought where there is none, a check that did not run is named, and none is left out unseen."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = ["bash", "chmod", "dirname"]  # what .ci/run and the programs below need


@pytest.fixture
def machine(tmp_path):
    """A checkout with `.ci/run`, and a folder of programs of which each writes down how it was called."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in SYSTEM:
        (programs / name).symlink_to(shutil.which(name))
    return tmp_path


def program(path: Path, then: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/bash\necho "{path.name} $* CI=$CI" >> "$CALLS"\n{then}\n')
    path.chmod(0o755)


def calls(machine: Path, user: int = 0, browser: str = "", apt_get: str | None = None) -> list[str]:
    """What `.ci/run` calls, for this user, with this browser in place, and with an apt-get that does this."""
    programs = machine / "programs"
    program(programs / "make")
    program(programs / "id", f"echo {user}")
    program(machine / ".venv" / "bin" / "python")
    if browser:
        program(programs / browser)
    if apt_get is not None:
        program(programs / "apt-get", apt_get)
    log = machine / "calls"
    environment = {"PATH": str(programs), "CALLS": str(log)}
    run = subprocess.run(["bash", machine / ".ci" / "run"], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "command not found" not in run.stderr
    return [line for line in log.read_text().splitlines() if not line.startswith("id ")]


INSTALLS_CHROMIUM = '[[ "$*" != *install* ]] || { echo > programs/chromium; chmod +x programs/chromium; }'
UPDATE = "apt-get -qq update CI=true"
INSTALL = "apt-get -qq install --no-install-recommends chromium CI=true"
PLAYWRIGHT = ["make .venv/.installed CI=true", "python -m playwright install chromium CI=true"]
TEST = "make test CI=true"


@pytest.mark.parametrize("browser", ["chromium", "chromium-browser", "google-chrome"])
def test_browser_that_is_there_is_used(machine, browser):
    assert calls(machine, browser=browser, apt_get=INSTALLS_CHROMIUM) == [TEST]


def test_root_installs_the_chromium_of_the_system(machine):
    assert calls(machine, apt_get=INSTALLS_CHROMIUM) == [UPDATE, INSTALL, TEST]


@pytest.mark.parametrize(
    ("answer", "called"),
    [
        ("exit 100", [UPDATE]),
        ('[[ "$*" != *install* ]] || exit 100', [UPDATE, INSTALL]),
        ("exit 0", [UPDATE, INSTALL]),
    ],
    ids=["no index", "no package", "a package without a browser"],
)
def test_system_without_chromium_leaves_it_to_playwright(machine, answer, called):
    assert calls(machine, apt_get=answer) == [*called, *PLAYWRIGHT, TEST]


@pytest.mark.parametrize(("user", "apt_get"), [(1000, INSTALLS_CHROMIUM), (0, None)])
def test_user_or_system_without_apt_get_leaves_it_to_playwright(machine, user, apt_get):
    assert calls(machine, user=user, apt_get=apt_get) == [*PLAYWRIGHT, TEST]


@pytest.fixture
def without_browser(tmp_path):
    """Run a browser test where there is none, over a site of one page; return pytest's run and its report."""
    (tmp_path / "index.html").touch()
    report = tmp_path / "report.xml"
    hidden = {"PATH": str(tmp_path), "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path), "COMPANION_SITE": str(tmp_path)}

    def run(ci: str):
        command = [sys.executable, "-m", "pytest", "tests/site/test_browser.py", "-k", "test_phone_menu_opens", "-q"]
        command += ["-p", "no:cacheprovider", f"--junitxml={report}"]
        environment = os.environ | hidden | {"CI": ci}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True), report

    return run


def last_lines(*reports: Path) -> str:
    command = [sys.executable, ROOT / "tests" / "not_checked.py", *reports]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_browser_test_without_browser_is_skipped_and_named(without_browser):
    run, report = without_browser(ci="")
    assert run.returncode == 0, run.stdout
    assert "1 skipped" in run.stdout
    first, second = last_lines(report).splitlines()
    assert first == "Not checked here:"
    assert re.fullmatch(r"  1 of tests/site/test_browser\.py: there is no Chromium.*playwright install.*", second)


def test_in_continuous_integration_it_has_failed(without_browser):
    run, _ = without_browser(ci="true")
    assert run.returncode == 1
    assert "A browser test was skipped where CI is true (Skipped: there is no Chromium" in run.stdout


def test_each_reason_is_given_once_with_its_count(tmp_path):
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "@pytest.mark.parametrize('number', [1, 2])\n"
        "def test_faces(number): pytest.skip('there are no faces')\n"
        "def test_text(): pytest.skip('there is no text')\n"
        "@pytest.mark.xfail\n"
        "def test_known(): assert False\n"
        "def test_fine(): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "--junitxml=report.xml", "-p", "no:cacheprovider", "."]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert last_lines(tmp_path / "report.xml").splitlines() == [
        "Not checked here:",
        "  2 of test_some.py: there are no faces",
        "  1 of test_some.py: there is no text",
    ]


def test_nothing_skipped_is_said_too(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testsuite><testcase classname="a" name="b" /></testsuite></testsuites>')
    assert last_lines(report) == "Everything was checked: no test was skipped.\n"


def test_make_test_ends_with_what_every_part_left_out():
    makefile = (ROOT / "Makefile").read_text()
    recipe = re.search(r"^test:.*\n((?:\t.*\n)+)", makefile, flags=re.MULTILINE)[1].splitlines()
    written = re.findall(r"--junitxml=(\S+)", makefile)
    assert len(written) == makefile.count("-m pytest ") == 3
    assert recipe[-1].split()[:2] == ["@$(BIN)/python", "tests/not_checked.py"]
    assert recipe[-1].split()[2:] == written


def test_no_two_files_of_tests_share_a_name():
    """Or `pytest tests` cannot collect them together."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
