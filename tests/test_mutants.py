"""The list of wrong lines fits the sources, and the command that tries them tells a caught one from the others."""

import ast
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location("mutants", ROOT / "workflow" / "mutants.py")
mutants = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mutants)
LIST = mutants.read(ROOT / "tests" / "mutants.toml")

TREE = {
    "src/lines.py": "def double(x):\n    return 2 * x\n\n\nLIMIT = 3\n",
    "tests/test_double.py": "from lines import double\n\n\ndef test_it():\n    assert double(3) == 6\n",
    "tests/mutants.toml": """
imports = []
[[group]]
file = "src/lines.py"
tests = ["tests/test_double.py"]
changes = [
    ['2 * x', '3 * x'],
    ['LIMIT = 3', 'LIMIT = 4'],
    ['def double(x):', 'def double(x)'],
]
""",
}


@pytest.fixture
def tried(tmp_path):
    """Runs the command on the tree, in which a file may be another, and gives its exit status and its lines."""
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    script = tmp_path / "workflow" / "mutants.py"
    script.parent.mkdir()
    shutil.copy(mutants.__file__, script)

    def tried(*words):
        run = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
        return run.returncode, run.stdout.splitlines()

    tried.tree = tmp_path
    return tried


@pytest.mark.parametrize("file", sorted({mutant.file for mutant in LIST}))
def test_each_change_is_of_a_line_that_is_there_once_and_leaves_python(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    plain = ast.dump(ast.parse(text))
    for mutant in LIST:
        if mutant.file == file:
            assert ast.dump(ast.parse(mutant.apply(text))) != plain, mutant


def test_no_change_is_listed_twice_and_its_tests_exist():
    changes = [mutant[:3] for mutant in LIST]
    assert len(set(changes)) == len(changes)
    assert all((ROOT / test.partition("::")[0]).exists() for mutant in LIST for test in mutant.tests)


@pytest.mark.parametrize(("before", "count"), [("never", 0), ("a", 2)])
def test_what_is_not_there_once_is_refused_in_one_sentence(before, count, sentence):
    with pytest.raises(ValueError, match="times in") as caught:
        mutants.Mutant("f.py", before, "b", []).apply("a + a")
    assert sentence(caught) == f"{before!r} is {count} times in f.py; it must be there once."


def test_what_survives_is_named_and_the_sources_stay_as_they_are(tried):
    status, (*named, last) = tried()
    assert status == 1
    assert named == [
        "survives: src/lines.py: 'LIMIT = 3' → 'LIMIT = 4'",
        "broken: src/lines.py: 'def double(x):' → 'def double(x)'",
    ]
    assert last.startswith("3 changes in ")
    assert last.endswith(" seconds: 1 caught, 1 survives, 1 broken")
    assert {name: (tried.tree / name).read_text() for name in TREE} == TREE


def test_only_what_is_asked_for_is_tried_and_success_is_exit_0(tried):
    status, (last,) = tried("3 * x")
    assert status == 0
    assert last.startswith("1 changes in ")


def test_nothing_is_said_of_changes_while_the_tests_fail_without_one(tried):
    (tried.tree / "tests/test_double.py").write_text("def test_it():\n    assert False\n")
    status, lines = tried()
    assert status == 1
    assert lines[-1] == "The tests do not pass without any change; mend them first."
