"""What the browser gets: the settings of a record's network, and its weights to the bit."""

import base64
import json
import re

import made_up
import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from companion import live, records, runs
from companion.baselines import LSTM, LayerNormRNN, SelfAttentiveLSTM
from companion.live import examples, networks
from companion.live.networks import PAGES, alphabet, packed, stack, told, written
from companion.mechanisms import AdaptiveComputation, FastWeights, SparseAttentiveBacktracking
from companion.network import Network
from companion.notebook import trained
from companion.tasks import Copying, Language
from companion.weights import WeightsError, name_of

RESULTS = runs.results_folder()
NAMES = [(page, name) for page, each in PAGES.items() for name in each.records]


def numbers(part):
    """What the browser reads: little endian, of two bytes or of four."""
    data = np.frombuffer(base64.b64decode(part["data"]), "<f2" if part["half"] else "<f4")
    return torch.from_numpy(data.copy()).view(part["shape"])


@pytest.fixture(scope="module")
def shipped():
    """The networks of two pages: one in half precision, one in single."""
    return {page: networks.networks(page) for page in ("remind", "attend")}


# Tensors and layers


@pytest.mark.parametrize("half", [False, True])
def test_a_tensor_is_packed_little_endian_row_after_row(half):
    part = packed(torch.tensor([[1.0, -2.5, 3.0], [1 / 3, 0.0, 6.0]]).T, half)
    assert (part["shape"], part["half"]) == ([3, 2], half)
    kept = torch.tensor([[1.0, 1 / 3], [-2.5, 0.0], [3.0, 6.0]])
    assert torch.equal(numbers(part), kept.half() if half else kept)
    one = packed(nn.Parameter(torch.ones(1, dtype=torch.float64)), half)
    assert base64.b64decode(one["data"]) == (b"\x00\x3c" if half else b"\x00\x00\x80\x3f"), "1 in IEEE 754"


def test_a_read_out_is_linear_layers_and_their_relus():
    first, second = nn.Linear(2, 3), nn.Linear(3, 1, bias=False)
    assert stack(nn.Identity()) == []
    (alone,) = stack(second)
    assert alone.keys() == {"weight"}
    assert alone["weight"] is second.weight
    one, two = stack(nn.Sequential(first, nn.ReLU(), nn.Identity(), second))
    assert one == {"weight": first.weight, "bias": first.bias, "relu": True}
    assert two.keys() == {"weight"}


@pytest.mark.parametrize("other", [nn.Tanh(), nn.Sequential(nn.ReLU(), nn.Linear(2, 2))])
def test_a_read_out_of_other_layers_is_refused(other, sentence):
    with pytest.raises(ValueError, match="^(Tanh|ReLU) is not among what the pages can run: linear") as caught:
        stack(other)
    sentence(caught)


