"""The training loop: it stops cleanly, goes on to the same result, and leaves nothing half-written."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from companion.baselines import LSTM, FixedRepeats
from companion.mechanisms import AdaptiveComputation, SparseAttentiveBacktracking
from companion.network import Network
from companion.storage import load_checkpoint, save_checkpoint, write_whole
from companion.tasks import Adding, Batch, Copying, Parity, Sort
from companion.training import CHECKPOINT, Diverged, Trainer, TrainingError, reached

# What a subprocess runs: a training of N updates, with a checkpoint, that prints its final weights' sum and history.
SCRIPT = """
import sys, json, torch
from pathlib import Path
import companion.training as training
from companion.network import Network
from companion.baselines import LSTM
from companion.tasks import Copying
training.CHECKPOINT_EVERY_SECONDS = 0
task = Copying(3, held_out_size=20)
trainer = training.Trainer(lambda: Network(task, LSTM(task.input_size, 16)), task, learning_rate=1e-2, seed=5,
                           batch_size=8, evaluate_every=10, checkpoint=Path(sys.argv[1]), identity="a")
print("from", trainer.step, flush=True)
trainer.run(int(sys.argv[2]))
weights = torch.cat([weight.flatten() for weight in trainer.network.parameters()])
print(json.dumps([weights.tolist(), trainer.history]))
"""


def trainer(**changes):
    task = Copying(2, held_out_size=20)
    chosen = {"learning_rate": 1e-2, "seed": 0, "batch_size": 8, "evaluate_every": 10, "identity": "a"} | changes
    return Trainer(lambda: Network(task, LSTM(task.input_size, 16)), task, **chosen)


def weights(trained):
    network = getattr(trained, "network", trained)
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


@contextmanager
def files_no_larger_than(size):
    """A disk that is full after `size` bytes, as far as this process can tell."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_training_learns_what_it_should():
    task = Parity(3, held_out_size=200)
    trained = Trainer(
        lambda: Network(task, FixedRepeats(3, 32, "rnn", 2)), task, learning_rate=5e-3, seed=0, batch_size=64
    )
    trained.run(600)
    assert trained.test()["error"] < 0.02


def test_a_seed_decides_everything():
    one, same, other = trainer(), trainer(), trainer(seed=1)
    for each in (one, same, other):
        each.run(20)
    assert torch.equal(weights(one), weights(same))
    assert one.history == same.history
    assert not torch.equal(weights(one), weights(other))


def test_training_leaves_the_global_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    trainer().run(5)
    assert torch.equal(torch.rand(3), expected)


def test_the_ponder_cost_is_part_of_the_loss():
    task = Parity(4, held_out_size=20)

    def gradient(time_penalty):
        def build():
            return Network(task, AdaptiveComputation(4, 8, "rnn", time_penalty))

        each = Trainer(build, task, learning_rate=0.0, seed=0, batch_size=16, clip=0)
        each.update()
        return each.network.layer.halt.bias.grad.clone()

    assert not torch.equal(gradient(0.0), gradient(1.0))


def test_the_gradient_is_clipped():
    each = trainer(clip=1e-3, learning_rate=0.0)
    each.update()
    norm = torch.stack([weight.grad.norm() for weight in each.network.parameters()]).norm()
    assert norm == pytest.approx(1e-3, rel=1e-3)


def test_a_run_ends_when_the_goal_is_reached():
    each = trainer()
    each.run(1000, {"accuracy": 0.0})
    assert each.step == 10


def test_goals_know_which_way_is_better():
    assert reached({"accuracy": 0.9}, {"accuracy": 0.8})
    assert not reached({"error": 0.9}, {"error": 0.8})
    assert not reached({"accuracy": 0.9, "error": 0.2}, {"accuracy": 0.8, "error": 0.1})
    assert not reached({"accuracy": 1.0}, {})


