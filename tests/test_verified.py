"""What today's code reproduces is found by training again, and a record that says something else is not reproduced."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from companion import verified
from companion.baselines import FixedRepeats
from companion.data import DataMissing
from companion.experiment import Model, grid, train
from companion.network import Network
from companion.records import environment
from companion.tasks import Parity
from companion.verified import again, count, rows_of, standing

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location("verify", ROOT / "workflow" / "verify.py")
verify = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verify)


@pytest.fixture
def record(monkeypatch):
    """Of a short run, whose notebook today has the same models."""

    def build(size, inputs=2):
        return Network(task, FixedRepeats(inputs, size, "rnn", 2))

    task = Parity(2, held_out_size=20)
    table = {"rnn": Model(build, grid(learning_rate=[1e-2], size=[5]), averaging=0.5)}
    settings = SimpleNamespace(
        models=["rnn"], seed=4, device="cpu", records="", checkpoints="", weights="", profile="smoke", steps=12,
        search_steps=0, goal={}, batch_size=8, clip=0.1, evaluate_every=4,
    )  # fmt: skip
    made = train("ponder/parity", table, task, settings)["rnn"].record
    monkeypatch.setattr(verified, "models_of", lambda notebook, parameters: (table, task))
    monkeypatch.setattr(verified, "todays", lambda experiment: "now")
    return replace(made, recipe="before")


def test_a_run_is_reproduced_to_the_last_digit(record):
    row = again(record)
    assert (row["reproduced"], row["same_processor"], row["difference"], row["updates"]) == (True, True, 0.0, 4)
    assert (row["experiment"], row["model"], row["made_by"], row["today"]) == ("ponder/parity", "rnn", "before", "now")


@pytest.mark.parametrize(
    "change",
    [{"seed": 5}, {"chosen": {"learning_rate": 0.011, "size": 5}}, {"chosen": {"learning_rate": 0.01, "size": 6}},
     {"parameters": {"batch_size": 7}}, {"parameters": {"clip": 0.0}}],
    ids=["seed", "rate", "size", "batch", "clip"],
)  # fmt: skip
def test_a_run_of_anything_else_is_not(record, change):
    if "parameters" in change:
        change = {"parameters": record.parameters | change["parameters"]}
    row = again(replace(record, **change))
    assert not row["reproduced"]
    assert row["difference"] > 0


def test_on_another_processor_a_part_in_a_thousand_is_allowed(record):
    elsewhere = environment("cpu") | {"device": "another"}

    def off_by(share, environment):
        looks = [dict(record.history[0], loss=record.history[0]["loss"] * (1 + share)), *record.history[1:]]
        return again(replace(record, history=looks, environment=environment))["reproduced"]

    assert off_by(5e-4, elsewhere)
    assert not off_by(2e-3, elsewhere)
    assert not off_by(1e-6, environment("cpu"))
    assert not off_by(5e-4, environment("cpu") | {"torch": record.environment["torch"]})
    assert off_by(5e-4, environment("cpu") | {"torch": "1.0"})


def test_a_record_stands_as_today_as_reproduced_or_as_other(record, tmp_path):
    row = again(record)
    assert standing(record, []) == "other"
    assert standing(record, [row]) == "reproduced"
    assert standing(replace(record, recipe="now"), []) == "today"
    for change in ({"reproduced": False}, {"today": "yesterday"}, {"model": "lstm"}, {"made_by": "x"}):
        assert standing(record, [row | change]) == "other"
    old = replace(record, recipe="", commit="abc")
    assert standing(old, [row | {"made_by": "commit abc"}]) == "reproduced"
    (tmp_path / "verified.json").write_text(json.dumps([row]))
    assert rows_of(tmp_path) == [row]
    assert count([record, old, replace(record, recipe="now")], tmp_path) == {"today": 1, "reproduced": 1, "other": 1}
    assert rows_of(tmp_path / "none") == []


def test_a_run_of_changed_code_stands_for_itself_alone(record):
    one = replace(record, recipe="", commit="abc+")
    row = again(one)
    assert standing(one, [row]) == "reproduced"
    assert standing(replace(one, seed=5), [row]) == "other"


def test_a_run_whose_data_or_model_are_not_here_is_not_tried(record, monkeypatch, sentence):
    table, _ = verified.models_of(None, None)
    for found in ((table, None), ({}, Parity(2))):
        monkeypatch.setattr(verified, "models_of", lambda notebook, parameters, found=found: found)
        with pytest.raises(DataMissing, match="are not here") as caught:
            again(record)
        sentence(caught)


def test_a_run_that_diverges_today_is_not_reproduced(record):
    chosen = record.chosen | {"learning_rate": 1e38}
    row = again(replace(record, chosen=chosen, parameters=record.parameters | {"clip": 0.0}))
    assert (row["reproduced"], row["difference"]) == (False, None)


def test_nothing_is_of_today_where_today_is_not_known(record, monkeypatch):
    monkeypatch.setattr(verified, "todays", lambda experiment: "")
    assert standing(replace(record, recipe=""), [again(record)]) == "other"


def test_of_each_model_and_code_one_record_is_owed_and_the_cheapest(record, monkeypatch):
    monkeypatch.setattr(verify, "todays", lambda experiment: "now")
    dear = replace(record, seed=1, wall_seconds=100.0)
    cheap = replace(record, seed=2, wall_seconds=1.0)
    other = replace(record, model="lstm")
    done = replace(record, recipe="now")
    assert verify.owed([dear, cheap, other, done], []) == [cheap, other]
    tried = {"experiment": "ponder/parity", "model": "lstm", "made_by": "before", "today": "now", "reproduced": False}
    assert verify.owed([dear, cheap, other, done], [tried]) == [cheap]
    assert verify.owed([other], [tried | {"today": "yesterday"}]) == [other]


def test_the_time_to_the_first_look_is_that_of_the_run_with_its_search(record):
    searched = [{"learning_rate": 1, "steps": 100}, {"learning_rate": 2, "steps": 40}]
    made = replace(record, steps=100, wall_seconds=28.0, search=searched, chosen={"learning_rate": 1})
    made = replace(made, history=[{"step": 50}])
    assert verify.expected_seconds(made) == pytest.approx(10.0)
    old = replace(made, search=[{"learning_rate": 1}, {"learning_rate": 2}], parameters={"search_steps": 40})
    assert verify.expected_seconds(old) == pytest.approx(10.0)
