"""A record says which code made it, holds finite numbers alone, and older ones without a recipe are still read."""

import json
import subprocess
from dataclasses import asdict, replace

import pytest

from companion import records
from companion.records import Record, RecordError, commit, environment, label, load, seal

RECORD = Record(
    experiment="ponder/parity", model="rnn", profile="smoke", seed=0, parameters={"bits": 2}, search=[], chosen={},
    metrics={"error": 0.5}, history=[{"step": 1, "error": 0.5}], steps=1, wall_seconds=1.0, peak_memory_mb=1.0,
    environment={}, commit="0", recipe="abc",
)  # fmt: skip


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with src, notebooks and other files, all committed."""
    for name in ("src/a.py", "notebooks/a.ipynb", "book/results/a.json", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], check=True)
    monkeypatch.setattr(records, "ROOT", tmp_path)
    head = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], check=True, capture_output=True, text=True)
    return tmp_path, head.stdout.strip()


def test_a_commit_is_that_of_the_checkout(checkout):
    assert commit() == checkout[1]
    assert len(checkout[1]) == 12


@pytest.mark.parametrize(
    "name", ["src/a.py", "src/new.py", "notebooks/a.ipynb", "notebooks/new.ipynb", "pyproject.toml", "constraints.txt"]
)
def test_code_that_was_changed_or_added_is_said_to_be(checkout, name):
    folder, head = checkout
    (folder / name).write_text("2")
    assert commit() == f"{head}+"


@pytest.mark.parametrize("name", ["book/results/a.json", "book/results/new.json", "out.ipynb"])
def test_what_is_no_code_changes_no_commit(checkout, name):
    folder, head = checkout
    (folder / name).write_text("2")
    assert commit() == head


def test_an_archive_unpacked_in_another_repository_has_no_commit(checkout, monkeypatch):
    folder, _ = checkout
    (folder / "unpacked").mkdir()
    monkeypatch.setattr(records, "ROOT", folder / "unpacked")
    assert commit() == "unknown"


def test_without_git_or_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "ROOT", tmp_path)
    assert commit() == "unknown"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() == "unknown"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_record_holds_no_number_that_is_not_finite(tmp_path, number, sentence):
    with pytest.raises(RecordError, match="holds a number that is not finite") as caught:
        replace(RECORD, metrics={"error": number}).save(tmp_path)
    sentence(caught)
    assert list(tmp_path.rglob("*.json")) == []


def test_a_record_from_before_there_were_recipes_is_read(tmp_path):
    body = asdict(RECORD)
    del body["recipe"]
    path = tmp_path / "old.json"
    path.write_text(json.dumps(body | {"seal": seal(body)}))
    assert load(path).recipe == ""
    assert load(path).metrics == RECORD.metrics


def test_the_recipe_is_under_the_seal(tmp_path):
    path = RECORD.save(tmp_path)
    assert load(path) == RECORD
    body = json.loads(path.read_text())
    assert body["seal"] == RECORD.seal
    path.write_text(json.dumps(body | {"recipe": "abd"}))
    with pytest.raises(RecordError, match="was changed after its run"):
        load(path)


def test_a_label_is_no_part_of_the_result(tmp_path):
    """A row may be called otherwise later; whether a record is whole, and of which run weights are, stays."""
    named = replace(RECORD, label="RNN")
    assert (label(RECORD), label(named)) == ("rnn", "RNN")
    assert named.seal == RECORD.seal
    path = named.save(tmp_path)
    assert load(path) == named
    body = json.loads(path.read_text())
    del body["label"]  # as older records are
    path.write_text(json.dumps(body))
    assert load(path) == RECORD
    path.write_text(json.dumps(body | {"label": "RNN", "steps": 2}))
    with pytest.raises(RecordError, match="was changed after its run"):
        load(path)


def test_a_record_knows_the_kind_of_its_device_and_older_ones_by_its_name(monkeypatch):
    kinds = [{"kind": "mps", "device": "arm64"}, {"device": "NVIDIA H200"}, {"device": "Intel(R) Xeon(R)"}]
    assert [replace(RECORD, environment=each).kind for each in kinds] == ["mps", "cuda", "cpu"]
    monkeypatch.setattr("torch.xpu.get_device_name", lambda device: f"the maker's {device}")
    monkeypatch.setattr(records, "processor", lambda: "the processor")
    found = {device: environment(device) for device in ("cpu", "xpu:1", "mps")}
    assert {device: each["device"] for device, each in found.items()} == {
        "cpu": "the processor",
        "xpu:1": "the maker's xpu:1",
        "mps": "the processor",
    }
    assert [each["kind"] for each in found.values()] == ["cpu", "xpu", "mps"]
