"""The search over random candidates: fair, repeatable, and within its ranges."""

import math

import pytest

from companion.experiment import grid, log_uniform, one_of, random_search
from companion.settings import SettingsError


def test_models_of_one_seed_share_the_learning_rates():
    rates = log_uniform(1e-4, 1e-2)
    plain = random_search(6, 3, learning_rate=rates)
    other = random_search(6, 3, learning_rate=rates, decay=one_of([0.8, 0.9]), rate=log_uniform(0.1, 1.0))
    assert [each["learning_rate"] for each in plain] == [each["learning_rate"] for each in other]
    assert all(list(each) == ["learning_rate", "decay", "rate"] for each in other)
    assert plain == random_search(6, 3, learning_rate=rates)
    assert plain != random_search(6, 4, learning_rate=rates)


def test_a_log_uniform_number_has_a_uniform_logarithm_and_three_digits():
    drawn = [each["x"] for each in random_search(2000, 0, x=log_uniform(0.01, 1.0))]
    assert all(0.01 <= number <= 1 for number in drawn)
    assert all(number == float(f"{number:.3g}") for number in drawn)
    places = [(math.log10(number) + 2) / 2 for number in drawn]
    assert sum(places) / 2000 == pytest.approx(0.5, abs=0.03)
    assert sum(place < 0.25 for place in places) / 2000 == pytest.approx(0.25, abs=0.05)
    assert {each["x"] for each in random_search(5, 0, x=log_uniform(0.3, 0.3))} == {0.3}


def test_one_of_gives_each_value():
    drawn = [each["x"] for each in random_search(3000, 0, x=one_of([1, 2, 5]))]
    assert all(drawn.count(value) / 3000 == pytest.approx(1 / 3, abs=0.05) for value in (1, 2, 5))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: random_search(0, 0, x=one_of([1])),
        lambda: log_uniform(0.0, 1.0),
        lambda: log_uniform(1.0, 0.1),
        lambda: log_uniform(1.0),
        lambda: one_of([]),
        lambda: grid(decay=[]),
    ],
)
def test_a_search_that_cannot_be_is_refused_in_one_sentence(wrong):
    with pytest.raises(SettingsError, match=r"^(A|The) (search|log-uniform) .*; it .*\.$"):
        wrong()
