"""What every notebook in the repository keeps to."""

import ast
import io
import re
import tokenize
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(path for path in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)
EXPERIMENTS = [path for path in NOTEBOOKS if list(path.parent.glob(f"{path.stem}.*.yaml"))]
PARAMETER_FILES = sorted((ROOT / "notebooks").rglob("*.yaml"))
COMMON = {"profile", "models", "seed", "device", "records", "checkpoints", "steps"}
LARGEST = 300_000

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.relative_to(ROOT).as_posix())
every_experiment = pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def parameter_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if "parameters" in cell.metadata.get("tags", [])]


with_parameters = pytest.mark.parametrize(
    "path",
    [path for path in NOTEBOOKS if path in EXPERIMENTS or parameter_cells(path)],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)


def parameters(path: Path) -> dict:
    (cell,) = parameter_cells(path)
    return {line.target.id: ast.literal_eval(line.value) for line in ast.parse(cell.source).body}


def last_token(source: str) -> str:
    blank = {tokenize.NEWLINE, tokenize.NL, tokenize.COMMENT, tokenize.ENDMARKER, tokenize.INDENT, tokenize.DEDENT}
    plain = "\n".join(line for line in source.splitlines() if not line.lstrip().startswith(("%", "!")))
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(plain).readline) if token.type not in blank]
    return tokens[-1].string if tokens else ""


def test_there_are_notebooks():
    assert NOTEBOOKS
    assert EXPERIMENTS


@every_notebook
def test_format(path):
    content = read(path)
    nbformat.validate(content)
    assert content.metadata.kernelspec == {
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "name": "python3",
    }


@every_notebook
def test_tables_are_whole(path):
    """Pandas cuts a text after fifty characters and a table after sixty rows, and puts dots there."""
    shown = [output.get("data", {}).get("text/html", "") for cell in code_cells(path) for output in cell.outputs]
    assert not [cut for html in shown for cut in re.findall(r"[^>]*\.\.\.</t[dh]>", html)]


@every_notebook
def test_metadata_is_stripped(path):
    content = read(path)
    assert set(content.metadata) <= {"kernelspec", "language_info"}
    assert content.metadata.language_info == {"name": "python", "pygments_lexer": "ipython3"}
    for cell in content.cells:
        assert set(cell.metadata) <= {"tags", "mystnb"}, cell.source[:80]
        for output in cell.get("outputs", []):
            assert not output.get("metadata"), cell.source[:80]


@every_notebook
def test_no_trailing_semicolon(path):
    """nbval compares what a semicolon would hide in Jupyter; end such a cell with plt.show() instead."""
    for cell in code_cells(path):
        assert last_token(cell.source) != ";", cell.source


@every_notebook
def test_outputs_are_stored(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "run make notebooks"
    assert any(cell.outputs for cell in cells), "run make notebooks"


@every_notebook
def test_outputs_are_clean(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {}), cell.source


@every_notebook
def test_claims_have_something_to_compare(path):
    for cell in code_cells(path):
        if "nbval-check-output" in cell.metadata.get("tags", []):
            assert any(output.output_type in {"stream", "execute_result"} for output in cell.outputs), cell.source
        assert "nbval-skip" not in cell.metadata.get("tags", []), cell.source


@every_notebook
def test_size(path):
    assert path.stat().st_size <= LARGEST


@every_notebook
def test_no_trace_of_the_machine_that_ran_it(path):
    assert str(ROOT) not in path.read_text()
    assert str(Path.home()) + "/" not in path.read_text()


@every_notebook
def test_title_and_section(path):
    """The theme needs a second-level heading on every page."""
    prose = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    assert prose[0].startswith("# ")
    assert any(line.startswith("## ") for source in prose for line in source.splitlines())


@every_notebook
def test_installs_itself_on_colab(path):
    assert any("google.colab" in cell.source and "pip install" in cell.source for cell in code_cells(path)[:2])


@with_parameters
def test_one_parameter_cell_comes_first(path):
    (cell,) = parameter_cells(path)
    assert cell.source == code_cells(path)[0].source


@with_parameters
def test_parameters_are_annotated_literals_with_help(path):
    (cell,) = parameter_cells(path)
    lines = cell.source.splitlines()
    for statement in ast.parse(cell.source).body:
        assert isinstance(statement, ast.AnnAssign), ast.unparse(statement)
        ast.literal_eval(statement.value)
        comment = lines[statement.end_lineno - 1].partition("  # ")[2]
        assert comment.strip(), f"no help for {statement.target.id}"


@every_experiment
def test_experiment_runs_smoke_by_itself(path):
    assert parameters(path).keys() >= COMMON
    assert parameters(path)["profile"] == "smoke"
    assert parameters(path)["device"] == "cpu"
    assert parameters(path)["records"] == parameters(path)["checkpoints"] == ""


@every_experiment
def test_experiment_has_both_profiles(path):
    assert {file.name for file in path.parent.glob(f"{path.stem}.*.yaml")} == {
        f"{path.stem}.laptop.yaml",
        f"{path.stem}.paper.yaml",
    }


@pytest.mark.parametrize("file", PARAMETER_FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_parameter_file(file):
    """A parameter file names parameters of its notebook, with values of their type."""
    stem, profile, _ = file.name.split(".")
    known = parameters(file.with_name(f"{stem}.ipynb"))
    values = yaml.safe_load(file.read_text())
    assert values.keys() <= known.keys()
    assert values["profile"] == profile
    assert values["models"]
    assert not values.keys() & {"seed", "records", "checkpoints"}
    for name, value in values.items():
        kinds = (int, float) if isinstance(known[name], float) else type(known[name])
        assert isinstance(value, kinds), f"{name} is {value!r}"
        assert isinstance(value, bool) == isinstance(known[name], bool), f"{name} is {value!r}"


@every_notebook
def test_every_figure_says_what_to_see(path):
    for cell in code_cells(path):
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            assert cell.metadata.get("mystnb", {}).get("figure", {}).get("caption"), cell.id
