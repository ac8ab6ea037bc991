"""The benchmarks run, and what they recorded is whole."""

import inspect
import json
import runpy
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from companion import data, runs
from companion.answer import Answer
from companion.baselines import FixedRepeats
from companion.data import files
from companion.settings import profile_parameters

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "benchmarks" / "remind.py"
SIDE_BY_SIDE = ROOT / "notebooks" / "together" / "side_by_side.ipynb"


@pytest.mark.parametrize("layer", ["LSTM loop", "SAB, replay", "SAB, graph", "LSTM + self-attention"])
@pytest.mark.parametrize("work", ["training", "training, loss at the end", "evaluation"])
def test_a_measurement_gives_seconds_and_megabytes(layer, work):
    case = json.dumps([layer, work, 30, 4, 1])
    printed = subprocess.run(
        [sys.executable, SCRIPT, "--one", case], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    measured = json.loads(printed)
    assert measured.keys() == {"seconds", "megabytes"}
    assert 0 < measured["seconds"] < 60


def test_what_was_recorded_has_a_row_for_every_measurement():
    rows = runs.benchmark("remind")
    assert {"layer", "work", "steps", "batch", "seconds", "megabytes"} == set(rows.columns)
    cases = runpy.run_path(str(SCRIPT))["CASES"]
    assert list(zip(rows.layer, rows.work, rows.steps, rows.batch, strict=True)) == [case[:4] for case in cases]
    recorded = json.loads((ROOT / "book/results/benchmarks/remind.json").read_text())
    assert recorded["environment"]["threads"] == 1


def memory():
    return runpy.run_path(str(ROOT / "benchmarks" / "memory.py"))


def test_what_autograd_keeps_is_counted_once_and_without_the_weights():
    batch, size = 3, 8

    class Layer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(size, size))

        def forward(self, inputs):
            squashed = torch.tanh(inputs @ self.weight)  # saves its input, the weight, and its output
            return Answer(squashed * squashed, None, None, {})  # saves the output again; the loss saves its square

    assert memory()["kept"](Layer(), torch.randn(5, batch, size)) == 3 * 4 * 5 * batch * size


@pytest.mark.parametrize(("steps", "batch"), [(7, 3), (20, 2)])
def test_what_full_attention_keeps_has_a_closed_form(steps, batch):
    """Inputs, outputs [h ; s], memories, keys, a first state; of each pair of steps a score; w₃ / T."""
    script = memory()
    width = script["INPUT"] + 4 * script["HIDDEN"]
    singles = 4 * batch * (steps * width + script["HIDDEN"])
    pairs = 4 * batch * steps * (steps - 1) // 2
    scaled = 4 * script["HIDDEN"]
    found = [script["counted"]("LSTM + self-attention", "kept", steps, batch) for _ in range(2)]
    assert found == [singles + pairs + scaled] * 2


@pytest.mark.parametrize("layer", ["SAB, replay", "LSTM + self-attention"])
def test_the_most_bytes_at_once_are_the_same_on_every_run(layer):
    first, second = (memory()["counted"](layer, "test", 12, 2) for _ in range(2))
    assert first == second > 0


def test_the_most_bytes_at_once_are_counted_as_they_come_and_go():
    def work():
        for _ in range(3):
            torch.empty(1000)  # gone before the next one
        kept = torch.empty(500), torch.empty(250)
        return len(kept)

    assert memory()["most"](work) == 4 * 1000


def test_what_was_counted_has_a_row_for_every_layer_work_and_length():
    rows, script = runs.benchmark("memory"), memory()
    wanted = {
        (layer, work, steps, script["BATCH"])
        for layer in script["LAYERS"]
        for work in ("kept", "test")
        for steps in script["LENGTHS"]
    }
    assert set(zip(rows.layer, rows.work, rows.steps, rows.batch, strict=True)) == wanted
    row = rows[(rows.layer == "LSTM + self-attention") & (rows.work == "kept")].iloc[0]
    assert row.bytes == script["counted"](row.layer, row.work, int(row.steps), int(row.batch))


def test_an_unknown_benchmark_gets_one_sentence():
    with pytest.raises(runs.RecordError, match=r"^There is no benchmark .*; `make bench` measures it\.$"):
        runs.benchmark("nothing")


