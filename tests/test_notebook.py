"""What a notebook would train is found by running its cells up to the training, and no further."""

import nbformat
import pytest

from companion.notebook import models_of


@pytest.fixture
def notebook(tmp_path):
    cells = [
        ("bits: int = 3  # bits\nmodels: list = []  # rows", ["parameters"]),
        (
            "from companion.experiment import Model\nfrom companion.tasks import Parity\n"
            "print('drawn')\nassert __name__ == '__main__'\ntask = Parity(bits, held_out_size=20)\n"
            "table = {'rnn': Model(lambda: bits, [])}",
            ["models"],
        ),
        ("results = train(task, table)", []),
        ("raise SystemExit('a cell after the training was run')", []),
    ]
    made = nbformat.v4.new_notebook()
    for source, tags in cells:
        made.cells += [nbformat.v4.new_markdown_cell("train( is spoken of"), nbformat.v4.new_code_cell(source)]
        made.cells[-1].metadata["tags"] = tags
    nbformat.write(made, tmp_path / "one.ipynb")
    return tmp_path / "one.ipynb"


@pytest.mark.parametrize(("parameters", "bits"), [({"bits": 7}, 7), ({}, 3)])
def test_table_and_task_are_those_of_the_parameters(notebook, capsys, parameters, bits):
    table, task = models_of(notebook, parameters)
    assert (list(table), table["rnn"].build(), task.bits) == (["rnn"], bits, bits)
    assert capsys.readouterr().out == "", "what cells print is theirs"


def test_figures_of_the_cells_are_closed(notebook):
    import matplotlib.pyplot as plt

    plt.close("all")  # of other tests
    made = nbformat.read(notebook, 4)
    made.cells[1].source += "\nimport matplotlib.pyplot as plt\nplt.figure()"
    nbformat.write(made, notebook)
    models_of(notebook, {})
    assert plt.get_fignums() == []


def test_figures_of_the_caller_stay_and_nothing_is_shown(notebook, monkeypatch):
    """A page that loads a trained network shows its own figures alone, in its own style."""
    import matplotlib.pyplot as plt

    plt.close("all")
    shown = []
    monkeypatch.setattr(plt, "show", lambda *rest: shown.append(rest))
    made = nbformat.read(notebook, 4)
    made.cells[1].source += "\nimport matplotlib.pyplot as plt\nplt.figure()\nplt.show()\nplt.rcParams['font.size'] = 3"
    nbformat.write(made, notebook)
    mine, size = plt.figure().number, plt.rcParams["font.size"]
    models_of(notebook, {})
    assert (plt.get_fignums(), shown, plt.rcParams["font.size"]) == ([mine], [], size)
    plt.show()
    assert shown == [()]
    plt.close(mine)
