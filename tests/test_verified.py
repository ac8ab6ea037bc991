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


def test_a_look_of_other_weights_or_that_notes_something_else_is_not_the_runs(record, monkeypatch):
    table, task = verified.models_of(None, None)

    def now(**change):
        changed = {"rnn": replace(table["rnn"], **change)}
        monkeypatch.setattr(verified, "models_of", lambda notebook, parameters: (changed, task))
        return again(replace(record, history=[record.history[0] | {"norm": 1.0}]))

    assert now(watch=lambda network: {"norm": 1.0})["reproduced"]
    assert now(watch=lambda network: {"norm": 2.0})["difference"] == 1.0
    assert now(averaging=0.0)["difference"] > 0


def run_verify(records, folder, monkeypatch, *arguments, again=None):
    """`make verify` on these records, in a results folder, with `again` in the place of training."""
    (folder / "papers.toml").write_text("")
    monkeypatch.setenv("COMPANION_RESULTS", str(folder))
    for each in records:
        each.save(folder)
    monkeypatch.setattr(verify, "todays", lambda experiment: "now")
    monkeypatch.setattr(verify, "again", again)
    monkeypatch.setattr("sys.argv", ["verify.py", *arguments])
    verify.main()


def found(record):
    """As `again` answers; "gru" is not reproduced, "lstm" diverges, the data of "rnn-2" are missing."""
    if record.model == "rnn-2":
        raise DataMissing("The data are not here.")
    difference = {"gru": 0.5, "lstm": None, "rnn-3": 1e-5}.get(record.model, 0.0)
    return {
        "experiment": record.experiment, "model": record.model, "made_by": record.recipe, "today": "now",
        "updates": 4, "difference": difference, "reproduced": difference in (0.0, 1e-5),
    }  # fmt: skip


MODELS = ("rnn", "rnn-2", "rnn-3", "gru", "lstm")


def test_verify_tells_what_it_found_and_keeps_it(record, tmp_path, monkeypatch, capsys):
    records = [replace(record, model=model) for model in MODELS]
    stale = {"experiment": "ponder/parity", "model": "rnn", "made_by": "before", "today": "once", "reproduced": True}
    (tmp_path / "verified.json").write_text(json.dumps([stale]))
    run_verify(records, tmp_path, monkeypatch, again=found)
    lines = capsys.readouterr().out.splitlines()
    told = {line[25:].split(",")[0]: line[:25].strip() for line in lines[:-1] if "smoke" in line}
    name = "ponder/parity/{}.smoke.seed4.json"
    assert told == {
        name.format("rnn"): "to the last digit",
        name.format("rnn-3"): "within 1.0e-05",
        name.format("gru"): "differs by 5.0e-01",
        name.format("lstm"): "diverges",
    }
    assert any(line.startswith("not tried") for line in lines)
    assert lines[-1].startswith("2 of 4 reproduced by today's code")
    assert "; 1 models and codes were not tried, 0 of them" in lines[-1]
    kept = rows_of(tmp_path)
    assert [row["model"] for row in kept] == ["gru", "lstm", "rnn", "rnn-3"]
    assert {row["today"] for row in kept} == {"now"}, "what was found of other code is dropped"


def test_verify_takes_a_sample_and_leaves_out_what_takes_long(record, tmp_path, monkeypatch, capsys):
    records = [replace(record, model=model) for model in ("rnn", "rnn-3", "gru")]
    records.append(replace(record, model="dear", wall_seconds=1e6))
    run_verify(records, tmp_path, monkeypatch, "--sample", "2", again=found)
    assert len(rows_of(tmp_path)) == 2
    assert "2 models and codes were not tried, 1 of them" in capsys.readouterr().out
    run_verify([], tmp_path, monkeypatch, "--sample", "2", again=found)
    assert {row["model"] for row in rows_of(tmp_path)} == {"rnn", "rnn-3", "gru"}, "the next sample goes on"


def test_verify_of_no_number_is_of_all_whose_names_begin_so(record, tmp_path, monkeypatch, capsys):
    records = [replace(record, model=model) for model in ("rnn", "rnn-3", "gru")]
    run_verify(records, tmp_path, monkeypatch, "--only", "ponder/parity/r", "--sample", "0", again=found)
    assert [row["model"] for row in rows_of(tmp_path)] == ["rnn", "rnn-3"]


def test_verify_refuses_what_it_cannot_do(record, tmp_path, monkeypatch, sentence):
    for arguments, said in (("--sample=-1", "SAMPLE is -1"), ("--only=none", "No record's name begins with 'none'")):
        with pytest.raises(SystemExit, match=said) as caught:
            run_verify([record], tmp_path, monkeypatch, arguments)
        sentence(caught)
