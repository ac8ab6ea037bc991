"""A pytest plugin for the notebook run: it fails unless every code cell of every notebook was run and passed.

Without it, a forgotten flag or folder would let the run pass with notebooks silently left out.
"""

from collections import Counter
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
passed = Counter()


def expected_cells() -> dict[str, int]:
    expected = {}
    for notebook in sorted((ROOT / "notebooks").rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in notebook.parts:
            cells = nbformat.read(notebook, as_version=4).cells
            expected[notebook.relative_to(ROOT).as_posix()] = sum(cell.cell_type == "code" for cell in cells)
    return expected


def pytest_runtest_logreport(report):
    if report.when == "call" and report.passed:
        passed[report.nodeid.partition("::")[0]] += 1


def is_worker(config) -> bool:
    return hasattr(config, "workerinput")


def pytest_sessionfinish(session):
    if not is_worker(session.config) and expected_cells() != dict(passed) and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    if is_worker(config):
        return
    expected = expected_cells()
    for notebook, cells in expected.items():
        if passed[notebook] != cells:
            terminalreporter.write_line(
                f"{notebook}: {passed[notebook]} of {cells} code cells ran and passed", red=True
            )
    complete = sum(passed[notebook] == cells for notebook, cells in expected.items())
    terminalreporter.write_line(
        f"{complete} of {len(expected)} notebooks ran and passed, {sum(passed.values())} code cells"
    )
    if not expected:
        terminalreporter.write_line("there is no notebook under notebooks/", red=True)