def test_the_masked_loop_that_adaptive_computation_is_measured_against_computes_the_same():
    script = runpy.run_path(str(ROOT / "benchmarks" / "ponder.py"))
    setting = script["SETTINGS"]["parity"]._replace(batch=9, steps=2)
    layer = script["halting"](setting, -0.5, 3.0, max_steps=6)
    adaptive, loop = script["Adaptive"](layer), script["MaskedLoop"](layer)
    loop.read_out = adaptive.read_out
    inputs = torch.randn(setting.steps, setting.batch, setting.input_size)
    assert layer(inputs).trace["ponder_steps"].unique().numel() > 2
    found = [
        [loss, *torch.autograd.grad(loss, list(adaptive.parameters()))] for loss in (adaptive(inputs), loop(inputs))
    ]
    for mine, yours in zip(*found, strict=True):
        torch.testing.assert_close(mine, yours, rtol=1e-4, atol=1e-6)


def test_networks_trained_in_one_pass_get_the_gradients_that_each_gets_alone():
    script = runpy.run_path(str(ROOT / "benchmarks" / "attend.py"))
    inputs = torch.randn(5, 3, 100)
    networks = [script["Fast"](8, "auto") for _ in range(4)]
    together = script["Together"](networks)
    assert together(inputs).shape[0] == 4
    together(inputs).square().sum().backward()
    for number, network in enumerate(networks):
        network(inputs).square().sum().backward()
        parameters = dict(network.named_parameters())
        for name, stacked in zip(together.names, together.weights, strict=True):
            torch.testing.assert_close(stacked.grad[number], parameters[name].grad, rtol=1e-4, atol=1e-6)


def test_what_attending_cost_has_a_row_for_every_layer_size_and_length():
    script, rows = runpy.run_path(str(ROOT / "benchmarks" / "attend.py")), runs.benchmark("attend")
    found = set(zip(rows.layer, rows.units, rows.steps, strict=True))
    assert found >= {
        (name, units, steps) for name in script["LAYERS"] for units in script["UNITS"] for steps in script["STEPS"]
    }
    assert {"one network", "8 networks in one pass", "Catch, Gymnasium", "Catch, rules", "Catch, training"} <= {
        name for name, *_ in found
    }
    assert (rows.seconds > 0).all()


def test_what_pondering_cost_has_a_row_for_every_layer_and_setting():
    rows = runs.benchmark("ponder")
    script, wanted = runpy.run_path(str(ROOT / "benchmarks" / "ponder.py")), []
    for task, setting in script["SETTINGS"].items():
        layers = ["torch cell", "fast form", "plain form"] + ["masked loop"] * (setting.cell == "rnn")
        batches = [setting.batch] * len(script["HALTING"]) + [8, 32, 512] * (task == "parity")
        wanted += [(task, layer, batch) for layer in layers for batch in batches]
    wanted += [(task, "halts, cap 20", script["SETTINGS"][task].batch) for task in ("parity", "logic")]
    assert sorted(zip(rows.task, rows.layer, rows.batch, strict=True)) == sorted(wanted)
    assert (rows[["seconds", "ratio", "mean_n", "longest"]] > 0).all(axis=None)


def test_every_row_of_a_paper_profile_has_its_price():
    rows = runs.benchmark("paper_rows")
    wanted = {
        (f"{file.parent.name}/{file.name.split('.')[0]}", model)
        for file in (ROOT / "notebooks").glob("*/*.paper.yaml")
        for model in yaml.safe_load(file.read_text())["models"]
    }
    assert set(zip(rows.experiment, rows.model, strict=True)) == wanted
    assert (rows[["updates", "seconds", "hours"]] > 0).all(axis=None)


def test_a_price_needs_no_download(monkeypatch, as_users_run_it):
    """The notebooks whose paper profile reads data that do not come with the package, cut down to a few steps."""
    script = runpy.run_path(str(ROOT / "benchmarks" / "paper_rows.py"))
    monkeypatch.delenv("COMPANION_DATA", raising=False)
    monkeypatch.setattr(files, "_download", None)
    monkeypatch.setattr(data, "cifar10", script["blank_pictures"])
    monkeypatch.setattr(data, "face_set", script["blank_faces"])
    for name, model, changes in (
        ("remind/cifar10", "lstm", {"pool": 8}),
        ("remind/language", "lstm", {"length": 5, "hidden_size": 4, "embedding_size": 4}),
        ("attend/glimpses", "lstm-50", {}),
        ("attend/faces", "lstm-multi-pie", {"hidden_size": 4}),
    ):
        notebook = ROOT / "notebooks" / f"{name}.ipynb"
        parameters = profile_parameters(notebook, "paper") | {"device": "cpu", "batch_size": 2} | changes
        if "source" in parameters:
            parameters["source"] = script["STANDS_IN"].get(parameters["source"], parameters["source"])
        table, task = script["models_of"](notebook, parameters)
        script["updating"](table[model], task, parameters)()


