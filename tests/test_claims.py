"""A verdict follows from the records by rule: each rule by made-up records."""

import pytest
from made_up import record

from companion import claims
from companion.claims import NEVER, Claim, Verdict, judge
from companion.records import RecordError

WITHOUT_UPDATES = "[[ours]]\nclaim='x'\nexperiment='x'\nmodel='x'\nmetric='x'\nprofile='x'\ncriterion={at_most=1}"
PAPER, LAPTOP = {"profile": "paper", "budget": 1000, "steps": 1000}, {"profile": "laptop", "budget": 100, "steps": 100}
FALLING = [{"error": share, "loss": 1.0} for share in (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)]


def claim(criterion=None, metric="error", **changes):
    known = {"claim": "It errs little", "experiment": "remind/copying", "model": "sab", "metric": metric,
             "criterion": criterion or {"at_most": 0.1}, "profile": "paper", "updates": 1000,
             "source": "Table 1"}  # fmt: skip
    return Claim(**known | changes)


def row(values, size=PAPER, model="sab", metric="error", **how):
    return [record(model, seed, metrics={metric: value}, **size | how) for seed, value in enumerate(values)]


@pytest.mark.parametrize(
    ("records", "verdict", "seeds"),
    [
        (row([0.1, 0.05, 0.0]), Verdict.REPRODUCED, 3),
        (row([0.1, 0.05, 0.0, 0.2]), Verdict.MIXED, 4),
        (row([0.2, 0.3, 0.4]), Verdict.NOT_FOUND, 3),
        (row([0.1, 0.05]), Verdict.THIN, 2),
        (row([0.2]), Verdict.THIN, 1),
        (row([0.1, 0.05, 0.0], LAPTOP), Verdict.SMALLER, 3),
        (row([0.1, 0.05, 0.3], LAPTOP), Verdict.MIXED, 3),
        (row([0.2, 0.3, 0.4], LAPTOP), Verdict.NOT_FOUND, 3),
        (row([0.1, 0.0], LAPTOP), Verdict.THIN, 2),
        ([], Verdict.NOT_RUN, 0),
        (row([0.1, 0.05, 0.0], model="lstm"), Verdict.NOT_RUN, 0),
        # Fewer than three of the paper's size, beside three of a reduced one: these decide, unless those say otherwise.
        (row([0.1]) + row([0.1, 0.0, 0.0], LAPTOP), Verdict.SMALLER, 3),
        (row([0.2]) + row([0.1, 0.0, 0.0], LAPTOP), Verdict.THIN, 1),
        (row([0.1]) + row([0.2, 0.3, 0.4], LAPTOP), Verdict.THIN, 1),
        (row([0.1, 0.1, 0.0]) + row([0.2, 0.3, 0.4], LAPTOP), Verdict.REPRODUCED, 3),
        # Fewer updates than the paper's are a reduced size; the larger of two decides.
        (row([0.1, 0.0, 0.0], budget=500, steps=500), Verdict.SMALLER, 3),
        (row([0.1, 0.0, 0.0], budget=500, steps=500) + row([0.2, 0.2, 0.2], LAPTOP), Verdict.SMALLER, 3),
        (row([0.2, 0.2, 0.2], budget=500, steps=500) + row([0.1, 0.0, 0.0], LAPTOP), Verdict.NOT_FOUND, 3),
        (row([0.1, 0.0], budget=500, steps=500) + row([0.2, 0.2, 0.2], LAPTOP), Verdict.NOT_FOUND, 3),
        (row([0.1, 0.0, 0.0], budget=2000, steps=2000), Verdict.REPRODUCED, 3),
        (row([0.1, 0.0, 0.0], LAPTOP | {"budget": 1000, "steps": 1000}), Verdict.SMALLER, 3),
        (row([0.2] * 3, budget=500, steps=500) + row([0.1] * 3, budget=300, steps=300), Verdict.NOT_FOUND, 3),
        # Runs of more updates than a reduced size has are not of it.
        (row([0.1, 0.1], budget=300, steps=300) + row([0.1] * 3, budget=500, steps=500)[2:], Verdict.THIN, 1),
        # Failing runs that still got better when their updates ended.
        (row([0.2, 0.3, 0.4], LAPTOP, looks=FALLING), Verdict.THIN, 3),
        (row([0.1, 0.0, 0.0], LAPTOP, looks=FALLING), Verdict.SMALLER, 3),
        (row([0.2, 0.3, 0.4], looks=FALLING), Verdict.NOT_FOUND, 3),
    ],
)  # fmt: skip
def test_verdicts(records, verdict, seeds):
    found = judge(claim(), records)
    assert (found.verdict, len(found.seeds)) == (verdict, seeds)


