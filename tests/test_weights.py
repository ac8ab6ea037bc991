"""Weights come back to the bit, and not into another network, nor from another run."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open

from companion import weights
from companion.baselines import LSTM
from companion.network import Network
from companion.records import Record
from companion.tasks import Copying
from companion.weights import WeightsError

TASK = Copying(2, held_out_size=4)
RECORD = Record(
    experiment="remind/copying", model="lstm", profile="smoke", seed=3, parameters={"delay": 2}, search=[],
    chosen={"learning_rate": 0.1}, metrics={"accuracy": 0.5}, history=[], steps=1, wall_seconds=1, peak_memory_mb=1,
    environment={}, commit="0", recipe="abc",
)  # fmt: skip


def network(size=6):
    return Network(TASK, LSTM(TASK.input_size, size))


def test_weights_come_back_to_the_bit(tmp_path):
    one, other = network(), network()
    path = weights.save(tmp_path, one, RECORD)
    assert path == tmp_path / "remind/copying/lstm.smoke.seed3.safetensors"
    assert weights.load(path, other, RECORD) is other
    assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def test_weights_say_whose_they_are(tmp_path):
    with safe_open(weights.save(tmp_path, network(), RECORD), "pt") as file:
        about = file.metadata()
    assert about["seal"] == RECORD.seal
    assert about["record"] == RECORD.name
    assert (about["model"], about["recipe"]) == ("lstm", "abc")
    assert json.loads(about["chosen"]) == RECORD.chosen
    assert json.loads(about["parameters"]) == RECORD.parameters


def test_weights_of_another_run_or_network_are_refused(tmp_path, sentence):
    path = weights.save(tmp_path, network(), RECORD)
    with pytest.raises(WeightsError, match="are of another run than the record") as caught:
        weights.load(path, network(), replace(RECORD, metrics={"accuracy": 0.6}))
    sentence(caught)
    before = network(7)
    kept = {name: tensor.clone() for name, tensor in before.state_dict().items()}
    with pytest.raises(
        WeightsError, match=r"have layer\.\S+ of shape \(24,.*; build it with the settings of the"
    ) as caught:
        weights.load(path, before, RECORD)
    sentence(caught)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in before.state_dict().items())


@pytest.mark.parametrize("damage", [lambda whole: whole[:50], lambda whole: b"", lambda whole: b"\xff" * 40])
def test_damaged_or_missing_weights_get_one_sentence(tmp_path, damage, sentence):
    path = weights.save(tmp_path, network(), RECORD)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WeightsError, match="are damaged or cannot be read") as caught:
        weights.load(path, network(), RECORD)
    sentence(caught)
    with pytest.raises(WeightsError, match="There are no weights") as caught:
        weights.load(tmp_path / "none", network(), RECORD)
    sentence(caught)
