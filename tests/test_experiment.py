"""From a table of models to a record: the candidates, who goes on, what a trainer gets, what is kept."""

import math
import random
import signal
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch

from companion import experiment, training, weights
from companion.baselines import FixedRepeats
from companion.experiment import Model, grid, log_uniform, one_of, random_search, train
from companion.network import Network
from companion.records import RecordError, load
from companion.settings import SettingsError
from companion.storage import TrainingError
from companion.tasks import Parity


def test_models_of_one_seed_share_the_learning_rates():
    rates = log_uniform(1e-4, 1e-2)
    plain = random_search(6, 3, learning_rate=rates)
    other = random_search(6, 3, learning_rate=rates, decay=one_of([0.8, 0.9]), rate=log_uniform(0.1, 1.0))
    assert [each["learning_rate"] for each in plain] == [each["learning_rate"] for each in other]
    assert all(list(each) == ["learning_rate", "decay", "rate"] for each in other)
    assert plain == random_search(6, 3, learning_rate=rates)
    assert plain != random_search(6, 4, learning_rate=rates)


def test_a_log_uniform_number_has_a_uniform_logarithm_and_three_digits():
    drawn = [each["x"] for each in random_search(2000, 0, x=log_uniform(0.01, 1.0))]
    assert all(0.01 <= number <= 1 for number in drawn)
    assert all(number == float(f"{number:.3g}") for number in drawn)
    places = [(math.log10(number) + 2) / 2 for number in drawn]
    assert sum(places) / 2000 == pytest.approx(0.5, abs=0.03)
    assert sum(place < 0.25 for place in places) / 2000 == pytest.approx(0.25, abs=0.05)
    assert {each["x"] for each in random_search(5, 0, x=log_uniform(0.3, 0.3))} == {0.3}


def test_one_of_gives_each_value():
    drawn = [each["x"] for each in random_search(3000, 0, x=one_of([1, 2, 5]))]
    assert all(drawn.count(value) / 3000 == pytest.approx(1 / 3, abs=0.05) for value in (1, 2, 5))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: random_search(0, 0, x=one_of([1])),
        lambda: log_uniform(0.0, 1.0),
        lambda: log_uniform(1.0, 0.1),
        lambda: log_uniform(1.0),
        lambda: one_of([]),
        lambda: grid(decay=[]),
    ],
)
def test_a_search_that_cannot_be_is_refused_in_one_sentence(wrong):
    with pytest.raises(SettingsError, match=r"^(A|The) (search|log-uniform) .*; it .*\.$"):
        wrong()


TASK = Parity(2, held_out_size=20)


def request(**changes):
    chosen = {
        "models": ["a"], "seed": 0, "device": "cpu", "records": "", "checkpoints": "", "weights": "",
        "profile": "smoke", "steps": 20, "search_steps": 10, "goal": {}, "batch_size": 8, "clip": 1.0,
        "evaluate_every": 5,
    }  # fmt: skip
    return SimpleNamespace(**chosen | changes)


def network(size=8):
    return Network(TASK, FixedRepeats(2, size, "rnn", 1))


def run(model, task=TASK, **changes):
    return train("ponder/parity", {"a": model}, task, request(**changes))["a"]


class Spy(experiment.Trainer):
    """A trainer whose loss on the validation set is what its learning rate says."""

    made: ClassVar[list] = []

    def __init__(self, build, task, **options):
        super().__init__(build, task, **options)
        self.options = options | {"task": task}
        Spy.made.append(self)

    def evaluate(self, batch):
        return super().evaluate(batch) | {"loss": abs(self.options["learning_rate"] - 0.02)}


@pytest.fixture
def spied(monkeypatch):
    monkeypatch.setattr(experiment, "Trainer", Spy)
    Spy.made = []
    return Spy.made


@pytest.mark.parametrize("rates", [[0.02, 0.01, 0.05], [0.01, 0.02, 0.05], [0.05, 0.01, 0.02, 0.03]])
def test_the_best_candidate_goes_on_and_no_other(spied, rates):
    made = run(Model(network, grid(learning_rate=rates)))
    assert [each.step for each in spied] == [20 if rate == 0.02 else 10 for rate in rates]
    assert made.network is spied[rates.index(0.02)].judged
    assert made.record.chosen == {"learning_rate": 0.02}
    losses = [pytest.approx(abs(rate - 0.02)) for rate in rates]
    assert made.record.search == [
        {"learning_rate": rate, "loss": loss, "steps": 10} for rate, loss in zip(rates, losses, strict=True)
    ]
    assert made.record.steps == 20
    assert made.record.history == spied[rates.index(0.02)].history
    assert made.record.wall_seconds == round(sum(each.seconds for each in spied), 1)


