"""The words that `companion.prose` makes of records."""

import pytest
from made_up import record, row

from companion import prose


def test_a_sentence_has_its_values_and_no_indentation():
    said = prose.say(
        """
        * **SAB** errs on {error},
          on {seeds}.
        * $x_{{t}}$
        """,
        error=prose.percent([0.009, 0.017]),
        seeds="all three seeds",
    )
    assert said == "* **SAB** errs on 0.9 to 1.7 %,\n  on all three seeds.\n* $x_{t}$"
    assert said._repr_markdown_() == said


def test_a_notebook_shows_a_sentence_as_markdown():
    formatter = pytest.importorskip("IPython").core.formatters.DisplayFormatter()
    assert formatter.format(prose.say("**so**"))[0]["text/markdown"] == "**so**"


def test_a_sentence_that_lacks_a_value_says_so(sentence):
    with pytest.raises(ValueError, match="^The sentence has a place for 'error' and no value") as caught:
        prose.say("{error}")
    sentence(caught)


def test_counts():
    counted = [prose.count(number, "seed") for number in (0, 1, 2, 12, 13, 1200)]
    assert counted == ["no seed", "one seed", "two seeds", "twelve seeds", "13 seeds", "1,200 seeds"]
    assert prose.seeds(row("error", 1, 2, 3)) == "three seeds"
    assert prose.seeds([*row("error", 1), *row("error", 2)]) == "one seed", "two runs of one seed"


@pytest.mark.parametrize(
    ("hits", "words"),
    [
        ([1, 1, 1], "all three seeds"),
        ([True, 5, None], "two of three seeds"),
        ([False, 5, None], "one of three seeds"),
        ([0, None, False], "none of three seeds"),
        ([1, 1], "both seeds"),
        ([1, 0], "one of two seeds"),
        ([0, 0], "none of two seeds"),
        ([1], "the one seed"),
        ([0], "no seed"),
        ([], "no seed"),
        (13 * [1], "all 13 seeds"),
    ],
)
def test_how_many_of_all(hits, words):
    assert prose.how_many(hits) == words
    assert prose.how_many(iter(hits), "row") == words.replace("seed", "row")


def test_lists_and_capitals():
    assert prose.listing([]) == "none"
    assert prose.listing(["A"]) == "A"
    assert prose.listing(iter("ABC")) == "A, B and C"
    assert prose.capital("both seeds") == "Both seeds"


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.0123, "1.2 %"),
        (0.0002, "0.02 %"),
        (0.1026, "10 %"),
        (0.776, "78 %"),
        (0.9996, "99.96 %"),
        (0.985, "98.5 %"),
        (0, "0 %"),
        (1, "100 %"),
        ([0.009, 0.017, 0.01], "0.9 to 1.7 %"),
        ([0.009, None], "0.9 %"),
        ([0.7756, 0.7763], "78 %"),
        ([], "(not recorded)"),
        ([None], "(not recorded)"),
    ],
)
def test_percentages(share, words):
    assert prose.percent(share) == words


def test_numbers_keep_two_digits_and_all_before_the_point():
    assert [prose.number(each) for each in (3.14, 7.7, 0.0461, 1234.5, 0, 3.0, 9.96, -0.113)] == [
        "3.1", "7.7", "0.046", "1,234", "0", "3", "10", "-0.11"
    ]  # fmt: skip
    assert prose.number([3.042, 3.051], digits=3) == "3.04 to 3.05"
    assert prose.number(float("nan")) == "nan"


def test_updates_have_their_thousands_set_apart():
    assert prose.updates(15000) == "15,000"
    assert prose.updates(iter([5200, 3000, None])) == "3,000 to 5,200"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (40, "40 seconds"),
        (23 * 60, "23 minutes"),
        (60, "1 minute"),
        (4.5 * 3600, "4.5 hours"),
        (44 * 86400, "44 days"),
        ([3600, 7200], "1 to 2 hours"),
        ([50, 3 * 3600], "50 seconds to 3 hours"),
        ([600, 610], "10 minutes"),
        ([], "(not recorded)"),
    ],
)
def test_times(seconds, words):
    assert prose.duration(seconds) == words


def learned(seed, *accuracies):
    return record("sab", seed, looks=[{"accuracy": value} for value in accuracies], goal={"accuracy": 0.99})


def test_when_a_row_reached_a_goal():
    fast, slow, never = learned(0, 0.5, 0.99, 0.2), learned(1, 0.1, 0.2, 0.3, 1.0), learned(2, 0.5, 0.9)
    goal = {"accuracy": 0.99}
    assert prose.first_reached([fast, slow, never], goal) == [200, 400, None]
    assert prose.solved([fast, slow], goal) == "on both seeds, after 200 to 400 updates"
    assert prose.solved([fast, slow, never], goal) == "on two of three seeds, after 200 to 400 updates"
    assert prose.solved([never, never], goal) == "on none of two seeds in 600 updates"
    assert prose.unfinished([fast, slow, never]) == "two of three seeds"  # fast fell below its goal again


def test_the_runs_of_a_row():
    made = [record("sab"), record("sab", profile="paper"), record("lstm", metrics={"error": 0.5})]
    assert prose.of(made, "sab") == made[:2]
    assert prose.of(made, "sab", "paper") == [made[1]]
    assert prose.values(made, "error") == [0.5]


@pytest.mark.parametrize(
    ("ours", "theirs", "standing"),
    [
        ((0.10, 0.12), (0.30, 0.34), "ahead"),
        ((0.30, 0.34), (0.10, 0.12), "behind"),
        ((0.10, 0.12), (0.13, 0.20), "level"),  # the means differ by 0.055, the seeds by 0.07
        ((0.13, 0.20), (0.10, 0.12), "level"),
        ((0.10, 0.20), (0.15, 0.25), "level"),
        ((0.25, 0.50), (0.50, 0.75), "level"),  # by as much as the seeds
        ((0.5,), (0.1, 0.1), "one seed"),
        ((0.1, 0.1), (0.5,), "one seed"),
        ((), (0.5, 0.6), "one seed"),
    ],
)
def test_a_difference_is_claimed_only_where_the_seeds_can_tell(ours, theirs, standing):
    assert prose.standing(row("error", *ours), row("error", *theirs), "error") == standing
    turned = {"ahead": "behind", "behind": "ahead"}.get(standing, standing)
    assert prose.standing(row("accuracy", *ours), row("accuracy", *theirs), "accuracy") == turned


def test_the_words_for_a_difference():
    good, bad, wide, one = (row("error", *each) for each in ((0.1, 0.1), (0.5, 0.5), (0.1, 0.9), (0.1,)))
    assert f"SAB is {prose.ahead(good, bad, 'error')} the LSTM" == "SAB is ahead of the LSTM"
    assert prose.ahead(bad, good, "error") == "behind"
    assert prose.ahead(bad, wide, "error") == "no different, as far as the seeds can tell, from"
    assert prose.ahead(one, bad, "error") == "not yet comparable, with fewer than two seeds, to"


def test_first_and_last_are_told_by_the_seeds():
    rows = {"SAB": row("error", 0.1, 0.1), "LSTM": row("error", 0.4, 0.5), "GRU": row("error", 0.42, 0.46)}
    assert prose.first(rows, "error") == "SAB"
    assert prose.last(rows, "error") == "none that the seeds can tell"
    rows["GRU"] = row("error", 0.8, 0.8)
    assert prose.last(rows, "error") == "GRU"
    assert prose.first({"SAB": rows["SAB"]}, "error") == prose.first({}, "error") == "none that the seeds can tell"