def test_the_size_that_decides_is_named():
    full = judge(claim(), row([0.1, 0.05, 0.0]))
    assert (full.profile, full.updates, full.full_size) == ("paper", 1000, True)
    reduced = judge(claim(), row([0.1]) + row([0.1, 0.0, 0.0], LAPTOP))
    assert (reduced.profile, reduced.updates, reduced.full_size) == ("laptop", 100, False)


def test_a_run_that_ended_by_its_goal_is_of_the_papers_size_with_fewer_updates():
    ended = {"budget": 500, "steps": 300, "looks": [{"error": 0.04}], "goal": {"error": 0.05}}
    assert judge(claim(), row([0.04, 0.04, 0.04], **ended)).verdict is Verdict.REPRODUCED
    unended = ended | {"goal": {"error": 0.01}}
    assert judge(claim(), row([0.04, 0.04, 0.04], **unended)).verdict is Verdict.SMALLER


def test_a_claim_that_something_fails_is_not_open_because_it_still_falls():
    """Who got better than the paper says has decided the claim already."""
    fails = claim({"at_least": 0.5})
    assert judge(fails, row([0.2, 0.3, 0.4], LAPTOP, looks=FALLING)).verdict is Verdict.NOT_FOUND


@pytest.mark.parametrize(
    ("criterion", "metric", "ours", "theirs", "holds"),
    [
        ({"at_least": 0.5}, "accuracy", 0.5, None, True),
        ({"at_least": 0.5}, "accuracy", 0.4, None, False),
        ({"at_most": 0.5}, "error", 0.5, None, True),
        ({"at_most": 0.5}, "error", 0.6, None, False),
        ({"above": ["lstm"]}, "accuracy", 0.5, 0.4, True),
        ({"above": ["lstm"]}, "accuracy", 0.5, 0.5, False),
        ({"below": ["lstm"]}, "error", 0.4, 0.5, True),
        ({"below": ["lstm"]}, "error", 0.5, 0.5, False),
        ({"near": {"lstm": 0.1}}, "error", 0.45, 0.5, True),
        ({"near": {"lstm": 0.1}}, "error", 0.3, 0.5, False),
        ({"near": {"lstm": 0.1}}, "error", 0.7, 0.5, False),
    ],
)
def test_criteria(criterion, metric, ours, theirs, holds):
    records = row([ours] * 3, metric=metric)
    records += row([theirs] * 3, model="lstm", metric=metric) if theirs is not None else []
    found = judge(claim(criterion, metric), records)
    assert [seed.holds for seed in found.seeds] == [holds] * 3
    assert all(seed.others == (() if theirs is None else (theirs,)) for seed in found.seeds)


