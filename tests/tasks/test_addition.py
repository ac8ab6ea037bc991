"""Addition: running sums, written digit by digit, and two guesses that do without adding up."""

import itertools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.tasks import Addition, Batch
from companion.tasks.addition import PAST_THE_END


def drawn(task, seed=0, size=200, **fixed):
    return task.batch(torch.Generator().manual_seed(seed), size, **fixed)


def written(number, slots):
    """A number as its classes, found by way of its decimal text."""
    digits = [int(digit) for digit in str(number)]
    return digits + [PAST_THE_END] * (slots - len(digits))


def sure(task, targets):
    """Predictions that name the targets' classes: (time, slots, batch) -> (time, batch, slots · 11)."""
    return 100 * torch.nn.functional.one_hot(targets, 11).float().movedim(2, 1).flatten(2)


def assert_uniform(counts):
    """Each of the values was seen as often as the others, up to five standard errors."""
    share, total = 1 / len(counts), counts.sum().item()
    assert (counts / total - share).abs().max() < 5 * math.sqrt(share * (1 - share) / total)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 12), st.integers(1, 3), st.integers(0, 1000))
def test_targets_are_the_running_sums_leading_digit_first(max_numbers, max_digits, seed):
    task = Addition(max_numbers, max_digits)
    inputs, targets = drawn(task, seed, 6)
    assert task.slots == len(str(max_numbers * int("9" * max_digits)))
    assert inputs.shape == (len(targets), 6, 10 * max_digits)
    assert 2 <= len(inputs) <= max_numbers
    for index in range(6):
        total = 0
        for vector, classes in zip(inputs[:, index], targets[..., index], strict=True):
            chunks = vector.view(max_digits, 10).tolist()
            digits = [chunk.index(1) for chunk in chunks if any(chunk)]
            assert digits
            assert [sum(chunk) for chunk in chunks] == [1] * len(digits) + [0] * (max_digits - len(digits))
            total += int("".join(map(str, digits)))
            assert classes.tolist() == written(total, task.slots)
        assert task.spell(inputs[:, index], targets[..., index])[-1] == ("".join(map(str, digits)), str(total))


def test_the_paper_s_sizes():
    task = Addition()
    assert (task.input_size, task.slots, task.output_size, task.largest) == (50, 6, 66, 499_995)


def test_lengths_digits_and_their_number_are_uniform():
    task = Addition(4, 3)
    lengths = torch.tensor([len(drawn(task, seed, 1).inputs) for seed in range(600)])
    assert_uniform(lengths.bincount(minlength=5)[2:])
    assert lengths.min() == 2
    assert lengths.max() == 4
    inputs, _ = drawn(task, 0, 8000, length=2)
    assert_uniform(inputs.sum(2).flatten().long().bincount(minlength=4)[1:])
    assert_uniform(inputs.unflatten(2, (3, 10)).sum((0, 1, 2)))
    alone, _ = drawn(task, 0, 50, length=3, digits=2)
    assert alone.shape == (3, 50, 30)
    assert (alone.sum(2) == 2).all()


def averaged(task, answer, each=4000):
    """The metrics of an answer, over as many sequences of each length."""
    found = {}
    for length in task.lengths:
        inputs, targets = drawn(task, length, each, length=length)
        for name, values in task.metrics(answer(inputs, targets), targets).items():
            found[name] = found.get(name, 0) + values.mean().item() / len(task.lengths)
    return found


def test_chance_is_that_of_a_uniform_guess():
    task, dice = Addition(3, 1), torch.Generator().manual_seed(0)
    scored = averaged(task, lambda inputs, _: 1e-4 * torch.rand(*inputs.shape[:2], task.output_size, generator=dice))
    for name, tolerance in {"error": 0.01, "digit_error": 0.01, "loss": 1e-3}.items():
        assert scored[name] == pytest.approx(task.chance[name], abs=tolerance)
    assert 1 - task.chance["error"] == pytest.approx((1 / 11**2 + 1 / 11**4) / 2)


def number_chances(max_digits):
    """How likely each number is, by listing them: exact."""
    likely = {}
    for digits in range(1, max_digits + 1):
        for number in range(10**digits):
            likely[number] = likely.get(number, 0) + Fraction(1, max_digits * 10**digits)
    return likely


@pytest.mark.parametrize(("max_numbers", "max_digits"), [(2, 1), (3, 1), (4, 1), (2, 2)])
def test_the_best_blind_guess_is_found_by_listing_all_sequences(max_numbers, max_digits):
    task, numbers = Addition(max_numbers, max_digits), number_chances(max_digits)
    error = digit_error = loss = 0
    for length in task.lengths:
        paths = {}
        for sequence in itertools.product(numbers, repeat=length):
            sums = tuple(itertools.accumulate(sequence))[1:]
            paths[sums] = paths.get(sums, 0) + math.prod(numbers[number] for number in sequence)
        error += 1 - max(paths.values())
        for step in range(length - 1):
            for slot in range(task.slots):
                shares = {}
                for sums, likely in paths.items():
                    said = written(sums[step], task.slots)[slot]
                    shares[said] = shares.get(said, 0) + likely
                digit_error += (1 - max(shares.values())) / task.slots / (length - 1)
                loss -= sum(share * math.log(share) for share in shares.values())
    expected = {"error": error, "digit_error": digit_error, "loss": loss}
    for name, value in expected.items():
        assert task.blind_guess[name] == pytest.approx(float(value) / len(task.lengths), rel=1e-9)
        assert task.blind_guess[name] < task.chance[name]


