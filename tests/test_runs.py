"""Records: only a training run makes one, and whoever edits one is found out."""

import json
import os
import resource
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from companion import records, runs
from companion.baselines import FixedRepeats
from companion.experiment import Model, grid, train
from companion.network import Network
from companion.records import RecordError
from companion.settings import PROFILES, SettingsError, profile_parameters
from companion.tasks import Parity
from companion.training import TrainingError

ROOT = Path(__file__).parent.parent
COMMITTED = sorted((ROOT / "book" / "results").glob("*/*/*.json"))


def experiment(**changes):
    task = Parity(2, held_out_size=20)
    candidates = grid(learning_rate=[1e-3, 1e-2])
    table = {"rnn": Model(lambda: Network(task, FixedRepeats(2, 8, "rnn", 1)), candidates, label="RNN, 1 step")}
    chosen = {
        "models": ["rnn"], "seed": 0, "device": "cpu", "records": "", "checkpoints": "", "weights": "",
        "profile": "smoke",
        "steps": 20, "search_steps": 10, "goal": {}, "batch_size": 8, "clip": 1.0, "evaluate_every": 5,
    }  # fmt: skip
    return train("ponder/parity", table, task, SimpleNamespace(**chosen | changes))["rnn"].record


@pytest.fixture
def saved(tmp_path):
    record = experiment(records=str(tmp_path))
    return tmp_path / record.name


def test_a_run_leaves_a_record_with_what_the_design_asks_for(saved):
    body = json.loads(saved.read_text())
    assert saved.name == "rnn.smoke.seed0.json"
    asked = (
        "experiment model profile seed parameters metrics history steps wall_seconds peak_memory_mb environment commit"
    )
    assert set(body) == {*asked.split(), "search", "chosen", "seal", "recipe", "label"}
    assert set(body["environment"]) == {"python", "torch", "kind", "device", "threads"}
    assert body["environment"]["threads"] == 1
    assert body["label"] == "RNN, 1 step"
    assert body["steps"] == 20
    assert [each["learning_rate"] for each in body["search"]][:2] == [1e-3, 1e-2]
    best = min(body["search"], key=lambda each: each["loss"])
    assert body["chosen"] == {"learning_rate": best["learning_rate"]}
    assert body["parameters"] == {
        "steps": 20, "search_steps": 10, "goal": {}, "batch_size": 8, "clip": 1.0, "evaluate_every": 5,
    }  # fmt: skip
    assert 50 < body["peak_memory_mb"] < 50_000


def test_a_record_survives_the_disk(saved):
    assert runs.load(saved).steps == 20


@pytest.mark.parametrize(
    "edit",
    [
        lambda body: body["metrics"].update(error=0.0),
        lambda body: body.update(seed=7),
        lambda body: body.update(seal="0"),
    ],
)
def test_a_record_edited_by_hand_is_refused(saved, edit):
    body = json.loads(saved.read_text())
    edit(body)
    saved.write_text(json.dumps(body))
    with pytest.raises(RecordError, match="was changed after its run") as caught:
        runs.load(saved)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"seal": ""}', "\ufeff"])
def test_half_a_record_is_refused(saved, text):
    saved.write_text(text)
    with pytest.raises(RecordError, match="is not a whole record"):
        runs.load(saved)


def test_a_full_disk_leaves_no_half_record(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    record = experiment()
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(TrainingError, match="could not be written"):
            record.save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [name for _, _, files in os.walk(tmp_path) for name in files] == []


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="could not be written"):
        experiment(records=str(tmp_path / "file" / "records"), steps=10**9)


def test_checkpoints_of_an_experiment_resume_to_the_same_record(tmp_path):
    whole = experiment(steps=40)
    experiment(steps=40, checkpoints=str(tmp_path))
    again = experiment(steps=40, checkpoints=str(tmp_path))
    assert (again.metrics, again.history, again.search) == (whole.metrics, whole.history, whole.search)