def test_above_and_below_are_of_every_other_on_the_same_seed_and_of_the_same_size():
    both = claim({"below": ["lstm", "rnn"]})
    records = row([0.1, 0.1, 0.1]) + row([0.2, 0.2, 0.2], model="lstm") + row([0.3, 0.05, 0.3], model="rnn")
    assert [seed.holds for seed in judge(both, records).seeds] == [True, False, True]
    over = claim({"above": ["lstm", "rnn"]}, "accuracy")
    found = row([0.3] * 3, metric="accuracy") + row([0.2] * 3, model="lstm", metric="accuracy")
    found += row([0.1, 0.4, 0.1], model="rnn", metric="accuracy")
    assert [seed.holds for seed in judge(over, found).seeds] == [True, False, True]
    assert len(judge(both, records[:-1]).seeds) == 2, "a seed that one of them lacks is not compared"
    unmeasured = row([0.1] * 3) + row([None] * 3, model="lstm") + row([0.3] * 3, model="rnn")
    assert judge(both, unmeasured).verdict is Verdict.NOT_RUN
    uneven = row([0.1] * 3) + row([0.2] * 3, model="lstm", budget=500, steps=500) + row([0.2] * 3, model="rnn")
    assert judge(both, uneven).verdict is Verdict.NOT_RUN, "of other updates"


def test_places_of_lists_are_compared():
    lists = {"metric": "ponder_steps_by_bits"}
    grows = claim({"above_at": 0}, at=-1, **lists)
    found = judge(grows, row([[1.0, 2.0], [2.0, 2.0], [3.0, 5.0]], **lists))
    assert [(seed.value, *seed.others, seed.holds) for seed in found.seeds] == [
        (2.0, 1.0, True),
        (2.0, 2.0, False),
        (5.0, 3.0, True),
    ]
    flat = claim({"at_most_at": 0}, at=1, **lists)
    assert [seed.holds for seed in judge(flat, row([[1.0, 2.0], [2.0, 2.0], [3.0, 1.0]], **lists)).seeds] == [
        False,
        True,
        True,
    ]
    assert judge(grows, row([[1.0, None]] * 3, **lists)).verdict is Verdict.NOT_RUN, (
        "what ran out of memory has no number"
    )


def test_sooner_is_by_the_first_look_at_a_goal():
    sooner = claim({"sooner": {"goal": {"error": 0.1}, "than": ["lstm"]}})
    fast, slow, never = ([{"error": share} for share in shares] for shares in ([0.3, 0.1, 0.1], [0.3, 0.3, 0.1], [0.3]))
    ours = [
        record("sab", seed, looks=looks, metrics={}, **PAPER) for seed, looks in enumerate((fast, slow, fast, never))
    ]
    theirs = [
        record("lstm", seed, looks=looks, metrics={}, **PAPER) for seed, looks in enumerate((slow, slow, never, never))
    ]
    found = judge(sooner, ours + theirs).seeds
    assert [(seed.value, *seed.others, seed.holds) for seed in found] == [
        (200, 300, True),
        (300, 300, False),
        (200, NEVER, True),
        (NEVER, NEVER, False),
    ]


def test_where_it_is_smaller_another_model_and_criterion_may_stand_for_the_papers():
    put = claim(smaller={"model": "sab-2", "criterion": {"at_most": 0.3}})
    assert judge(put, row([0.2] * 3, LAPTOP, model="sab-2")).verdict is Verdict.SMALLER
    assert judge(put, row([0.2] * 3, LAPTOP)).verdict is Verdict.NOT_RUN
    assert judge(put, row([0.2] * 3)).verdict is Verdict.NOT_FOUND


def test_the_label_is_that_of_the_runs():
    labelled = [record(label="SAB, cut at 1", metrics={"error": 0.1}, **PAPER)]
    assert judge(claim(), labelled).label == "SAB, cut at 1"
    assert judge(claim(), []).label == "sab"


@pytest.mark.parametrize(
    "text", ["x =", "[[claim]]\nclaim = 'x'", "[[claim]]\nclaim = 'x'\nmodul = 'y'", WITHOUT_UPDATES]
)
def test_a_file_that_is_no_list_of_claims_gets_one_sentence(tmp_path, monkeypatch, text, sentence):
    (tmp_path / "papers.toml").write_text("")
    (tmp_path / "claims.toml").write_text(text)
    monkeypatch.setenv("COMPANION_RESULTS", str(tmp_path))
    with pytest.raises(RecordError, match="updates|modul|claims.toml cannot be read") as caught:
        claims.load()
    sentence(caught)
