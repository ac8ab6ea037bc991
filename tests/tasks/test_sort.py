"""Sort: the drawn example, numbers with a gap against rejection, and guesses that do not look at the numbers."""

import math
from itertools import permutations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.tasks import Sort, seeded
from companion.tasks.sort import Spaced


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(deadline=None)
@given(length=st.integers(2, 7), gap=st.sampled_from([0.0, 0.02, 0.5, 1.5]), seed=st.integers(0, 10**6))
def test_an_example_is_as_drawn(length, gap, seed):
    """Numbers, a flag at the last, zeros; and the positions that are asked for put the numbers in rising order."""
    inputs, targets = Sort(7, gap, held_out_each=1).batch(generator(seed), 5, length)
    assert inputs.shape == (2 * length, 5, 2)
    assert targets.shape == (length, 5)
    assert (inputs[length:] == 0).all()
    assert torch.equal(inputs[:, :, 1].nonzero()[:, 0], torch.full((5,), length - 1))
    for numbers, order in zip(inputs[:length, :, 0].T.tolist(), targets.T.tolist(), strict=True):
        assert [numbers[position] for position in order] == sorted(numbers)
        assert all(abs(one - other) >= gap - 1e-6 for one, other in permutations(numbers, 2))


def test_numbers_with_a_gap_are_spread_wider():
    spread = [Sort(8, gap, held_out_each=1).batch(generator(), 4000, 8).inputs[:8, :, 0].std() for gap in (0.0, 0.1)]
    assert spread[0].item() == pytest.approx(1, abs=0.02)
    assert 1.05 < spread[1] < 1.2


def test_lengths_are_uniform_and_one_in_a_batch():
    task, draw = Sort(5, held_out_each=10), generator()
    lengths = torch.tensor([len(task.batch(draw, 1).targets) for _ in range(4000)]).bincount() / 4000
    assert lengths[:2].sum() == 0
    assert (lengths[2:] - 1 / 4).abs().max() < 5 * math.sqrt(1 / 4 * 3 / 4 / 4000)
    assert len(lengths) == 6


@pytest.mark.parametrize("gap", [0.0, 0.3])
def test_every_order_is_as_likely(gap):
    _, targets = Sort(4, gap, held_out_each=1).batch(generator(), 12_000, 3)
    orders = torch.tensor([9 * a + 3 * b + c for a, b, c in targets.T.tolist()]).unique(return_counts=True)[1]
    assert len(orders) == 6
    assert (orders / 12_000 - 1 / 6).abs().max() < 5 * math.sqrt(1 / 6 * 5 / 6 / 12_000)


def test_without_a_gap_the_numbers_are_normal():
    numbers = Sort(3, held_out_each=1).batch(generator(), 20_000, 3).inputs[:3, :, 0].flatten()
    assert numbers.mean().abs() < 5 / math.sqrt(60_000)
    assert (numbers.square().mean() - 1).abs() < 5 * math.sqrt(2 / 60_000)


@pytest.mark.parametrize("gap", [0.01, 0.1, 0.7, 3.0])
def test_the_share_of_pairs_with_a_gap_is_the_closed_form(gap):
    """The difference of two normal numbers is normal with variance 2."""
    assert Spaced(2, gap).share(2) == pytest.approx(math.erfc(gap / 2), rel=1e-6)


def test_the_price_of_rejection_that_the_task_states():
    assert 1 / Spaced(15, 0.1).share(15) == pytest.approx(830, abs=5)


