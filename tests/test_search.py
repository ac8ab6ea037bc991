"""The search: as long for all, not shorter than the plateau, beyond the edge, and never won by what diverged."""

import math
from types import SimpleNamespace

import pytest

from companion.search import LONGEST, best, search
from companion.training import Diverged

pytestmark = pytest.mark.usefixtures("as_users_run_it")  # what is tested is given a script in place of a trainer

TASK = SimpleNamespace(plateau=1.0, judged_by="loss")


class Scripted:
    """A trainer whose validation loss is a function of its learning rate and of the updates made."""

    def __init__(self, candidate, loss, log):
        self.rate, self.loss, self.log, self.task = candidate["learning_rate"], loss, log, TASK
        self.step, self.history, self.diverged = 0, [], ""

    def run(self, until, goal, label):
        self.log.append((self.rate, until))
        found = self.loss(self.rate, until)
        if not math.isfinite(found):
            self.diverged = f"The loss is {found} at update {until}; try a lower learning rate."
            raise Diverged(self.diverged)
        self.step = until
        self.history.append({"step": until, "loss": found, "accuracy": -1.0})


def tried(loss, rates, steps=10, most=10**6, **others):
    log = []
    candidates = [{"learning_rate": rate, **others} for rate in rates]
    found = search(lambda candidate: Scripted(candidate, loss, log), candidates, steps, most)
    return found, max(each.steps for each in found), log


def test_the_least_loss_is_the_best_wherever_it_stands():
    for winner in (1, 2, 4):
        found, searched, _ = tried(lambda rate, step, w=winner: 0.1 + abs(rate - w), [4, 1, 2])
        assert best(found).candidate["learning_rate"] == winner
        assert searched == 10
        assert [each.loss for each in found][:3] == [0.1 + abs(rate - winner) for rate in (4, 1, 2)]


def test_one_candidate_is_not_searched():
    found, searched, log = tried(lambda rate, step: math.nan, [0.5])
    assert (len(found), searched, log) == (1, 0, [])
    assert best(found) is found[0]
    assert found[0].loss is None


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_never_wins(wrong):
    found, _, _ = tried(lambda rate, step: wrong if rate == 1 else rate / 10, [1, 2, 3, 4])
    assert [each.loss for each in found][:4] == [None, 0.2, 0.3, 0.4]
    assert best(found).candidate["learning_rate"] == 2


def test_a_search_that_all_candidates_leave_by_diverging_says_so():
    with pytest.raises(Diverged, match=r"^The loss is nan at update 10; try a lower learning rate\.$"):
        tried(lambda rate, step: math.nan, [1, 2])


def test_a_search_does_not_end_on_the_plateau():
    """The rate that is ahead on the plateau is not the one that leaves it."""
    found, searched, log = tried(lambda rate, step: 0.99 - rate / 1000 if step < 40 or rate != 2 else 0.8, [1, 2, 3])
    assert searched == 40
    assert best(found).candidate["learning_rate"] == 2
    assert log == [(rate, until) for until in (10, 20, 40) for rate in (1, 2, 3)]


def test_a_tenth_below_the_plateau_is_off_it():
    assert tried(lambda rate, step: 0.901, [1, 2, 3])[1] == LONGEST == 15_000
    assert tried(lambda rate, step: 0.9, [1, 2, 3])[1] == 10


def test_no_candidate_gets_more_updates_than_the_run_or_than_the_longest_search():
    assert tried(lambda rate, step: 1.0, [1, 2, 3], steps=7, most=100)[1] == 100
    assert tried(lambda rate, step: 1.0, [1, 2, 3], steps=20_000)[1] == 20_000, "asked for longer, it is as long"
    _, _, log = tried(lambda rate, step: 1.0, [1, 2, 3], steps=7, most=100)
    assert max(until for _, until in log) == 100


@pytest.mark.parametrize(
    ("wanted", "beyond"),
    [(100, [6, 12]), (7, [6, 12]), (4, [6]), (0.01, [0.5, 0.25]), (0.6, [0.5, 0.25]), (2, [])],
    ids=["far above", "above", "just above", "far below", "below", "within"],
)
def test_the_search_goes_on_beyond_an_edge_at_most_twice(wanted, beyond):
    found, searched, log = tried(lambda rate, step: 0.1 + abs(math.log(rate / wanted)) / 100, [1, 2, 3], decay=0.9)
    assert [each.candidate["learning_rate"] for each in found] == [1, 2, 3, *beyond]
    assert all(each.candidate["decay"] == 0.9 for each in found)
    assert {until for _, until in log} == {searched} == {10}
    assert {each.steps for each in found} == {10}


def test_beyond_the_edge_the_other_choices_are_those_of_the_best():
    log = []
    candidates = [{"learning_rate": rate, "decay": decay} for rate in (1, 2) for decay in (0.5, 0.9)]

    def make(candidate):
        return Scripted(candidate, lambda rate, step: 0.5 / rate - candidate["decay"] / 100, log)

    found = search(make, candidates, 10, 100)
    assert [each.candidate for each in found[4:]] == [{"learning_rate": r, "decay": 0.9} for r in (4, 8)]


def test_a_choice_of_one_rate_has_no_edge():
    log = []
    candidates = [{"learning_rate": 1, "decay": decay} for decay in (0.5, 0.9)]
    found = search(lambda candidate: Scripted(candidate, lambda rate, step: 0.1, log), candidates, 10, 100)
    assert len(found) == 2


def test_beyond_an_edge_all_get_the_updates_of_the_prolonged_search():
    found, searched, log = tried(lambda rate, step: 0.95 if step < 20 else 0.8 - rate / 100, [1, 2, 3])
    assert searched == 20
    assert log[-2:] == [(6, 20), (12, 20)]


def test_a_candidate_that_diverges_beyond_the_edge_leaves_the_best_as_it_was():
    found, _, _ = tried(lambda rate, step: math.nan if rate > 3 else 0.5 / rate, [1, 2, 3])
    assert [each.loss for each in found] == [0.5, 0.25, 0.5 / 3, None]
    assert best(found).candidate["learning_rate"] == 3


def test_a_candidate_that_has_gone_on_is_judged_by_its_loss_at_the_search():
    log = []

    def make(candidate):
        made = Scripted(candidate, lambda rate, step: 0.1 * rate, log)
        if candidate["learning_rate"] == 3:
            made.step, made.history = 500, [{"step": 10, "loss": 0.5}, {"step": 500, "loss": 0.0}]
        return made

    found = search(make, [{"learning_rate": rate} for rate in (1, 2, 3)], 10, 1000)
    assert [each.loss for each in found][:3] == [0.1, 0.2, 0.5]
    assert (3, 10) not in log


def test_a_candidate_says_the_updates_that_it_made():
    """One reached its goal after five updates, one diverged after three, one made all."""

    class Stopping(Scripted):
        def run(self, until, goal, label):
            if self.rate == 2:
                self.step, self.diverged = 3, "The loss is nan at update 4."
                raise Diverged(self.diverged)
            super().run(5 if self.rate == 1 else until, goal, label)

    rates = [{"learning_rate": rate} for rate in (0.5, 1, 2, 3)]
    found = search(lambda each: Stopping(each, lambda rate, step: abs(rate - 1), []), rates, 10, 10)
    assert [each.steps for each in found] == [10, 5, 3, 10]
    assert [each.loss for each in found] == [0.5, 0, None, 2]