def test_a_trainer_gets_what_the_notebook_asked_for(spied, tmp_path):
    sizes = []

    def build(size):
        sizes.append(size)
        return network(size)

    def watch(net):
        return {"seen": 1.0}

    other = Parity(2, held_out_size=30)
    model = Model(build, grid(learning_rate=[0.02, 0.03], size=[4, 6]), other, watch, averaging=0.5)
    asked = {"seed": 7, "batch_size": 3, "clip": 0.25, "evaluate_every": 2, "checkpoints": str(tmp_path)}
    run(model, **asked)
    assert sizes[:4] == [4, 6, 4, 6]
    for each, rate in zip(spied, [0.02, 0.02, 0.03, 0.03], strict=False):
        expected = {
            "learning_rate": rate,
            "seed": 7,
            "batch_size": 3,
            "clip": 0.25,
            "evaluate_every": 2,
            "device": "cpu",
        }
        assert each.options.items() >= (expected | {"watch": watch, "averaging": 0.5, "task": other}).items()
    files = [each.options["checkpoint"] for each in spied]  # of candidates, in the order of their choices
    assert len(set(files)) == len(files)
    assert all(file.is_file() for file in files)


def identities(spied, tmp_path, model=None, **changes):
    spied.clear()
    run(model or Model(network, grid(learning_rate=[0.02])), checkpoints=str(tmp_path), **changes)
    return [each.options["identity"] for each in spied]