@pytest.mark.parametrize(("count", "gap"), [(2, 1.0), (3, 0.3), (4, 0.5), (6, 0.1)])
def test_numbers_with_a_gap_are_distributed_as_rejection_says(count, gap):
    """The share kept, means, squares, products of neighbours, a distribution function: to five standard errors."""
    drawn = torch.randn(count, 400_000, generator=generator()).sort(0).values
    kept = drawn[:, (drawn.diff(dim=0) >= gap).all(0)]
    share = kept.shape[1] / 400_000
    spaced, size = Spaced(count, gap), 50_000
    assert spaced.share(count) == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / 400_000))
    made = spaced.draw(generator(1), count, size)
    assert (made.diff(dim=0) >= gap - 1e-6).all()
    sampled = math.sqrt(1 / size + 1 / kept.shape[1])
    for of in (lambda x: x, lambda x: x.square(), lambda x: x[1:] * x[:-1], lambda x: (x < 0.4).float()):
        one, other = of(made), of(kept)
        assert ((one.mean(1) - other.mean(1)).abs() < 5 * sampled * other.std(1) + 1e-5).all()


def test_a_tiny_gap_changes_nothing():
    made = Spaced(15, 1e-9).draw(generator(), 15, 20_000)
    plain = torch.randn(15, 20_000, generator=generator(1)).sort(0).values
    assert ((made.mean(1) - plain.mean(1)).abs() < 5 * plain.std(1) * math.sqrt(2 / 20_000)).all()
    assert (made.std(1) / plain.std(1) - 1).abs().max() < 0.04


def test_the_widest_gap_still_fits():
    task = Sort(15, 10 / 14, held_out_each=20)
    numbers = task.batch(generator(), 500, 15).inputs[:15, :, 0].sort(0).values
    assert numbers.isfinite().all()
    assert numbers.diff(dim=0).min() > 10 / 14 - 1e-5


def test_metrics_by_hand():
    task = Sort(4, held_out_each=1)
    predictions = torch.randn(6, 7, 4, generator=generator())
    targets = torch.stack([torch.randperm(3, generator=generator(seed)) for seed in range(7)], 1)
    sure = 9.0 * torch.nn.functional.one_hot(targets, 4).float()
    predictions[3:, :2] = sure[:, :2]
    predictions[4:, 2] = sure[1:, 2]
    predictions[3, 2] = -sure[0, 2]
    scored = task.metrics(predictions, targets)
    for example in range(7):
        steps = [predictions[3 + step, example] for step in range(3)]
        asked = targets[:, example].tolist()
        wrong = [int(step.argmax()) != want for step, want in zip(steps, asked, strict=True)]
        loss = -sum(step.log_softmax(0)[want].item() for step, want in zip(steps, asked, strict=True))
        assert scored["error"][example] == any(wrong)
        assert scored["position_error"][example].item() == pytest.approx(sum(wrong) / 3)
        assert scored["loss"][example].item() == pytest.approx(loss, rel=1e-5)
    assert scored["error"][:3].tolist() == [0, 0, 1]
    assert scored["position_error"][2].item() == pytest.approx(1 / 3)
    torch.testing.assert_close(task.loss(predictions, targets), scored["loss"])
    shifted = torch.cat([torch.randn(3, 7, 4), predictions[3:]])
    torch.testing.assert_close(task.loss(shifted, targets), scored["loss"])


def simulated(task, guess):
    """The mean metrics over many batches of each length, of a guess that sees the length alone."""
    means = {}
    for length in task.lengths:
        _, targets = task.batch(generator(length), 20_000, length)
        for name, values in task.metrics(guess(length), targets).items():
            means[name] = means.get(name, 0) + values.mean().item() / len(task.lengths)
    return means


def test_a_uniform_guess_scores_chance():
    task = Sort(4, held_out_each=1)
    noise = generator(9)
    found = simulated(task, lambda n: 1e-3 * torch.randn(2 * n, 20_000, 4, generator=noise))
    assert task.chance == pytest.approx(found, abs=0.02)
    assert task.chance["loss"] == pytest.approx(3 * math.log(4))


def test_the_best_guess_that_does_not_look_scores_the_blind_guess():
    """It answers 1, 2, … n, by a hair; and it gives nothing to positions that the sequence does not have."""
    task = Sort(5, held_out_each=1)

    def guess(length):
        scores = torch.full((length, 5), -50.0)
        scores[:, :length] = 0
        return (scores + 1e-3 * torch.eye(length, 5)).unsqueeze(1).expand(-1, 20_000, -1)

    assert task.blind_guess == pytest.approx(simulated(task, guess), abs=0.02)
    for name in task.chance:
        assert task.blind_guess[name] < task.chance[name]