def test_a_finished_run_may_be_made_longer(tmp_path):
    experiment(steps=20, checkpoints=str(tmp_path))
    longer = experiment(steps=40, checkpoints=str(tmp_path))
    assert longer.metrics == experiment(steps=40).metrics
    with pytest.raises(TrainingError, match="other settings"):
        experiment(steps=40, batch_size=4, checkpoints=str(tmp_path))


def test_histories_are_thinned_to_two_hundred_looks():
    thinned = records.thin([{"step": step} for step in range(1, 1000)])
    assert len(thinned) <= 200
    assert thinned[-1] == {"step": 999}


def test_a_stale_record_is_noticed(saved, tmp_path, a_notebook):
    source = "profile: str = 'smoke'  # p\nsteps: int = 20  # s\nsearch_steps: int = 10  # s\ngoal: dict = {}  # g\n"
    source += "batch_size: int = 8  # b\nclip: float = 1.0  # c\nevaluate_every: int = 5  # e"
    same = a_notebook(tmp_path / "same.ipynb", source)
    other = a_notebook(tmp_path / "other.ipynb", source.replace("20", "30"))
    assert not records.is_stale(saved, same, "smoke")
    assert records.is_stale(saved, other, "smoke")
    assert not records.is_stale(saved, other, "smoke", steps=20), "it was asked for fewer updates"
    assert not records.is_stale(saved, other, "smoke", steps=15), "it has more than that"
    assert records.is_stale(saved, other, "smoke", steps=25)


def test_no_results_folder_gets_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMPANION_RESULTS", raising=False)
    monkeypatch.setattr(runs, "__file__", str(tmp_path / "runs.py"))
    with pytest.raises(RecordError, match="^The folder book/results was not found"):
        runs.results_folder()


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: "/".join(path.parts[-3:]))
def test_every_committed_record_is_of_a_profile_of_its_notebook(path):
    record = runs.load(path)
    assert record.name == "/".join(path.parts[-3:])
    assert record.profile in PROFILES
    notebook = ROOT / "notebooks" / f"{record.experiment}.ipynb"
    full, made = profile_parameters(notebook, record.profile).get("steps"), record.parameters.get("steps")
    assert made is None or made <= full, "more updates than the profile has"
    assert not records.is_stale(path, notebook, record.profile, made)
    assert len(record.history) <= 200


def test_every_experiment_has_recorded_runs():
    notebooks = {file.name.split(".")[0] for file in (ROOT / "notebooks").glob("*/*.laptop.yaml")}
    assert notebooks == {path.parent.name for path in COMMITTED}


def test_numbers_of_the_papers_say_where_they_were_seen():
    experiments = [
        "remind/copying",
        "remind/adding",
        "remind/pixel_mnist",
        "remind/cifar10",
        "remind/language",
        "remind/transfer",
        "remind/ablations",
        "attend/associative_retrieval",
        "attend/catch",
        "ponder/parity",
        "ponder/extrapolation",
        "ponder/sort",
        "ponder/wikipedia",
    ]
    numbers = [runs.paper_numbers(experiment) for experiment in experiments]
    for rows in numbers:
        assert len(rows)
        assert rows[["setting", "model", "metric", "source", "seen", "scale"]].notna().all(axis=None)
        unseen = rows.seen == "not verified"
        assert rows[unseen][["value", "text"]].isna().all(axis=None), "a number that was not verified is printed"
        assert rows[~unseen][["value", "text"]].notna().any(axis=1).all()


