"""A kept network comes back as its notebook builds it, with the weights of its record's run, and none other."""

from dataclasses import replace

import nbformat
import pytest
import torch

from companion import notebook, weights
from companion.mechanisms import FastWeights
from companion.network import Network
from companion.records import Record
from companion.tasks import Copying
from companion.weights import WeightsError

TASK = Copying(2, held_out_size=4)
RECORD = Record(
    experiment="mine/one", model="fast-5", profile="laptop", seed=5, parameters={"size": 6}, search=[],
    chosen={"learning_rate": 0.1, "decay": 0.8}, metrics={"accuracy": 0.5}, history=[], steps=1, wall_seconds=1,
    peak_memory_mb=1, environment={}, commit="0", recipe="abc",
)  # fmt: skip
PARAMETERS = "size: int = 3  # units\nseed: int = 0  # of the weights\nmodels: list = []  # to train"
TABLE = """
from companion.experiment import Model
from companion.mechanisms import FastWeights
from companion.network import Network
from companion.tasks import Copying

task = Copying(2, held_out_size=4)
build = lambda decay: Network(task, FastWeights(task.input_size, size, decay))
table = {name: Model(build, []) for name in models if name == f"fast-{seed}"}
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder with a notebook and recorded runs of its own, in which the test stands."""
    monkeypatch.delenv("COMPANION_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)
    made = nbformat.v4.new_notebook()
    for source, tags in ((PARAMETERS, ["parameters"]), (TABLE, ["models"]), ("train(1)", [])):
        made.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags}))
    (tmp_path / "notebooks" / "mine").mkdir(parents=True)
    (tmp_path / "book" / "results" / "weights").mkdir(parents=True)
    nbformat.write(made, tmp_path / "notebooks" / "mine" / "one.ipynb")
    return tmp_path


@pytest.fixture
def kept():
    """The network of the run."""
    return Network(TASK, FastWeights(TASK.input_size, 6, 0.8))


@pytest.mark.parametrize("folder", [None, "elsewhere"])
def test_the_network_of_the_run_comes_back(here, kept, folder):
    weights.save(here / (folder or "book/results/weights"), kept, RECORD)
    found = notebook.trained(RECORD, folder and here / folder)
    inputs = TASK.held_out("test").inputs
    assert torch.equal(found(inputs)[0], kept.eval()(inputs)[0])
    assert all(map(torch.equal, found.state_dict().values(), kept.state_dict().values()))
    assert found.layer.decay == 0.8, "what the search chose"
    assert not found.training
    assert not found.layer.training


def test_the_folder_that_is_named_is_the_one_that_is_read(here, kept, sentence):
    weights.save(here / "book/results/weights", kept, RECORD)
    with pytest.raises(WeightsError, match=r"There are no weights .*/empty/mine/one/fast-5\.laptop\.seed5") as caught:
        notebook.trained(RECORD, here / "empty")
    sentence(caught)


def test_weights_of_another_run_are_refused(here, kept, sentence):
    weights.save(here / "book/results/weights", kept, replace(RECORD, metrics={"accuracy": 0.6}))
    with pytest.raises(WeightsError, match="are of another run than the record") as caught:
        notebook.trained(RECORD)
    sentence(caught)


def test_a_notebook_that_is_not_here_is_said(kept, sentence):
    with pytest.raises(
        WeightsError, match=r"^The notebook of mine/other/fast-5\.laptop\.seed5\.json is not here; build"
    ) as caught:
        notebook.trained(replace(RECORD, experiment="mine/other"))
    sentence(caught)


@pytest.mark.parametrize("change", [{"model": "fast-7"}, {"seed": 7}])
def test_a_model_that_the_table_has_no_more_is_said(change, sentence):
    with pytest.raises(WeightsError, match=r"^The model fast-\d of mine/one/.* is not in its notebook") as caught:
        notebook.trained(replace(RECORD, **change))
    sentence(caught)


def test_a_notebook_that_was_changed_is_read_again(here, kept):
    weights.save(here / "book/results/weights", kept, RECORD)
    notebook.trained(RECORD)
    path = here / "notebooks" / "mine" / "one.ipynb"
    path.write_text(path.read_text().replace("{name: Model", "{f'new-{name}': Model"))
    with pytest.raises(WeightsError, match="is not in its notebook's table any more"):
        notebook.trained(RECORD)