@pytest.mark.parametrize(
    "changes",
    [{"seed": 1}, {"batch_size": 4}, {"clip": 0.5}, {"evaluate_every": 4}, {"search_steps": 5},
     {"goal": {"error": 0.0}}, {"model": Model(network, grid(learning_rate=[0.03]))}],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_a_checkpoint_is_of_one_run_alone(spied, tmp_path, changes):
    assert identities(spied, tmp_path / "a") != identities(spied, tmp_path / "b", **changes)


def test_a_longer_run_goes_on_from_the_same_checkpoint(spied, tmp_path):
    assert identities(spied, tmp_path / "a") == identities(spied, tmp_path / "b", steps=30)


@pytest.mark.parametrize("changed", ["recipe_of_this_run", "code_of_this_run", "torch"])
def test_a_checkpoint_of_other_code_is_refused(tmp_path, monkeypatch, changed, sentence):
    model = Model(network, grid(learning_rate=[0.02]))
    run(model, checkpoints=str(tmp_path))
    other = SimpleNamespace(__version__="9.9") if changed == "torch" else lambda *name: "another recipe"
    monkeypatch.setattr(experiment, changed, other)
    with pytest.raises(TrainingError, match="is of a run with other settings, or of other code") as caught:
        run(model, checkpoints=str(tmp_path))
    sentence(caught)


def test_without_search_updates_the_first_candidate_is_taken(spied):
    made = run(Model(network, grid(learning_rate=[0.05, 0.02])), search_steps=0)
    assert [each.options["learning_rate"] for each in spied] == [0.05]
    assert made.record.search == [{"learning_rate": 0.05, "loss": None, "steps": 0}]


def test_a_record_says_the_commit_at_its_begin(spied, monkeypatch):
    now = ["before"]
    monkeypatch.setattr(experiment, "commit", lambda: now[0])
    monkeypatch.setattr(Spy, "test", lambda self: (now.__setitem__(0, "after"), {"error": 0.1})[1])
    assert run(Model(network, grid(learning_rate=[0.02]))).record.commit == "before"


def test_a_longer_run_may_search_on_and_try_other_rates(monkeypatch, tmp_path):
    """Up to update 20 the smallest rate is best, on the plateau; after it the largest is."""

    class Turning(Spy):
        def evaluate(self, batch):
            rate, plateau = self.options["learning_rate"], TASK.plateau
            loss = plateau * ((1 + rate) if self.step <= 20 else (0.5 - rate))
            return experiment.Trainer.__mro__[1].evaluate(self, batch) | {"loss": loss}

    monkeypatch.setattr(experiment, "Trainer", Turning)
    model = Model(network, grid(learning_rate=[0.01, 0.02, 0.04]))
    folder = str(tmp_path / "one")
    short = run(model, checkpoints=folder, steps=20).record
    assert [each["learning_rate"] for each in short.search][3:] == [0.005, 0.0025]
    longer = run(model, checkpoints=folder, steps=80).record
    whole = run(model, checkpoints=str(tmp_path / "other"), steps=80).record
    assert [each["learning_rate"] for each in whole.search][3:] == [0.08, 0.16]
    assert (longer.search, longer.chosen, longer.metrics) == (whole.search, whole.chosen, whole.metrics)


def test_a_shorter_run_does_not_replace_the_record_of_a_longer_one(tmp_path, sentence):
    model = Model(network, grid(learning_rate=[0.02]))
    path = tmp_path / run(model, records=str(tmp_path), steps=30).record.name
    before = path.read_bytes()
    with pytest.raises(RecordError, match="is the record of a longer run, of 30 updates; name another") as caught:
        run(model, records=str(tmp_path), steps=20)
    sentence(caught)
    assert path.read_bytes() == before


SHORT = {"steps": 40, "search_steps": 7}
SEARCHES = {
    "doubling, upper edge": (SHORT, Model(network, grid(learning_rate=[0.01, 0.03, 0.1]))),
    "one diverges": (SHORT | {"clip": 0.0}, Model(network, grid(learning_rate=[0.3, 1e38, 0.03]))),
    "goal, average": (SHORT | {"goal": {"error": 0.2}}, Model(network, grid(learning_rate=[0.01, 0.1]), averaging=0.5)),
}


class Killed(BaseException):
    """What stops a run where nothing is saved any more."""


@pytest.mark.parametrize("every", [0, 20])
@pytest.mark.parametrize("stop", [KeyboardInterrupt, Killed])
@pytest.mark.parametrize("name", SEARCHES)
def test_a_run_stopped_in_any_phase_of_its_search_goes_on_to_the_same_record(monkeypatch, tmp_path, name, stop, every):
    changes, model = SEARCHES[name]
    monkeypatch.setattr(training, "CHECKPOINT_EVERY_SECONDS", every)
    monkeypatch.setattr("os.fsync", lambda file: None)
    plain, counted = experiment.Trainer.update, [0, 0]

    def update(self):
        counted[0] += 1
        if counted[0] == counted[1]:
            signal.raise_signal(signal.SIGINT) if stop is KeyboardInterrupt else (_ for _ in ()).throw(Killed())
        plain(self)

    monkeypatch.setattr(experiment.Trainer, "update", update)
    whole = run(model, **changes).record
    for place in random.Random(0).sample(range(1, counted[0]), 3):
        counted[:] = [0, place]
        folder = str(tmp_path / str(place))
        with pytest.raises(stop):
            run(model, checkpoints=folder, **changes)
        again = run(model, checkpoints=folder, **changes).record
        for part in ("search", "chosen", "metrics", "history", "steps"):
            assert getattr(again, part) == getattr(whole, part), (place, part)


def test_a_record_says_its_recipe(monkeypatch):
    monkeypatch.setattr(experiment, "recipe_of_this_run", lambda name: f"of {name}")
    assert run(Model(network, grid(learning_rate=[0.02]))).record.recipe == "of ponder/parity"


def test_a_run_ends_at_its_goal(spied):
    assert run(Model(network, grid(learning_rate=[0.02])), goal={"error": 1.0}).record.steps == 5
    assert run(Model(network, grid(learning_rate=[0.02])), goal={"error": -1.0}).record.steps == 20


def test_a_search_longer_than_the_run_is_refused(sentence):
    with pytest.raises(
        SettingsError, match="^The search takes 30 updates and the run 10; ask for at least as many"
    ) as caught:
        run(Model(network, grid(learning_rate=[0.02])), search_steps=30, steps=10)
    sentence(caught)


def test_a_rate_that_diverges_does_not_win_and_leaves_no_trace_of_nan(tmp_path):
    made = run(Model(network, grid(learning_rate=[1e38, 0.003])), search_steps=5, records=str(tmp_path), clip=0.0)
    assert made.record.chosen["learning_rate"] < 1
    assert made.record.search[0]["loss"] is None
    assert made.record.chosen != made.record.search[0]
    assert "NaN" not in (tmp_path / made.record.name).read_text()


def test_the_test_set_is_met_after_the_last_update_and_only_then(spied, monkeypatch):
    asked = []
    monkeypatch.setattr(Spy, "test", lambda self: (asked.append(self.step), {"error": 0.25})[1])
    assert run(Model(network, grid(learning_rate=[0.01, 0.02, 0.05]))).record.metrics == {"error": 0.25}
    assert asked == [20]


def test_a_record_of_other_parameters_is_not_overwritten(tmp_path, sentence):
    model = Model(network, grid(learning_rate=[0.02]))
    run(model, records=str(tmp_path), search_steps=0)
    with pytest.raises(
        RecordError, match=r"is the record of a run whose batch_size is 8, not 4; name another"
    ) as caught:
        run(model, records=str(tmp_path), batch_size=4, search_steps=0)
    sentence(caught)
    longer = run(model, records=str(tmp_path), steps=30, search_steps=0).record
    assert load(tmp_path / longer.name).steps == 30
    run(model, records=str(tmp_path), seed=1, batch_size=4, search_steps=0)


def test_two_delays_in_one_folder_are_refused_before_any_training(spied, tmp_path):
    model = Model(network, grid(learning_rate=[0.02]))
    for delay in (3, 5):
        settings = request(records=str(tmp_path), search_steps=0)
        settings.delay = delay
        if delay == 3:
            train("ponder/parity", {"a": model}, TASK, settings)
            spied.clear()
        else:
            with pytest.raises(RecordError, match="whose delay is 3, not 5"):
                train("ponder/parity", {"a": model}, TASK, settings)
    assert spied == []


def test_the_tested_network_is_kept_with_its_record_and_read_back(tmp_path):
    model = Model(network, grid(learning_rate=[0.02]), averaging=0.5)
    made = run(model, weights=str(tmp_path / "w"), records=str(tmp_path / "r"), search_steps=0)
    record = load(tmp_path / "r" / made.record.name)
    back = weights.load(tmp_path / "w" / weights.name_of(record), network(), record)
    inputs = TASK.held_out("test").inputs
    assert torch.equal(back.eval()(inputs)[0], made.network.eval()(inputs)[0])