def test_a_loss_that_is_not_a_number_stops_the_run_and_says_when():
    each = trainer()
    each.run(3)
    with torch.no_grad():
        next(each.network.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="^The loss is nan at update 4; try a lower learning rate.$"):
        each.run(10)
    assert each.step == 3


def test_a_resumed_run_equals_an_uninterrupted_one_bit_by_bit(tmp_path):
    whole = trainer()
    whole.run(45)
    trainer(checkpoint=tmp_path / "run.pt").run(17)
    resumed = trainer(checkpoint=tmp_path / "run.pt")
    assert resumed.step == 17
    resumed.run(45)
    assert torch.equal(weights(whole), weights(resumed))
    assert [look for look in resumed.history if look["step"] != 17] == whole.history


@pytest.mark.parametrize("signal_sent", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill"])
def test_a_stopped_process_resumes_to_the_same_bits(tmp_path, signal_sent):
    def start(checkpoint, updates):
        command = [sys.executable, "-c", SCRIPT, str(checkpoint), str(updates)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    stopped = start(tmp_path / "run.pt", 10**9)
    stopped.stdout.readline()
    deadline = time.monotonic() + 60
    while not (tmp_path / "run.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    stopped.send_signal(signal_sent)
    stopped.wait(30)
    assert stopped.returncode != 0

    made = load_checkpoint(tmp_path / "run.pt", {"step"})["step"]
    target = str(made + 25)
    resumed, _ = start(tmp_path / "run.pt", target).communicate(timeout=60)
    whole, _ = start(tmp_path / "whole.pt", target).communicate(timeout=120)
    assert resumed.splitlines()[0] == f"from {made}"
    assert whole.splitlines()[0] == "from 0"
    assert json.loads(resumed.splitlines()[1])[0] == json.loads(whole.splitlines()[1])[0]


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [
        (lambda each: each.network, "forward", 14),
        (lambda each: each.optimiser, "step", 7),
        (lambda each: each, "evaluate", 2),
    ],
    ids=["in the forward pass", "in the optimiser", "in a look at the validation set"],
)
def test_ctrl_c_anywhere_keeps_every_update_and_resumes_to_the_same_bits(tmp_path, monkeypatch, owner, name, call):
    each, before = trainer(checkpoint=tmp_path / "run.pt"), signal.getsignal(signal.SIGINT)
    part = getattr(owner(each), name)
    calls = []

    def interrupted(*arguments, **choices):
        calls.append(None)
        if len(calls) == call:
            signal.raise_signal(signal.SIGINT)
        return part(*arguments, **choices)

    monkeypatch.setattr(owner(each), name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        each.run(30)
    resumed = trainer(checkpoint=tmp_path / "run.pt")
    assert 0 < resumed.step < 30
    resumed.run(30)
    whole = trainer()
    whole.run(30)
    assert torch.equal(weights(whole), weights(resumed))
    assert resumed.history == whole.history
    assert signal.getsignal(signal.SIGINT) is before


def test_a_full_disk_gets_one_sentence_and_leaves_the_last_checkpoint(tmp_path):
    path = tmp_path / "run.pt"
    trainer(checkpoint=path).run(10)
    before = path.read_bytes()
    with files_no_larger_than(1000), pytest.raises(TrainingError, match="could not be written") as caught:
        trainer(checkpoint=path).run(20)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["run.pt"]


def test_writing_whole_replaces_or_leaves_alone(tmp_path):
    path = tmp_path / "deep" / "file"
    write_whole(path, lambda scratch: scratch.write_text("first"))
    with pytest.raises(TrainingError, match="could not be written"):
        write_whole(path, lambda scratch: (scratch.write_text("half"), Path("/proc/none/x").write_text(""))[0])
    assert path.read_text() == "first"
    assert os.listdir(path.parent) == ["file"]


def test_a_broken_checkpoint_gets_one_sentence(tmp_path, sentence):
    trainer(checkpoint=tmp_path / "run.pt").run(5)
    (tmp_path / "run.pt").write_bytes((tmp_path / "run.pt").read_bytes()[:-1])
    with pytest.raises(TrainingError, match="is broken") as caught:
        trainer(checkpoint=tmp_path / "run.pt")
    sentence(caught)


@pytest.mark.parametrize("part", sorted(CHECKPOINT))
def test_a_checkpoint_that_lacks_a_part_gets_one_sentence(tmp_path, part):
    path = tmp_path / "run.pt"
    trainer(checkpoint=path).run(5)
    state = load_checkpoint(path, CHECKPOINT)
    save_checkpoint(path, {name: value for name, value in state.items() if name != part})
    with pytest.raises(TrainingError, match="is broken"):
        trainer(checkpoint=path)


def test_a_checkpoint_of_another_network_gets_one_sentence(tmp_path, sentence):
    trainer(checkpoint=tmp_path / "run.pt").run(5)
    task = Copying(2, held_out_size=20)
    with pytest.raises(TrainingError, match="is of another network; delete it or move it.$") as caught:
        Trainer(
            lambda: Network(task, LSTM(task.input_size, 6)), task, learning_rate=1e-2, seed=0, batch_size=8,
            checkpoint=tmp_path / "run.pt", identity="a",
        )  # fmt: skip
    sentence(caught)


def test_a_run_that_has_made_more_updates_than_asked_for_is_refused(tmp_path, sentence):
    trainer(checkpoint=tmp_path / "run.pt").run(40)
    with pytest.raises(
        TrainingError, match=r"has made 40 updates, more than the 10 asked for; ask for as many"
    ) as caught:
        trainer(checkpoint=tmp_path / "run.pt").run(10)
    sentence(caught)
    assert trainer(checkpoint=tmp_path / "run.pt").run(40) == trainer(checkpoint=tmp_path / "run.pt").history[-1]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_validation_loss_that_is_not_finite_is_a_divergence(monkeypatch, sentence, value):
    each = trainer()
    monkeypatch.setattr(each, "evaluate", lambda batch: {"accuracy": 0.1, "loss": value})
    with pytest.raises(Diverged, match=f"^The loss on the validation set is {value} after update 10; try a") as caught:
        each.run(30)
    sentence(caught)
    assert each.history == []
    assert each.diverged == str(caught.value)
    with pytest.raises(Diverged, match="after update 10"):
        each.run(30)
    assert each.step == 10


def test_a_test_metric_that_is_not_finite_is_a_divergence(monkeypatch, sentence):
    each = trainer()
    each.run(10)
    monkeypatch.setattr(each.task, "details", lambda evaluate: {"by_delay": [0.1, None, float("nan")]}, raising=False)
    with pytest.raises(Diverged, match="^The by_delay on the test set is not a finite number") as caught:
        each.test()
    sentence(caught)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    trainer(checkpoint=tmp_path / "run.pt").run(5)
    with pytest.raises(TrainingError, match="is of a run with other settings"):
        trainer(checkpoint=tmp_path / "run.pt", identity="b")


def test_mean_ponder_steps_are_reported():
    task = Parity(4, held_out_size=50)
    trained = Trainer(
        lambda: Network(task, FixedRepeats(4, 8, "rnn", 3)), task, learning_rate=1e-3, seed=0, batch_size=8
    )
    trained.run(1)
    assert trained.test()["ponder_steps"] == 3
    assert trained.test()["ponder_steps_by_bits"] == [3, 3, 3, 3]


def test_the_share_of_replayed_windows_is_reported():
    """With a loss at every step all windows are owed something; with one at the end and one example, few are."""
    for task, least, most in ((Copying(20, held_out_size=4), 1, 1), (Adding(40, held_out_size=4), 0.01, 0.5)):
        layer = SparseAttentiveBacktracking(task.input_size, 8, top_k=1, truncation=2)
        trained = Trainer(
            lambda t=task, part=layer: Network(t, part),
            task,
            learning_rate=1e-3,
            seed=0,
            batch_size=1,
            evaluate_every=1,
        )
        trained.run(2)
        assert all(least <= look["replayed"] <= most for look in trained.history)
        assert trained.test()["replayed"] == trained.history[-1]["replayed"]
    assert "replayed" not in trainer().run(1)


def test_what_is_watched_is_noted_at_each_look():
    watched = trainer(watch=lambda network: {"weights": weights(network).norm().item()}, evaluate_every=2)
    watched.run(4)
    first, second = (look["weights"] for look in watched.history)
    assert first != second == weights(watched).norm().item()
    assert "weights" not in watched.test()


def test_evaluation_in_chunks_is_the_mean_over_all():
    each = trainer()
    assert each.evaluate(each.validation, chunk=7) == pytest.approx(each.evaluate(each.validation), rel=1e-5)


def test_one_thread_is_used_on_a_cpu():
    torch.set_num_threads(2)
    trainer()
    assert torch.get_num_threads() == 1


def test_batches_of_several_lengths_are_averaged_over_their_examples():
    each = trainer()
    whole = each.task.batch(torch.Generator().manual_seed(0), 30)
    parts = [Batch(whole.inputs[:, part], whole.targets[..., part]) for part in (slice(0, 7), slice(7, 30))]
    assert each.evaluate(parts) == pytest.approx(each.evaluate(whole), rel=1e-5)


def test_following_gives_the_predictions_and_n_at_each_step():
    task = Sort(3, held_out_each=4)

    def following(layer):
        return Trainer(lambda: Network(task, layer), task, learning_rate=1e-3, seed=0, batch_size=4)

    each, batch = following(AdaptiveComputation(2, 8, halting_bias=-1.0)), task.batch(torch.Generator(), 5, 3)
    predictions, steps = each.follow(batch)
    expected, answer = each.network(batch.inputs)
    assert torch.equal(predictions, expected)
    assert not predictions.requires_grad
    assert torch.equal(steps, answer.trace["ponder_steps"])
    assert steps.float().mean().item() == pytest.approx(each.evaluate(batch)["ponder_steps"])
    assert following(LSTM(2, 8)).follow(batch)[1] is None


def test_what_goes_along_the_steps_is_part_of_the_test():
    task = Sort(5, held_out_each=4)
    each = Trainer(lambda: Network(task, FixedRepeats(2, 8)), task, learning_rate=1e-3, seed=0, batch_size=4)
    assert each.test()["ponder_steps_along"] == [[2.0] * 10]


def test_what_is_tested_is_the_running_average_of_the_weights():
    averaged, plain = trainer(averaging=0.9), trainer()
    expected = None
    for _ in range(5):
        plain.update()
        averaged.update()
        now = [parameter.detach().clone() for parameter in plain.network.parameters()]
        pairs = zip(expected or now, now, strict=True)
        expected = [0.9 * mean + 0.1 * weight for mean, weight in pairs]
    for mine, yours in zip(averaged.average.parameters(), expected, strict=True):
        torch.testing.assert_close(mine.detach(), yours)
    with torch.no_grad():
        for parameter, mean in zip(plain.network.parameters(), expected, strict=True):
            parameter.copy_(mean)
    assert averaged.test() == pytest.approx(plain.test(), rel=1e-5)


def test_a_resumed_run_goes_on_with_its_average(tmp_path):
    whole, parts = trainer(averaging=0.9), tmp_path / "run.pt"
    whole.run(20)
    trainer(averaging=0.9, checkpoint=parts).run(9)
    resumed = trainer(averaging=0.9, checkpoint=parts)
    resumed.run(20)
    for mine, yours in zip(resumed.judged.parameters(), whole.judged.parameters(), strict=True):
        assert torch.equal(mine, yours)
