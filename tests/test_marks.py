"""Marks: an edge, unequal budgets and a falling curve are found where they are, and nowhere else."""

import pytest
from made_up import record

from companion import marks, runs

RATES = (0.001, 0.002, 0.004)


@pytest.mark.parametrize(("chosen", "edge"), [(0.001, True), (0.002, False), (0.004, True)])
def test_a_rate_at_either_end_of_what_was_tried_is_at_the_edge(chosen, edge):
    assert marks.at_edge(record(tried=RATES, chosen=chosen)) is edge
    assert marks.at_edge(record(tried=RATES[::-1], chosen=chosen)) is edge


def test_a_search_that_went_on_beyond_the_edge_has_left_it():
    assert not marks.at_edge(record(tried=(*RATES, 0.008), chosen=0.004))
    assert marks.at_edge(record(tried=(*RATES, 0.008), chosen=0.008))


def test_who_did_not_search_is_at_no_edge():
    assert not marks.at_edge(record(tried=(0.002,), chosen=0.002))
    assert not marks.at_edge(record(tried=(0.002, 0.002), chosen=0.002))


def test_a_rate_that_was_tried_and_diverged_counts_as_tried():
    made = record(tried=RATES, chosen=0.002)
    made.search[2]["loss"] = made.search[0]["loss"] = None
    assert not marks.at_edge(made)


def looks(metric, *values):
    return [{metric: value} for value in values]


@pytest.mark.parametrize(
    ("metric", "values", "falling"),
    [
        ("error", (0.9, 0.8, 0.7, 0.7, 0.68, 0.66), True),
        ("error", (0.9, 0.8, 0.7, 0.7, 0.69, 0.67), False),  # by 4 %
        ("error", (0.9, 0.5, 0.2, 0.1, 0.1, 0.1), False),  # all of it before the last third
        ("error", (0.2, 0.3, 0.3, 0.3, 0.4, 0.5), False),  # rising
        ("accuracy", (0.1, 0.2, 0.5, 0.9, 0.9, 0.91), True),  # of what it lacks a tenth
        ("accuracy", (0.1, 0.2, 0.5, 0.9, 0.9, 0.904), False),
        ("accuracy", (0.9, 0.9, 0.9, 0.9, 0.5, 0.2), False),
        ("reward", (-0.9, -0.9, -0.5, -0.5, 0.0, 0.4), True),
        ("loss", (1.0,), False),
        ("loss", (), False),
    ],
)
def test_a_curve_falls_if_its_last_third_brought_more_than_five_per_cent(metric, values, falling):
    assert marks.still_falling(record(looks=looks(metric, *values)), metric) is falling


def test_one_look_that_scatters_makes_no_falling_curve():
    steady = [0.5] * 28 + [0.4, 0.4] + [0.5] * 9 + [0.4]
    assert not marks.still_falling(record(looks=looks("error", *steady)), "error")


def test_a_curve_that_the_looks_do_not_measure_is_not_called_falling():
    assert not marks.still_falling(record(looks=looks("loss", 3, 2, 1)), "error")


def test_a_run_that_ended_by_its_goal_is_not_called_falling():
    steep = looks("error", 0.9, 0.5, 0.1)
    assert marks.still_falling(record(looks=steep, goal={"error": 0.01}), "error")
    assert not marks.still_falling(record(looks=steep, goal={"error": 0.1}), "error")


def test_a_number_of_steps_is_not_judged_but_the_goal_or_the_loss():
    look = {"ponder_steps": 2.0, "loss": 1.0, "error": 0.1}
    assert marks.judged(record(looks=[look]), "error") == "error"
    assert marks.judged(record(looks=[look]), "ponder_steps") == "loss"
    assert marks.judged(record(looks=[look], goal={"error": 0.0}), "ponder_steps") == "error"
    assert marks.judged(record(looks=[{"reward": 1.0}], goal={"reward": 2}), "loss") == "reward"


def test_runs_of_unequal_budgets_are_not_averaged():
    made = [record("lstm", seed, metrics={"error": 0.1 * seed}, steps=budget, budget=budget)
            for seed, budget in ((1, 600), (2, 600), (3, 200))]  # fmt: skip
    rows = runs.summary(made, "error")
    assert list(rows.index) == [("lstm", "laptop"), ("lstm", "laptop, 200 updates")]
    assert rows["mean"].tolist() == pytest.approx([0.15, 0.3])
    assert rows.runs.tolist() == [2, 1]
    assert rows.updates.tolist() == [600, 200]
    assert rows.note.tolist() == ["", "fewer updates"]


def test_a_run_that_ended_by_its_goal_goes_with_the_longest():
    goal = {"error": 0}
    early = record("lstm", 1, metrics={"error": 0.0}, looks=looks("error", 0.0), budget=200, steps=100, goal=goal)
    late = record("lstm", 2, metrics={"error": 0.2}, looks=looks("error", 0.2), goal=goal)
    (row,) = runs.summary([early, late], "error").itertuples()
    assert (row.Index, row.runs, row.note) == (("lstm", "laptop"), 2, "")


def test_fewer_updates_are_fewer_than_another_row_of_the_table_has():
    rows = [record("lstm", budget=600), record("sab", budget=200), record("gru", budget=100, profile="smoke")]
    assert marks.marks(rows, "error") == [[], ["fewer updates"], []]
    assert marks.marks(rows[1:], "error") == [[], []]


def test_a_note_says_of_how_many_runs_it_is():
    edge, falling = ["rate at edge"], ["still falling"]
    assert marks.note([edge + falling, falling, falling]) == "rate at edge (1 of 3); still falling"
    assert marks.note([edge]) == "rate at edge"
    assert marks.note([[], []]) == marks.note([]) == ""


def test_the_tables_show_the_notes():
    steep = looks("error", 0.9, 0.5, 0.1)
    made = [record("sab", 0, metrics={"error": 0.1}, looks=steep, tried=RATES, chosen=0.004)]
    made.append(record("sab", 1, metrics={"error": 0.1}, looks=steep, tried=RATES, chosen=0.002))
    assert runs.table(made, "error").note.tolist() == ["rate at edge; still falling", "still falling"]
    assert runs.table(made).note.tolist() == ["rate at edge", ""], "no look measures a loss"
    assert runs.summary(made, "error").note.tolist() == ["rate at edge (1 of 2); still falling"]
    assert "minutes" not in runs.summary(made, "error"), "runs share a machine: their minutes compare nothing"
