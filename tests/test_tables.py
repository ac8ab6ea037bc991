"""Tables are computed from records: made-up ones, whose tables can be worked out by hand."""

import json
from dataclasses import replace

import pytest
from made_up import record, row

from companion import runs
from companion.records import RecordError


def test_a_row_of_a_summary_has_mean_least_and_most_over_its_seeds():
    rows = row("error", 0.1, 0.2, 0.9) + row("error", 0.4, 0.4, model="lstm")
    rows[1] = replace(rows[1], steps=300, parameters={"steps": 600, "goal": {"error": 0.3}})  # it ended by its goal
    found = runs.summary(rows, "error")
    assert list(found.index) == [("sab", "laptop"), ("lstm", "laptop")]
    assert found.loc[("sab", "laptop"), ["runs", "mean", "least", "most", "updates"]].tolist() == pytest.approx(
        [3, 0.4, 0.1, 0.9, 500]
    )
    assert found.loc[("lstm", "laptop"), ["runs", "mean", "updates"]].tolist() == [2, 0.4, 600]


def test_the_note_of_a_summary_is_of_its_metric():
    falling = [{"error": value, "loss": 1.0} for value in (0.9, 0.8, 0.7, 0.7, 0.6, 0.5)]
    made = [record(metrics={"error": 0.5, "loss": 1.0}, looks=falling)]
    assert [runs.summary(made, metric).note.item() for metric in ("error", "loss")] == ["still falling", ""]


def test_a_table_has_a_row_a_run():
    made = record(
        seed=3, metrics={"error": 0.25, "error_by_bits": [0.1]}, tried=(1, 2), chosen=2, steps=500, budget=500
    )
    falling = [{"error": value} for value in (0.9, 0.8, 0.7, 0.7, 0.6, 0.5)]
    found = runs.table([replace(made, wall_seconds=7.0), record(looks=falling)], "error")
    assert found.columns.tolist() == "model profile seed learning_rate error updates seconds note".split()
    assert found.iloc[0].tolist() == ["sab", "laptop", 3, 2, 0.25, 500, 7.0, "rate at edge; fewer updates"]
    assert found.iloc[1].note == "still falling"
    assert runs.table([]).empty