def test_a_price_is_that_of_the_notebooks_own_model():
    script = runpy.run_path(str(ROOT / "benchmarks" / "paper_rows.py"))
    notebook = ROOT / "notebooks" / "ponder" / "parity.ipynb"
    parameters = profile_parameters(notebook, "smoke") | {"bits": 5}
    table, task = script["models_of"](notebook, parameters)
    assert task.input_size == 5
    update = script["updating"](table["rnn"], task, parameters)
    assert 0 < script["seconds_of"](update) < 60
    trainer = update.__self__
    assert trainer.step > script["LEAST_UPDATES"]
    assert isinstance(trainer.network.layer, FixedRepeats)


class Clock:
    """A clock that stands still but for updates, which take what they are told to, the last for ever after."""

    def __init__(self, *taken):
        self.now, self.taken, self.updates = 100.0, taken, 0

    def __call__(self):
        return self.now

    def update(self):
        self.now += self.taken[min(self.updates, len(self.taken) - 1)]
        self.updates += 1


@pytest.mark.parametrize(
    ("taken", "price", "updates"),
    [
        ((5.1, 0.25), 0.25, 1 + 5),  # the first warms up: it does not count
        ((9.0, 0.3, 4.0, 0.3, 0.5, 0.4), 0.4, 1 + 5),  # the median: one slow update does no harm
        ((0.1, 0.0625), 0.0625, 1 + 16),  # of short ones as many as fill a second
        ((2.5, 2.5), 2.5, 1 + 3),  # of long ones as many as six seconds hold
        ((40.0, 30.0), 30.0, 1 + 1),
    ],
)
def test_a_price_is_the_median_of_enough_updates_after_one_to_warm_up(taken, price, updates):
    script, clock = runpy.run_path(str(ROOT / "benchmarks" / "paper_rows.py")), Clock(*taken)
    assert script["seconds_of"](clock.update, clock) == pytest.approx(price)
    assert clock.updates == updates


def test_a_price_counts_the_processors_time():
    """Not the wall's, which goes on while another program has the core."""
    script = runpy.run_path(str(ROOT / "benchmarks" / "paper_rows.py"))
    assert inspect.signature(script["seconds_of"]).parameters["clock"].default is time.process_time


def test_the_second_round_begins_when_all_rows_had_their_first():
    """A noisy minute, in which the first rows take four times as long, leaves no trace."""
    script, seen = runpy.run_path(str(ROOT / "benchmarks" / "paper_rows.py")), []
    rows = [{"experiment": "a/b", "model": model, "updates": 7200} for model in ("one", "two", "three")]

    def measure(row):
        seen.append(row["model"])
        return 0.00123456 * (4 if len(seen) <= 2 else 1)

    script["in_rounds"](rows, measure)
    assert seen == ["one", "two", "three"] * 2
    assert [row["seconds"] for row in rows] == [0.00123] * 3
    assert [row["rounds"] for row in rows] == [[0.00494, 0.00123], [0.00494, 0.00123], [0.00123, 0.00123]]
    assert rows[0]["hours"] == pytest.approx(0.00246)


def test_a_layer_on_a_task_gives_seconds_bytes_and_weights(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    script = runpy.run_path(str(ROOT / "benchmarks" / "together.py"))
    setting, rows = script["measured"](["parity-rnn-ln", "parity-lstm"])
    assert setting["hidden_size"] == profile_parameters(SIDE_BY_SIDE, "laptop")["hidden_size"]
    assert [row["model"] for row in rows] == ["parity-rnn-ln", "parity-lstm"]
    assert all(0 < row["seconds"] < 60 for row in rows)
    assert 0 < rows[0]["weights"] < rows[1]["weights"]
    assert 0 < rows[0]["bytes"] < rows[1]["bytes"]


def test_what_every_layer_took_has_a_row_for_every_model():
    rows = runs.benchmark("together")
    assert list(rows.model) == profile_parameters(SIDE_BY_SIDE, "laptop")["models"]
    assert (rows[["seconds", "bytes", "weights"]] > 0).all(axis=None)