def test_no_answer_that_does_not_look_is_better_than_the_blind_guess():
    """All orders of each length, and all answers, repetitions included."""
    right, position, lengths = 0.0, 0.0, (2, 3, 4)
    for length in lengths:
        orders = list(permutations(range(length)))
        best = max(sum(order == answer for order in orders) for answer in product(range(length), repeat=length))
        right += best / len(orders) / len(lengths)
        for step in range(length):
            most = max(sum(order[step] == answer for order in orders) for answer in range(length))
            position += most / len(orders) / length / len(lengths)
    guess = Sort(4, held_out_each=1).blind_guess
    assert guess["error"] == pytest.approx(1 - right)
    assert guess["position_error"] == pytest.approx(1 - position)


@pytest.mark.parametrize("gap", [0.0, 0.05])
def test_held_out_sets_have_every_length_and_are_the_same_in_every_run(gap):
    one, again = (Sort(4, gap, held_out_each=30) for _ in range(2))
    for split in ("validation", "test"):
        assert [tuple(batch.inputs.shape) for batch in one.held_out(split)] == [(2 * n, 30, 2) for n in (2, 3, 4)]
        for mine, other in zip(one.held_out(split), again.held_out(split), strict=True):
            assert torch.equal(mine.inputs, other.inputs)
            assert torch.equal(mine.targets, other.targets)
    examples = [
        {column.numpy().tobytes() for column in batch.inputs.unbind(1)}
        for batch in [*one.held_out("validation"), *one.held_out("test"), one.batch(seeded("train", 0), 300)]
    ]
    assert sum(map(len, examples)) == len(set().union(*examples))
    with pytest.raises(ValueError, match=r"^split is 'dev'; it must be [^.]*\.$"):
        one.held_out("dev")


def test_details_ask_for_every_length():
    asked = []

    def evaluate(batch):
        asked.append((len(batch.inputs) // 2, len(batch.targets), batch.targets.shape[1]))
        return {"error": 0.1 * asked[-1][0], "position_error": 0.0, "loss": 1.0, "ponder_steps": 2.0}

    details = Sort(4, held_out_each=1).details(evaluate)
    assert asked == [(n, n, 1000) for n in (2, 3, 4)]
    assert details == {
        "error_by_length": pytest.approx([0.2, 0.3, 0.4]),
        "position_error_by_length": [0, 0, 0],
        "ponder_steps_by_length": [2, 2, 2],
    }
    without = Sort(3, held_out_each=1).details(lambda batch: {"error": 0.5, "position_error": 0.5})
    assert list(without) == ["error_by_length", "position_error_by_length"]


def test_n_is_recorded_at_every_step_of_a_few_lengths():
    def follow(batch):
        time, size, _ = batch.inputs.shape
        steps = torch.arange(time).unsqueeze(1) + torch.arange(size) % 2  # one more for every second example
        return torch.zeros(time, size, 1), steps

    task = Sort(11, held_out_each=1)
    assert task.followed == [5, 10, 11]
    assert task.along(follow) == {"ponder_steps_along": [[t + 0.5 for t in range(2 * n)] for n in (5, 10, 11)]}
    assert Sort(4, held_out_each=1).followed == [4]
    assert Sort(15, held_out_each=1).followed == [5, 10, 15]
    assert task.along(lambda batch: (batch.inputs, None)) == {}


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"max_numbers": 1}, "max_numbers"),
        ({"gap": -0.1}, "gap"),
        ({"gap": 0.8}, "gap"),
        ({"held_out_each": 0}, "held_out_each"),
    ],
)
def test_bad_arguments_are_refused_in_one_sentence(arguments, name):
    with pytest.raises(ValueError, match=rf"^{name} is .*; it must .*[^.]\.$"):
        Sort(**arguments)