def test_ours_stand_beside_the_papers(tmp_path, monkeypatch):
    record = experiment(records=str(tmp_path))
    (tmp_path / "papers.toml").write_text(
        '[[number]]\nexperiment="ponder/parity"\nsetting="64 bits"\nmodel="rnn"\nmetric="error"\ntext="almost 40 %"\n'
        'source="section 3.1"\nseen="the text"\nscale=""\n'
        '[[number]]\nexperiment="ponder/parity"\nsetting="64 bits"\nmodel="act-1"\nmetric="error"\nsource="Figure 4"\n'
        'seen="not verified"\nscale=""\n'
        '[[number]]\nexperiment="ponder/parity"\nsetting="64 bits"\nmodel="act-0.1"\nmetric="error"\ntext="below 5 %"\n'
        'source="section 3.1"\nseen="the text"\nscale=""\n'
    )
    monkeypatch.setenv("COMPANION_RESULTS", str(tmp_path))
    hours = [
        {"experiment": "ponder/parity", "model": model, "hours": hours, "updates": 1000}
        for model, hours in (("repeats-2", 12.1), ("repeats-3", 0.4), ("rnn", 3.0))
    ]
    replace(record, profile="paper").save(tmp_path)
    for name in ("rnn-0.001", "rnn-averaged", "rnn-0.001-averaged", "rnn-2"):
        replace(record, model=name).save(tmp_path)
    short = record.parameters | {"steps": 15}
    replace(record, seed=1, parameters=short, steps=15, metrics={"error": 1.0}).save(tmp_path)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "paper_rows.json").write_text(json.dumps({"rows": hours}))
    rows = runs.against_paper("ponder/parity", "error")
    assert rows.model.tolist().count("RNN, 1 step") == 7, "labels, not names"
    assert not {"act-1"} & set(rows.model), "neither ours nor a number of the paper's"
    of_paper = rows[rows.profile == "paper"]
    assert of_paper.updates.tolist() == [f"{record.steps} of 1,000"]
    assert of_paper["the paper"].tolist() == ["almost 40 % (64 bits, section 3.1)"]
    smoke = rows[rows.profile == "smoke"]
    assert smoke.updates.tolist() == [f"{record.steps}"] * 5
    assert smoke["the paper"].tolist().count("almost 40 % (64 bits, section 3.1)") == 4, "rows that vary it, too"
    assert smoke["the paper"].tolist().count("no row known to us") == 1
    assert smoke.ours.iloc[0].startswith(f"{record.metrics['error']:.4f} (")
    short = rows[rows.profile == "smoke, 15 updates"]
    assert short[["ours", "note"]].values.tolist() == [["1.0000 (1.0000 to 1.0000)", "rate at edge; fewer updates"]]
    (left,) = rows[rows.ours == "not run"].to_dict("records")
    assert (left["model"], left["the paper"]) == ("act-0.1", "below 5 % (64 bits, section 3.1)")
    assert runs.owed("ponder/parity") == {"rows": 2, "hours": 12.5}


def test_people_are_shown_labels(saved):
    rows = runs.table([records.load(saved)])
    assert runs.labelled(rows).model.tolist() == ["RNN, 1 step"]
    assert "label" not in runs.labelled(rows)
    averaged = runs.labelled(runs.summary([records.load(saved)], "error"))
    assert averaged.index.tolist() == [("RNN, 1 step", "smoke")]
    assert averaged.index.names == ["model", "profile"]
    plain = runs.table([replace(records.load(saved), label="")])
    assert runs.labelled(plain).equals(plain)


@pytest.mark.parametrize(
    ("ours", "row"),
    [
        ("lstm-20", "lstm-20"),
        ("lstm-20-0.0003", "lstm-20"),
        ("lstm-20-averaged-0.004", "lstm-20"),
        ("act-0.001", "act-0.001"),
        ("act-0.001-0.003", "act-0.001"),
        ("act-0.01-0.001-prefix", "act-0.01-prefix"),
        ("act-0.01-0.001-averaged-prefix", "act-0.01-prefix"),
    ],
)
def test_a_row_that_varies_another_finds_it(ours, row):
    known = {"lstm-20", "act-0.001", "act-0.01", "act-0.001-prefix", "act-0.01-prefix"}
    assert runs.varied_from(ours, known) == row


def test_a_row_that_varies_none_of_the_papers_finds_none():
    for ours in ("lstm-20-0", "gru-0.001", "act-0.0002-0.001"):
        assert runs.varied_from(ours, {"lstm-20", "act-0.001"}) not in {"lstm-20", "act-0.001"}, ours


def test_a_goal_that_the_task_does_not_measure_is_refused_before_training():
    with pytest.raises(SettingsError, match=r"^The goal names 'accuracy'; this task has error, loss, ponder_steps\.$"):
        experiment(goal={"accuracy": 0.9})
