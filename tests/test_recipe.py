"""A recipe changes with the code that decides a result, and with nothing else."""

import ast
import builtins
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from companion import recipe as recipes
from companion.recipe import code_cells, find_notebook, imported, needed, outline, recipe

ROOT = Path(__file__).parent.parent
COPYING = ROOT / "notebooks" / "remind" / "copying.ipynb"
EXPERIMENTS = sorted(
    file.with_name(file.name.split(".")[0] + ".ipynb") for file in (ROOT / "notebooks").glob("*/*.laptop.yaml")
)


def same(one, other):
    return outline(ast.parse(one)) == outline(ast.parse(other))


def test_comments_layout_and_docstrings_do_not_count():
    assert same('def f(x):\n    """What."""\n    # why\n    return (x +\n            1)', "def f(x):\n    return x + 1")
    assert same('"""Head."""\nclass A:\n    """What."""\n    y = 1', "class A: y = 1")
    assert same("x = 'a'", 'x = "a"')


@pytest.mark.parametrize(
    ("one", "other"),
    [("x = 1", "x = 2"), ("x = 1", "x = 1.0"), ("f(a, b)", "f(b, a)"), ("f(a=1)", "f(b=1)"), ("x += 1", "x -= 1"),
     ("def f(x=1): pass", "def f(x=2): pass"), ("x = 'a'", "x = 'b'"), ("@a\ndef f(): pass", "def f(): pass"),
     ("'said'\nx = 1\n'said'", "x = 1"), ("if x: y = 1", "if x: y = 1\nelse: y = 2"), ("f'{x:.1f}'", "f'{x:.2f}'")],
)  # fmt: skip
def test_what_the_code_says_counts(one, other):
    assert not same(one, other)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package and of a notebook, to be changed."""
    shutil.copytree(ROOT / "src" / "companion", tmp_path / "companion", ignore=shutil.ignore_patterns("*.npz", "*.xz"))
    shutil.copyfile(COPYING, tmp_path / "copying.ipynb")
    monkeypatch.setattr(recipes, "PACKAGE", tmp_path / "companion")

    def digest():
        for cached in (recipes.defining, recipes.file_of, recipes.tree_of, recipes.said_by):
            cached.cache_clear()
        return recipe(tmp_path / "copying.ipynb")

    yield tmp_path, digest
    for cached in (recipes.defining, recipes.file_of, recipes.tree_of, recipes.said_by):
        cached.cache_clear()


DECIDING = (
    "training search experiment network answer tasks/copying tasks/task baselines/lstm mechanisms/selection".split()
)
DECIDING += ["mechanisms/sparse_attentive_backtracking", "mechanisms/replay/walk"]
NOT_DECIDING = "runs figures records settings recipe storage weights interrupt tasks/sort baselines/transformer".split()
NOT_DECIDING += ["mechanisms/fast_weights"]


def test_a_change_of_what_decides_changes_the_recipe_and_of_nothing_else(package):
    folder, digest = package
    before = digest()
    for module in DECIDING + NOT_DECIDING:
        file = folder / "companion" / f"{module}.py"
        source = file.read_text()
        file.write_text(source + "\n# a comment\n")
        assert digest() == before, module
        file.write_text(source + "\nCHANGED = 1\n")
        assert (digest() != before) == (module in DECIDING), module
        file.write_text(source)
    assert digest() == before


def test_the_deciding_cells_count_and_the_others_do_not(package):
    folder, digest = package
    before, path = digest(), folder / "copying.ipynb"
    whole = json.loads(path.read_text())
    counted = 0
    for number, cell in enumerate(whole["cells"]):
        if cell["cell_type"] != "code":
            continue
        changed = json.loads(json.dumps(whole))
        changed["cells"][number]["source"] += ["\nchanged = 1"]
        path.write_text(json.dumps(changed))
        decides = bool({"task", "models"} & set(cell["metadata"].get("tags", [])))
        assert (digest() != before) == decides, cell["source"]
        counted += decides
    assert counted == 2


def test_the_way_from_a_table_to_a_record_always_counts(package):
    """Also where the deciding cells say nothing of it."""
    folder, digest = package
    cell = {"cell_type": "code", "source": "task, table = None, {}", "metadata": {"tags": ["task", "models"]}}
    (folder / "copying.ipynb").write_text(json.dumps({"cells": [cell]}))
    before = digest()
    for module in ("experiment", "search", "training"):
        file = folder / "companion" / f"{module}.py"
        source = file.read_text(encoding="utf-8")
        file.write_text(source + "\nCHANGED = 1\n", encoding="utf-8")
        assert digest() != before, module
        file.write_text(source, encoding="utf-8")


def test_names_are_followed_to_the_module_that_defines_them():
    found = imported(
        ast.parse("from companion.baselines import LSTM as L\nfrom companion import data\nimport companion.runs")
    )
    assert found == {"L": "companion.baselines.lstm", "data": "companion.data", "companion.runs": "companion.runs"}
    assert "companion.mechanisms.replay.walk" in needed({"companion.baselines.lstm"})
    assert "companion.data.texts" in needed({"companion.data"})
    assert needed({"companion.runs"}) == set()


@pytest.mark.parametrize("notebook", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_has_a_task_and_models_and_a_recipe(notebook):
    tags = [tags for _, tags in code_cells(notebook)]
    assert any("task" in each for each in tags)
    assert any("models" in each for each in tags)
    sources = [source for source, each in code_cells(notebook) if each & {"task", "models"}]
    assert any("table" in source for source in sources)
    assert len(recipe(notebook)) == 16


@pytest.mark.parametrize("notebook", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_name_that_a_deciding_cell_uses_is_known(notebook):
    """From an import, a parameter or another such cell: so that nothing that decides is left out of the recipe."""

    def bound(tree):
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                yield node.id
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield node.name
            elif isinstance(node, ast.arg):
                yield node.arg
            elif isinstance(node, ast.ExceptHandler) and node.name:
                yield node.name
            elif isinstance(node, ast.Import | ast.ImportFrom):
                yield from (alias.asname or alias.name for alias in node.names)

    cells = [(recipes.parsed(source), tags) for source, tags in code_cells(notebook)]
    assert all(tree.body for tree, _ in cells), "a cell could not be read"
    deciding = [tree for tree, tags in cells if tags & {"task", "models"}]
    imports = [node for tree, _ in cells for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    parameters = [tree for tree, tags in cells if "parameters" in tags]
    known = {name for tree in [*deciding, *imports, *parameters] for name in bound(tree)}
    used = {node.id for tree in deciding for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert used - known - set(dir(builtins)) <= {"settings"}


@pytest.mark.parametrize("notebook", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_knows_its_recipe_when_it_trains(notebook, monkeypatch):
    """With what papermill puts in, and the cells that only show something, before the training."""
    import IPython

    cells = [source for source, _ in code_cells(notebook)]
    run = cells[: next(place for place, source in enumerate(cells) if "train(" in source) + 1]
    run.insert(1, "# Parameters\nprofile = 'paper'\nmodels = ['a']\nsteps = 3\nrecords = 'x'")
    monkeypatch.setattr(IPython, "get_ipython", lambda: Kernel(run))
    assert recipes.recipe_of_this_run(f"{notebook.parent.name}/{notebook.stem}") == recipe(notebook)


def test_lines_for_the_shell_hide_no_other_line():
    source = "if here:\n    !git clone x && pip install y\n    %cd y\n\nfrom companion.tasks import (\n    Copying,\n)"
    source += "\nx = 5 \\\n  % 2"
    assert imported(recipes.parsed(source)) == {"Copying": "companion.tasks.copying"}
    assert recipes.parsed("?help").body == []


def until_the_models():
    """The cells of the copying notebook with its table of models as the last, and those before its task."""
    sources, tags = zip(*code_cells(COPYING), strict=True)
    task, models = (next(place for place, each in enumerate(tags) if tag in each) for tag in ("task", "models"))
    return list(sources[: models + 1]), list(sources[:task])


def test_a_recipe_is_not_known_once_the_package_was_changed(monkeypatch):
    import IPython

    cells, _ = until_the_models()
    monkeypatch.setattr(IPython, "get_ipython", lambda: Kernel(cells))
    assert recipes.recipe_of_this_run("remind/copying") == recipe(COPYING)
    monkeypatch.setattr(recipes, "BEGUN", 0.0)
    assert recipes.recipe_of_this_run("remind/copying") == ""


def test_where_no_recipe_is_known_the_code_of_the_run_is_of_all_that_may_decide(package, monkeypatch):
    import IPython

    folder, clear = package
    cells = ["table = {1: 2}", "task = 3", "shown = 4"]
    for run, same in ((cells, True), ([*cells[:2], "shown = 5"], True), (["table = {1: 3}", *cells[1:]], False)):
        monkeypatch.setattr(IPython, "get_ipython", lambda: Kernel(cells))
        before = recipes.code_of_this_run()
        monkeypatch.setattr(IPython, "get_ipython", lambda run=run: Kernel(run))
        assert (recipes.code_of_this_run() == before) == same
    file = folder / "companion" / "tasks" / "sort.py"
    file.write_text(file.read_text(encoding="utf-8") + "\nCHANGED = 1\n", encoding="utf-8")
    before = recipes.code_of_this_run()
    clear()
    assert recipes.code_of_this_run() != before


def test_recipes_of_all_experiments_differ():
    assert len({recipe(notebook) for notebook in EXPERIMENTS}) == len(EXPERIMENTS)


def test_a_notebook_is_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_notebook("remind/copying") == COPYING
    assert find_notebook("remind/no_such") is None


def test_a_digest_is_the_same_in_every_process():
    code = f"from pathlib import Path; from companion.recipe import recipe; print(recipe(Path({str(COPYING)!r})))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == recipe(COPYING)


class Kernel:
    def __init__(self, cells):
        self.user_ns = {"In": ["", *cells]}


def test_a_run_has_its_recipe_only_where_the_kernel_ran_the_cells_as_they_stand(monkeypatch):
    import IPython

    cells, before_the_task = until_the_models()
    edited = [*cells, cells[-1].replace("(10, 10)", "(10, 3)")]
    assert edited[-1] != cells[-1]
    added = [*cells, 'table["lstm"] = None']
    read = [*cells, 'print(table["lstm"])']
    known = recipe(COPYING)
    unknown = (edited, added, before_the_task, [*before_the_task, "table = {}"])
    for run, expected in ((cells, known), (read, known), *((run, "") for run in unknown)):
        monkeypatch.setattr(IPython, "get_ipython", lambda run=run: Kernel(run))
        assert recipes.recipe_of_this_run("remind/copying") == expected
    monkeypatch.setattr(IPython, "get_ipython", lambda: None)
    assert recipes.recipe_of_this_run("remind/copying") == ""
    monkeypatch.setattr(IPython, "get_ipython", lambda: Kernel(cells))
    assert recipes.recipe_of_this_run("remind/no_such") == ""
