"""Which code made a result: a digest of the syntax trees that decide it, without comments, docstrings and layout.

Two runs have the same recipe if the package's modules that the run needs, and the cells of its notebook that are tagged
`task` and `models`, say the same. What only keeps or shows results does not count.
"""

import ast
import hashlib
import json
import re
import sys
import time
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
# They keep, show or check; none of them decides a number.
ASIDE = {"claims", "figures", "interrupt", "live", "marks", "memory", "prose", "recipe", "records", "runs", "settings"}
ASIDE |= {"notebook", "pondering", "storage", "verified", "weights"}
ALWAYS = ("companion.experiment",)  # and with it the search and the training
DECIDE = ("task", "models")
BEGUN = time.time()  # of this process, as far as the package can tell


def recipe(notebook: Path) -> str:
    """Tell which code decides an experiment's results, by a digest of sixteen hexadecimal digits.

    Raises:
        FileNotFoundError: there is no such notebook.
    """
    cells = code_cells(notebook)
    deciding = [ast.parse(source) for source, tags in cells if tags & set(DECIDE)]
    used = {node.id for tree in deciding for node in ast.walk(tree) if isinstance(node, ast.Name)}
    modules = set(ALWAYS)
    for source, _ in cells:
        modules |= {module for name, module in imported(parsed(source)).items() if name in used}
    trees = [said_by(module) for module in sorted(needed(modules))]
    trees += [outline(tree) for tree in deciding]
    return hashlib.sha256(json.dumps(trees).encode()).hexdigest()[:16]


def recipe_of_this_run(experiment: str) -> str:
    """The recipe of an experiment that is being run, or "" where that cannot be known.

    It is known in a kernel that has run the deciding cells of the checkout's notebook as they stand there, has run no
    other cell that makes or changes the same names, and began after the last change of the package.
    """
    notebook, run = find_notebook(experiment), cells_run()
    if notebook is None or not run:
        return ""
    deciding = [ast.parse(source) for source, tags in code_cells(notebook) if tags & set(DECIDE)]
    asked, outlines = [outline(tree) for tree in deciding], [outline(tree) for tree in run]
    names = set().union(*map(defined, deciding))
    last = {name: said for tree, said in zip(run, outlines, strict=True) for name in defined(tree) & names}
    as_it_stands = all(each in outlines for each in asked) and all(said in asked for said in last.values())
    changed_since = any(file.stat().st_mtime > BEGUN for file in PACKAGE.rglob("*.py"))
    return recipe(notebook) if as_it_stands and not changed_since else ""


def code_of_this_run() -> str:
    """A digest of all that may decide a result where no recipe is known: for checkpoints, which are of one code alone.

    Of every deciding module, and of what the kernel, or the script, says of the task and of the table of models.
    """
    files = [file.relative_to(PACKAGE).with_suffix("") for file in PACKAGE.rglob("*.py")]
    modules = {".".join(("companion", *file.parts)).removesuffix(".__init__") for file in files} - {"companion"}
    said = [said_by(module) for module in sorted(needed(modules))]
    script = getattr(sys.modules["__main__"], "__file__", None)
    if run := cells_run():
        said.append([outline(tree) for tree in run if defined(tree) & {"task", "table"}])
    elif script and Path(script).suffix == ".py":
        said.append(outline(parsed(Path(script).read_text(encoding="utf-8"))))
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def cells_run() -> list[ast.Module]:
    """The cells that this kernel has run so far; none outside a kernel."""
    kernel = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    return [parsed(source) for source in kernel.user_ns.get("In", [])] if kernel else []


def find_notebook(experiment: str) -> Path | None:
    """The notebook of an experiment, in the checkout around this folder or package; None if there is none."""
    for start in (Path.cwd(), PACKAGE):
        for folder in (start, *start.parents):
            if (found := folder / "notebooks" / f"{experiment}.ipynb").is_file():
                return found
    return None


def code_cells(notebook: Path) -> list[tuple[str, set[str]]]:
    """The code cells of a notebook, each with its tags."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [
        ("".join(cell["source"]), set(cell["metadata"].get("tags", [])))
        for cell in cells
        if cell["cell_type"] == "code"
    ]


def parsed(source: str) -> ast.Module:
    """A cell's syntax tree, in which lines for the shell do nothing; empty if it is not Python."""
    lines = [re.sub(r"^(\s*)(!|%(?=[A-Za-z])).*", r"\1pass", line) for line in source.splitlines()]
    try:
        return ast.parse("\n".join(lines))
    except SyntaxError:
        return ast.Module([], [])


def defined(tree: ast.Module) -> set[str]:
    """The names that a cell's own lines make or change."""
    names = set()
    for line in tree.body:
        if isinstance(line, ast.FunctionDef | ast.ClassDef):
            names.add(line.name)
        elif isinstance(line, ast.Assign | ast.AnnAssign | ast.AugAssign):
            for target in line.targets if isinstance(line, ast.Assign) else [line.target]:
                names |= {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
    return names


def needed(modules: set[str]) -> set[str]:
    """These modules of the package and all that they import from it, but for those that do not decide."""
    found, open_ones = set(), set(modules)
    while open_ones:
        module = open_ones.pop()
        if module in found or module.split(".")[1] in ASIDE:
            continue
        found.add(module)
        open_ones |= set(imported(tree_of(module)).values())
    return found


def imported(tree: ast.AST) -> dict[str, str]:
    """The names that a tree imports from this package, each with the module that defines it."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "companion":
            for alias in node.names:
                names[alias.asname or alias.name] = defining(node.module, alias.name)
        elif isinstance(node, ast.Import):
            names |= {a.asname or a.name: a.name for a in node.names if a.name.startswith("companion.")}
    return {name: module for name, module in names.items() if module != "companion"}


@cache
def defining(module: str, name: str) -> str:
    """The module that defines a name which another one gives on; a module's own name is itself."""
    if file_of(f"{module}.{name}") is not None:
        return f"{module}.{name}"
    if file_of(module).name == "__init__.py":
        for node in tree_of(module).body:
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("companion."):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return defining(node.module, alias.name)
    return module


@cache
def tree_of(module: str) -> ast.Module:
    """The syntax tree of a module of this package."""
    return ast.parse(file_of(module).read_text(encoding="utf-8"))


@cache
def said_by(module: str) -> str:
    """A digest of what a module of this package says."""
    return hashlib.sha256(json.dumps(outline(tree_of(module))).encode()).hexdigest()


@cache
def file_of(module: str) -> Path | None:
    """The file of a module of this package; None if there is none."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def outline(node: object) -> object:
    """A syntax tree as nested lists: the same for every layout, and for every version of Python.

    Docstrings are left out, and so are empty fields, since versions of Python differ in which there are.
    """
    if isinstance(node, list):
        return [outline(part) for part in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
    body = fields.get("body")
    if isinstance(body, list) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        if isinstance(body[0].value.value, str):
            fields["body"] = body[1:]
    return [type(node).__name__, *([name, outline(value)] for name, value in sorted(fields.items()) if value != [])]
