"""Networks that decide how often to step stand beside those that step equally often: by records that are made up."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from made_up import record

from companion.mechanisms import AdaptiveComputation
from companion.mechanisms.halting import mean_field
from companion.pondering import beside_repeats, by_difficulty, inner_states, variants


def test_a_model_that_ponders_stands_beside_the_fixed_repeats_of_its_mean_n():
    rows = [("act-0.01", 2.9, 0.1), ("act-0.01-prefix", 3.1, 0.2), ("rnn", 1.0, 0.5), ("repeats-3", 3.0, 0.3)]
    rows += [("act-0.01-bias-minus-3", 2.2, 0.7)]
    rows += [("repeats-2-prefix", 2.0, 0.4), ("ponder-0.1", 1.2, 0.6)]
    made = [record(name, metrics={"error": error, "ponder_steps": n}) for name, n, error in rows]
    beside = beside_repeats(made, "error").set_index("model")
    assert list(beside["nearest repeats"]) == ["repeats-3", "repeats-2-prefix", "repeats-3", "rnn"]
    assert beside["steps apart"].tolist() == pytest.approx([0.1, 1.1, 0.8, 0.2])
    row = beside.loc["act-0.01"].drop("steps apart")
    assert row.tolist() == [2.9, 0.1, made[0].steps, "repeats-3", 0.3, made[0].steps]


def test_each_seed_of_a_model_that_ponders_is_matched_by_its_own_n():
    rows = [("act-0.01", 1.9, 0.1), ("act-0.01", 5.5, 0.3), ("rnn", 1.0, 0.5), ("repeats-2", 2.0, 0.4)]
    rows += [("repeats-4", 4.0, 0.9), ("repeats-5", 5.0, 0.2), ("repeats-5", 5.0, 0.4)]
    made = [record(name, metrics={"error": error, "ponder_steps": n}) for name, n, error in rows]
    (row,) = beside_repeats(made, "error").itertuples(index=False, name=None)
    assert (row[0], row[4]) == ("act-0.01", "repeats-2; repeats-5")
    assert [row[1], row[2], row[5], row[6]] == pytest.approx([3.7, 0.2, 0.3, 0.35])


def test_labels_stand_beside_the_names_and_for_the_repeats():
    rows = [
        ("act-0.01", 1.9, "ACT, τ = 0.01"),
        ("act-0.1", 1.1, ""),
        ("rnn", 1.0, ""),
        ("repeats-2", 2.0, "RNN, 2 steps"),
    ]
    made = [replace(record(name, metrics={"error": 0.5, "ponder_steps": n}), label=label) for name, n, label in rows]
    beside = beside_repeats(made, "error")
    assert beside[["model", "label", "nearest repeats"]].values.tolist() == [
        ["act-0.01", "ACT, τ = 0.01", "RNN, 2 steps"],
        ["act-0.1", "act-0.1", "rnn"],
    ]


def test_error_and_n_by_difficulty_have_a_row_a_model_seed_and_value():
    metrics = {"error_by_bits": [0.1, 0.2], "ponder_steps_by_bits": [1.0, 3.0]}
    made = [record("act-1", seed, metrics=metrics) for seed in (0, 4)]
    rows = by_difficulty(made, "bits", first=2)
    assert list(rows) == ["model", "label", "seed", "bits", "error", "ponder_steps"]
    assert rows.values.tolist() == [
        ["act-1", "act-1", seed, *row] for seed in (0, 4) for row in ([2, 0.1, 1.0], [3, 0.2, 3.0])
    ]
    assert list(by_difficulty([], "gates")) == ["model", "label", "seed", "gates", "error", "ponder_steps"]
    named = [replace(each, label="ACT, τ = 1") for each in made]
    assert set(by_difficulty(named, "bits").label) == {"ACT, τ = 1"}


def test_the_variant_of_a_task_is_what_a_name_has_beside_its_network():
    found = {
        "rnn": "",
        "lstm-gap": "-gap",
        "repeats-2-prefix": "-prefix",
        "act-0.0001": "",
        "act-1e-05-gap": "-gap",
        "act-0.01-bias-minus-3": "",
        "act-1-bias-0-gap": "-gap",
        "act-0.01-0.001-prefix": "-0.001-prefix",
        "rnn-0.001-prefix": "-0.001-prefix",
    }
    assert variants(pd.Series(list(found))).tolist() == list(found.values())


def test_the_inner_states_are_those_that_the_layer_averages(float64):
    torch.manual_seed(0)
    layer, inputs = AdaptiveComputation(3, 4, halting_bias=-1.0, dtype=torch.float64), float64(1, 5, 3)
    answer = layer(inputs)
    steps = int(answer.trace["ponder_steps"].max())
    states = inner_states(layer, inputs, steps + 2)
    assert states.shape == (steps + 2, 5, 4)
    torch.testing.assert_close(mean_field(answer.trace["halting"][0], states[:steps]), answer.outputs[0])
    torch.testing.assert_close(states[:2], inner_states(layer, inputs, 2))