def test_labels_stand_beside_the_names_if_a_model_has_one():
    named = [replace(each, label="SAB, cut at 5") for each in row("error", 0.1, 0.3)]
    plain = row("error", 0.4, model="lstm")
    assert runs.table(named + plain)[["model", "label"]].values.tolist() == [
        ["sab", "SAB, cut at 5"],
        ["sab", "SAB, cut at 5"],
        ["lstm", "lstm"],
    ]
    summary = runs.summary(named + plain, "error")
    assert list(summary.index) == [("sab", "laptop"), ("lstm", "laptop")]
    assert summary.label.tolist() == ["SAB, cut at 5", "lstm"]
    for table in (runs.table(plain), runs.summary(plain, "error"), runs.table([]), runs.summary([], "error")):
        assert "label" not in table


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A results folder with two experiments, numbers and curves of both, and prices of both."""
    numbers, curves, prices = "", "", []
    for name, value in (("remind/copying", 0.25), ("ponder/parity", 0.5)):
        for metric, size in (("error", value), ("loss", value + 1)):
            numbers += f'[[number]]\nexperiment="{name}"\nsetting="T = 9"\nmodel="sab"\nmetric="{metric}"\n'
            numbers += f'value={size}\nsource="Table 1"\nseen="the text"\nscale=""\n'
        curves += f'[[curve]]\nexperiment="{name}"\nmodel="sab"\nmetric="error"\nx=[1, 2]\nx_name="T"\n'
        curves += f'value=[{value}, 1.0]\nsource="Figure 2"\nseen="the text"\n'
        prices.append({"experiment": name, "model": "sab", "hours": 100 * value, "updates": int(1000 * value)})
    (tmp_path / "papers.toml").write_text(numbers + curves)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "paper_rows.json").write_text(json.dumps({"rows": prices}))
    monkeypatch.setenv("COMPANION_RESULTS", str(tmp_path))
    return tmp_path


def test_an_experiment_is_told_its_own_numbers_and_curves(results):
    assert runs.paper_numbers("remind/copying").value.tolist() == [0.25, 1.25]
    assert runs.paper_curves("ponder/parity")[["x", "value"]].values.tolist() == [[1.0, 0.5], [2.0, 1.0]]


def test_records_stand_beside_the_number_of_their_metric_and_experiment(results):
    for each in row("error", 0.1, 0.3):
        each.save(results)
    (beside,) = runs.against_paper("remind/copying", "error").query("profile == 'laptop'").to_dict("records")
    assert (beside["ours"], beside["runs"]) == ("0.2000 (0.1000 to 0.3000)", "2")
    assert beside["the paper"] == "0.2500 (T = 9, Table 1)"
    assert beside["updates"] == "600", "the price is that of the paper's size"
    assert runs.owed("remind/copying") == {"rows": 1, "hours": 25.0}
    record(metrics={"error": 0.5}, profile="paper").save(results)
    (ran,) = runs.against_paper("remind/copying", "error").query("profile == 'paper'").to_dict("records")
    assert (ran["ours"], ran["updates"]) == ("0.5000 (0.5000 to 0.5000)", "600 of 250")
    assert runs.owed("remind/copying") == {"rows": 0, "hours": 0.0}


@pytest.mark.parametrize(
    "text", ["number = 3", "number = 'x'", "[number]\nexperiment = 'x'", "[[number]]\nmodel = 'x'", "x ="]
)
def test_numbers_of_the_papers_that_cannot_be_read_are_said_to_be(results, text, sentence):
    (results / "papers.toml").write_text(text)
    with pytest.raises(RecordError, match=r"papers\.toml cannot be read") as caught:
        runs.paper_numbers("remind/copying")
    sentence(caught)


def test_records_are_loaded_of_all_profiles_or_of_one(results):
    for profile in ("laptop", "paper"):
        record(metrics={"error": 0.5}, profile=profile).save(results)
    assert [each.profile for each in runs.load_all("remind/copying")] == ["laptop", "paper"]
    assert [each.profile for each in runs.load_all("remind/copying", "paper")] == ["paper"]
    assert runs.load_all("ponder/parity") == []
    assert runs.experiments() == ["remind/copying"]


def test_a_benchmark_comes_back_whole(results):
    rows = [{"layer": "sab", "seconds": 1.5}, {"layer": "lstm", "seconds": 0.5}]
    runs.save_benchmark(results / "benchmarks" / "some.json", {"batch": 64}, rows)
    assert runs.benchmark("some").to_dict("records") == rows
    kept = json.loads((results / "benchmarks" / "some.json").read_text())
    assert kept["setting"] == {"batch": 64}
    assert {"environment", "commit"} <= set(kept)


def test_a_benchmark_that_is_not_there_or_not_whole_is_refused(results, sentence):
    with pytest.raises(RecordError, match="There is no benchmark") as caught:
        runs.benchmark("none")
    sentence(caught)
    (results / "benchmarks" / "half.json").write_text("{}")
    with pytest.raises(RecordError, match="is not a whole benchmark") as caught:
        runs.benchmark("half")
    sentence(caught)


def test_models_of_a_summary_are_named_in_a_sentence():
    assert runs.names(runs.summary(row("error", 0.1) + row("error", 0.2, model="lstm"), "error")) == "sab, lstm"
    assert runs.names(runs.summary([], "error")) == "none"


def test_the_updates_until_a_goal_are_those_of_the_first_look_that_reached_it():
    def run(model, accuracies):
        looks = [{"step": 10 * (place + 1), "accuracy": value} for place, value in enumerate(accuracies)]
        return replace(record(model), history=looks)

    recorded = [run("fast", [0.2, 0.99, 1.0]), run("fast", [0.1, 0.1, 1.0]), run("slow", [0.2, 0.3, 0.4])]
    recorded.append(run("late", [0.5, 0.6, 0.99]))
    recorded.append(run("late", [0.5, 0.6, 0.7]))
    texts = runs.updates_until(recorded, {"accuracy": 0.99})
    assert texts["fast", "laptop"] == "25 (2 of 2)"
    assert texts["late", "laptop"] == "30 (1 of 2)"
    assert texts["slow", "laptop"] == "not reached"
    assert runs.updates_until([], {"accuracy": 0.99}).empty