CELL = {"inputWeight": "weight_ih", "hiddenWeight": "weight_hh", "inputBias": "bias_ih", "hiddenBias": "bias_hh"}
SCORER = {"memory": "memory.weight", "query": "query.weight", "queryBias": "query.bias", "score": "score.weight"}
SAB = {name: f"cell.{theirs}" for name, theirs in CELL.items()} | {k: f"scorer.{v}" for k, v in SCORER.items()}
FAST = {"recurrent": "recurrent.weight", "input": "input.weight", "gain": "norm.weight", "shift": "norm.bias"}
ACT = {name: f"cell.cell.{theirs}" for name, theirs in CELL.items()} | {"halt": "halt.weight", "haltBias": "halt.bias"}
LAYERS = {
    "sab": (
        SparseAttentiveBacktracking(2, 4, top_k=3, memory_every=5), "sab",
        {"size": 4, "topK": 3, "memoryEvery": 5}, SAB,
    ),
    "attention": (SelfAttentiveLSTM(2, 4), "sab", {"size": 4, "topK": None, "memoryEvery": 1}, SAB),
    "lstm": (LSTM(2, 4), "lstm", {"size": 4}, {name: f"lstm.{theirs}_l0" for name, theirs in CELL.items()}),
    "fast": (
        FastWeights(2, 4, decay=0.7, rate=0.3, inner_steps=2), "fast",
        {"size": 4, "decay": 0.7, "rate": 0.3, "innerSteps": 2}, FAST,
    ),
    "act": (
        AdaptiveComputation(2, 4, cell="rnn", time_penalty=0.02, epsilon=0.05, max_steps=7), "act",
        {"size": 4, "cell": "rnn", "epsilon": 0.05, "maxSteps": 7, "timePenalty": 0.02}, ACT,
    ),
    "act-lstm": (
        AdaptiveComputation(2, 4), "act",
        {"size": 4, "cell": "lstm", "epsilon": 0.01, "maxSteps": 100, "timePenalty": 0.01}, ACT,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("layer", "kind", "settings", "weights"), LAYERS.values(), ids=LAYERS)
def test_a_layer_is_told_with_all_its_settings_and_weights(layer, kind, settings, weights):
    assert told(layer)[:2] == (kind, settings)
    found = told(layer)[2]
    assert found.keys() == weights.keys()
    for name, theirs in weights.items():
        assert found[name] is layer.get_parameter(theirs), name
    assert len(found) == len(list(layer.parameters())), "all of them"


@pytest.mark.parametrize(
    "other",
    [
        SparseAttentiveBacktracking(2, 4, normaliser="softmax"),
        SparseAttentiveBacktracking(2, 4, temperature=2.0),
        SparseAttentiveBacktracking(2, 4, cell="rnn"),
        AdaptiveComputation(2, 4, cell="gru"),
        LayerNormRNN(2, 4),
        nn.Linear(2, 4),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_that_the_browser_does_not_know_is_refused(other, sentence):
    with pytest.raises(ValueError, match=f"^{type(other).__name__} with these settings is not among") as caught:
        told(other)
    sentence(caught)


def test_a_network_of_language_comes_with_its_alphabet():
    (name,) = PAGES["text"].records
    of_text = records.load(RESULTS / f"{name}.json")
    asked = {key: of_text.parameters[key] for key in ("source", "length", "validation_windows", "test_windows")}
    assert alphabet(of_text) == list(Language(**asked).characters)
    assert set(examples.SENTENCE.encode()) <= set(alphabet(of_text))
    assert alphabet(made_up.shown()) == []


@pytest.mark.parametrize("half", [False, True])
def test_a_network_is_one_line_of_javascript(half, monkeypatch):
    monkeypatch.setattr(networks, "alphabet", lambda run: [7, run.seed])
    task = Copying(2, held_out_size=4)
    encoder = nn.Sequential(nn.Linear(task.input_size, 5), nn.ReLU())
    network, run = Network(task, FastWeights(5, 4, decay=0.7), encoder, read_out_size=3), made_up.shown()
    line = written(run, network, half)
    assert line.startswith('Live.add("one", {')
    assert line.endswith("});\n")
    assert line.count("\n") == 1
    body = json.loads(line.removeprefix('Live.add("one", ').removesuffix(");\n"))
    weights = {name: body.pop(name) for name in ("layer", "encoder", "readOut")}
    assert body == {
        "record": run.name, "seal": run.seal, "label": "a < b", "parameters": {"delay": 2},
        "metrics": {"accuracy": 0.5}, "updates": 17, "alphabet": [7, 3], "kind": "fast",
        "settings": {"size": 4, "decay": 0.7, "rate": 0.5, "innerSteps": 1},
    }  # fmt: skip
    assert [part.get("relu", False) for part in weights["encoder"]] == [True]
    assert [part.get("relu", False) for part in weights["readOut"]] == [True, False]
    found = [weights["layer"]["recurrent"], weights["encoder"][0]["bias"], weights["readOut"][1]["weight"]]
    for part, own in zip(found, (network.layer.recurrent.weight, encoder[0].bias, network.read_out[2].weight),
                         strict=True):  # fmt: skip
        assert torch.equal(numbers(part), own.half() if half else own)


# What the pages ship


def test_networks_have_the_precision_that_ships_and_compute_in_double(shipped):
    for page, half in (("remind", True), ("attend", False)):
        assert PAGES[page].half == half
        assert [f"{run.experiment}/{run.model}.{run.profile}.seed0" for run, _ in shipped[page].values()] == list(
            PAGES[page].records
        )
        for name, (run, network) in shipped[page].items():
            assert name == run.model
            for own, kept in zip(network.parameters(), trained(run).parameters(), strict=True):
                assert own.dtype == torch.float64
                assert torch.equal(own, (kept.half() if half else kept).double())


def test_a_pages_file_has_its_networks(shipped, tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "networks", shipped.__getitem__)
    for page, half in (("remind", True), ("attend", False)):
        path = live.write(page, tmp_path / "live")
        assert path == tmp_path / "live" / f"networks_{page}.js"
        text = "".join(written(run, network, half) for run, network in shipped[page].values())
        assert path.read_text(encoding="utf-8") == text
    assert {path.name for path in path.parent.iterdir()} == {"networks_remind.js", "networks_attend.js"}
    monkeypatch.setattr(networks, "networks", {"remind": {}}.__getitem__)
    assert live.write("remind", tmp_path / "live").read_bytes() == b"", "an older file is replaced"


def test_a_pages_example_has_its_networks(shipped, monkeypatch):
    monkeypatch.setattr(examples, "networks", shipped.__getitem__)
    for page in shipped:
        firsts = re.findall(r"<tr><td>(.*?)</td>", live.example(page))
        assert firsts == [records.label(run) for run, _ in shipped[page].values()]


def test_a_page_without_its_weights_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "trained", lambda run: trained(run, tmp_path))
    with pytest.raises(WeightsError, match="There are no weights"):
        live.write("catch", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("page", "name"), NAMES, ids=[name for _, name in NAMES])
def test_every_record_of_a_page_has_its_weights(page, name):
    run = records.load(RESULTS / f"{name}.json")
    with safe_open(RESULTS / "weights" / name_of(run), "pt") as file:
        assert file.metadata()["seal"] == run.seal


def test_the_folder_of_weights_is_small_and_has_nothing_but_weights_of_records():
    files = [path for path in (RESULTS / "weights").rglob("*") if path.is_file()]
    assert len(files) >= len(NAMES)
    assert sum(path.stat().st_size for path in files) <= 6e6
    for path in files:
        run = records.load((RESULTS / path.relative_to(RESULTS / "weights")).with_suffix(".json"))
        assert path == RESULTS / "weights" / name_of(run)
        with safe_open(path, "pt") as file:
            assert file.metadata()["seal"] == run.seal, "of another run than the record"