def test_the_distribution_of_a_sum_sums_to_one_at_the_paper_s_size():
    task = Addition()
    likely = torch.ones(1, dtype=torch.float64)
    for count in range(1, 6):
        likely = task.one_more(likely)
        assert len(likely) == count * 99_999 + 1
        assert likely.sum().item() == pytest.approx(1)
        assert likely.min() >= 0
    mean = (likely * torch.arange(len(likely))).sum().item()
    assert mean == pytest.approx(5 * sum((10**digits - 1) / 2 for digits in range(1, 6)) / 5)


def without_carrying(task, inputs):
    """The digits of each column added up, modulo ten, as classes: (time, slots, batch)."""
    time, batch, _ = inputs.shape
    columns = torch.zeros(time, batch, task.slots, dtype=torch.long)
    for step, index in itertools.product(range(time), range(batch)):
        number = inputs[step, index].view(-1, 10)
        for place, digit in enumerate(reversed(number.nonzero()[:, 1].tolist())):
            columns[step, index, place] = digit
    sums = columns.cumsum(0) % 10
    return task.write((sums * 10 ** torch.arange(task.slots)).sum(2)).transpose(1, 2)


@pytest.mark.parametrize("digits", [1, 2, 3])
def test_whoever_never_carries_errs_on_the_share_in_closed_form(digits):
    task = Addition(4, digits)
    scored = averaged(task, lambda inputs, _: sure(task, without_carrying(task, inputs)), each=1000)
    assert scored["error"] == pytest.approx(task.error_without_carrying, abs=5 * 0.5 / math.sqrt(3000))
    assert Addition(2, 1).error_without_carrying == pytest.approx(0.45)  # of 100 pairs of digits, 45 exceed 9
    assert Addition(2, 2).error_without_carrying == pytest.approx(1 - (0.75 * 0.55 + 0.25 * 0.55**2))


def test_the_first_step_does_not_count_and_one_wrong_slot_spoils_a_sequence():
    task = Addition(3, 2)
    inputs, targets = drawn(task, 0, 3, length=3)
    answer = sure(task, targets)
    answer[0] = torch.randn(answer[0].shape)
    assert (task.loss(answer, targets) < 1e-6).all()
    slots = answer.unflatten(2, (task.slots, 11))
    slots[2, 1, 0] = slots[2, 1, 0].roll(1)
    metrics = task.metrics(answer, targets)
    assert metrics["error"].tolist() == [0, 1, 0]
    assert metrics["digit_error"].tolist() == pytest.approx([0, 1 / (2 * task.slots), 0])
    assert task.loss(answer, targets).tolist() == pytest.approx([0, 100, 0], abs=1e-4)
    assert task.loss(torch.zeros_like(answer), targets).tolist() == pytest.approx([2 * task.slots * math.log(11)] * 3)


def test_a_held_out_set_has_as_many_sequences_of_each_length():
    assert [batch.inputs.shape for batch in Addition(4, 2, held_out_each=7).held_out("test")] == [
        (length, 7, 20) for length in (2, 3, 4)
    ]


@pytest.mark.parametrize(("max_numbers", "length"), [(5, 3), (2, 2)])
def test_details_ask_for_every_number_of_digits(max_numbers, length):
    """Of a layer that takes as many steps as the number has digits."""
    task, asked = Addition(max_numbers, 2), []

    def evaluate(batch):
        digits = batch.inputs.sum(2)
        asked.append((*digits.shape, digits.unique().tolist()))
        assert isinstance(batch, Batch)
        assert len(batch.targets) == len(batch.inputs)
        return {"error": 0.1, "ponder_steps": digits.mean().item()}

    details = task.details(evaluate)
    assert asked == [(length, 1000, [1]), (length, 1000, [2])]
    assert details["error_by_digits"] == [0.1, 0.1]
    assert details["ponder_steps_by_digits"] == [1, 2]
    assert list(task.details(lambda batch: {"error": 0.5})) == ["error_by_digits"]


def test_the_film_has_n_at_each_step_of_each_of_its_sequences():
    task = Addition(5, 2)
    filmed = task.along(lambda batch: (None, batch.inputs.sum(2).long()))["film"]
    for sequence, steps in zip(task.film().inputs.unbind(1), filmed, strict=True):
        assert steps == sequence.sum(1).long().tolist()
    assert task.along(lambda batch: (None, None)) == {}


def test_a_single_step_has_nothing_to_be_wrong_about():
    task = Addition(3, 2)
    inputs, targets = drawn(task, 0, 4)
    metrics = task.metrics(sure(task, targets)[:1], targets[:1])
    assert all(torch.equal(values, torch.zeros(4)) for values in metrics.values())


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"max_numbers": 1}, "max_numbers"), ({"max_digits": 0}, "max_digits"), ({"max_digits": 6}, "max_digits")]
    + [({"held_out_each": 0}, "held_out_each")],
)
def test_bad_arguments_are_refused_in_one_sentence(arguments, name):
    with pytest.raises(ValueError, match=rf"^{name} is \d; it must [^.]*\.$"):
        Addition(**arguments)
