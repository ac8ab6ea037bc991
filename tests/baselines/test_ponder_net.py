"""Equations P1 to P5: PonderNet against a loop over examples, and the steps that it draws against its own p."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from torch.nn import functional

from companion.baselines import FixedRepeats, PonderNet
from companion.baselines.ponder_net import between, divergence, drawn_by, log_halting

INPUT, HIDDEN, BATCH = 3, 4, 6
CELLS = ("rnn", "gru", "lstm")
logits = st.tuples(st.integers(1, 12), st.integers(1, 3)).flatmap(
    lambda shape: arrays("float64", shape, elements=st.floats(-6, 6))
)


def make(cell="rnn", spread=8.0, **options):
    """Halting weights large enough that examples differ in N."""
    layer = PonderNet(INPUT, HIDDEN, cell, **options).double()
    with torch.no_grad():
        layer.halt.weight.mul_(spread)
        layer.halt.bias.fill_(-1)
    return layer


def by_hand(chances, tail):
    """p of one example by (P2) and (P3), a list, from the chances to stop."""
    p, left = [], 1.0
    for n, chance in enumerate(chances, 1):
        if n == len(chances) or left * (1 - chance) <= tail:
            return [*p, left]
        p.append(left * chance)
        left *= 1 - chance


def kl_by_hand(p, prior, max_steps):
    g = [prior * (1 - prior) ** n for n in range(max_steps)]
    return sum(a * math.log(a / (b / sum(g))) for a, b in zip(p, g, strict=False))


@settings(max_examples=60, deadline=None)
@given(logits, st.floats(0.01, 0.5), st.floats(0.05, 0.95))
def test_the_halting_distribution_and_its_divergence_are_those_of_a_loop(values, tail, prior):
    values = torch.from_numpy(values)
    log_p = log_halting(values, tail)
    found = divergence(log_p, prior, len(values))
    for b, column in enumerate(values.sigmoid().T.tolist()):
        p = by_hand(column, tail)
        assert sum(p) == pytest.approx(1)
        assert log_p[:, b].exp().tolist() == pytest.approx(p + [0] * (len(values) - len(p)), abs=1e-12)
        assert found[b].item() == pytest.approx(kl_by_hand(p, prior, len(values)), abs=1e-9)
    assert (found > -1e-9).all()


def test_the_divergence_is_of_p_from_the_prior_and_not_the_other_way_round():
    g = torch.tensor([0.4 * 0.6**n for n in range(5)], dtype=torch.float64)
    g = (g / g.sum()).unsqueeze(1)
    p = torch.tensor([0.1, 0.2, 0.3, 0.3, 0.1], dtype=torch.float64).unsqueeze(1)
    found = divergence(p.log(), 0.4, 5).item()
    assert found == pytest.approx(functional.kl_div(g.log(), p, reduction="sum").item())
    assert found != pytest.approx(functional.kl_div(p.log(), g, reduction="sum").item(), rel=0.01)
    assert divergence(g.log(), 0.4, 5).item() == pytest.approx(0, abs=1e-12)


def test_sure_halting_has_finite_gradients():
    values = torch.tensor([[200.0, -200.0], [-200.0, 200.0], [0.0, 0.0]]).requires_grad_()
    found = divergence(log_halting(values, 0.05), 0.1, 20)
    assert torch.autograd.grad(found.sum(), values)[0].isfinite().all()
    assert found.isfinite().all()


@pytest.mark.parametrize("max_steps", [1, 3, 20])
@pytest.mark.parametrize("cell", CELLS)
def test_the_output_is_the_state_after_the_steps_drawn(cell, max_steps, float64):
    layer, inputs = make(cell, max_steps=max_steps, seed=3).eval(), 3 * float64(2, BATCH, INPUT)
    answer = layer(inputs)
    drawn = answer.trace["ponder_steps"]
    assert drawn.max() <= max_steps
    assert max_steps == 1 or drawn.unique().numel() > 1
    repeats = FixedRepeats(INPUT, HIDDEN, cell).double()
    repeats.cell.load_state_dict(layer.cell.state_dict())
    for b in range(BATCH):
        state = None
        for time in range(2):
            repeats.repeats = drawn[time, b].item()
            there = repeats(inputs[time : time + 1, b : b + 1], state)
            torch.testing.assert_close(answer.outputs[time, b], there.outputs[0, 0], rtol=0, atol=1e-12)
            state = there.state
        for mine, yours in zip(answer.state.cell, state, strict=True):
            torch.testing.assert_close(mine[b], yours[0], rtol=0, atol=1e-12)
    assert answer.state.made == 2
    spread = answer.trace["halting"]
    torch.testing.assert_close(spread.sum(1), torch.ones_like(spread[:, 0]))


def test_the_cost_is_the_divergence_of_all_time_steps(float64):
    layer, inputs = make(prior=0.3, weight=0.7, max_steps=9).eval(), 3 * float64(4, BATCH, INPUT)
    answer = layer(inputs)
    for b in range(BATCH):
        spreads = [[p for p in column if p > 0] for column in answer.trace["halting"][:, :, b].tolist()]
        assert answer.cost[b].item() == pytest.approx(0.7 * sum(kl_by_hand(p, 0.3, 9) for p in spreads))


@pytest.mark.parametrize("training", [True, False])
def test_the_steps_drawn_follow_p(training, float64):
    """Chi-squared over the steps; p here is not cut at the tail.

    In training for one input many times over. In evaluation for many inputs, whose p the unit does not tell apart.
    """
    size, options = 20_000, dict(max_steps=6, spread=2.0 if training else 0.0)
    layer = make(**options).train(training)
    inputs = float64(1, 1, INPUT).expand(-1, size, -1) if training else float64(1, size, INPUT)
    drawn = layer(inputs).trace["ponder_steps"][0]
    whole = make(tail=1e-12, **options)
    whole.load_state_dict(layer.state_dict())
    p = whole(inputs[:, :1]).trace["halting"][0, :, 0]
    expected = size * p
    counts = drawn.bincount(minlength=7)[1:]
    assert len(p) == 6
    assert expected.min() > 20
    squares = ((counts - expected).square() / expected).sum().item()
    assert squares < 5 + 6 * math.sqrt(2 * 5)  # the mean of five degrees of freedom, and six deviations


KINDS_OF_INPUT = {
    "normal numbers": lambda: torch.randn(1, 2**14, INPUT),
    "words of bits": lambda: (torch.arange(2**14).unsqueeze(1) >> torch.arange(14) & 1).float().unsqueeze(0),
    "signs and gaps": lambda: (torch.arange(3**9).unsqueeze(1) // 3 ** torch.arange(9) % 3 - 1).double().unsqueeze(0),
    "one input again and again": lambda: torch.randn(INPUT).expand(2**14, 1, INPUT),
}


@pytest.mark.parametrize("kind", KINDS_OF_INPUT)
def test_the_numbers_of_evaluation_are_uniform_and_independent_over_inputs_and_time_steps(kind):
    """Chi-squared over 64 squares: a number with the one of the next example or step, and with that of another seed."""
    inputs = KINDS_OF_INPUT[kind]()
    numbers, others = (drawn_by(inputs, 7, seed).flatten() for seed in (0, 1))
    assert 0 < numbers.min() < numbers.max() < 1
    for partner in (numbers.roll(1), others):
        counts = ((numbers * 8).floor() * 8 + (partner * 8).floor()).long().bincount(minlength=64)
        expected = len(numbers) / 64
        assert ((counts - expected).square() / expected).sum() < 63 + 6 * math.sqrt(2 * 63)


def test_the_numbers_of_evaluation_go_by_what_is_shown_and_when(float64):
    inputs = float64(5, BATCH, INPUT).float()
    whole = drawn_by(inputs, 0, 0)
    assert torch.equal(drawn_by(inputs[2:, [4, 0]], 2, 0), whole[2:, [4, 0]])
    assert torch.equal(drawn_by(inputs.double(), 0, 0), whole)
    for other in (drawn_by(inputs, 1, 0), drawn_by(inputs, 0, 1), drawn_by(inputs.flip(2), 0, 0)):
        assert (other != whole).all()
    silence = torch.zeros(5, BATCH, INPUT)
    assert torch.equal(drawn_by(-silence, 0, 0), drawn_by(silence, 0, 0)), "−0 is 0"


def test_one_step_a_call_draws_as_many_kinds_of_steps_as_one_call(float64):
    layer, inputs, state, drawn = make(spread=0.0).eval(), float64(1, 1, INPUT).expand(40, -1, -1), None, []
    for x in inputs.split(1):
        answer = layer(x, state)
        state = answer.state
        drawn.append(answer.trace["ponder_steps"])
    assert torch.cat(drawn).unique().numel() > 3
    assert torch.equal(torch.cat(drawn), layer(inputs).trace["ponder_steps"])
    assert state.made == 40


def test_evaluation_draws_the_same_steps_in_every_call_and_training_does_not(float64):
    layer, inputs = make(spread=1.0), float64(1, 200, INPUT)

    def drawn(layer):
        return layer(inputs).trace["ponder_steps"]

    layer.eval()
    first = drawn(layer)
    torch.rand(3)  # torch's own random state plays no part
    assert torch.equal(drawn(layer), first)
    layer.seed = 1
    assert not torch.equal(drawn(layer), first)
    layer.train()
    assert not torch.equal(drawn(layer), drawn(layer))


@pytest.mark.parametrize("cell", CELLS)
def test_what_one_example_does_changes_nothing_for_the_others(cell, float64):
    layer, inputs = make(cell, max_steps=30), 3 * float64(1, BATCH, INPUT)
    (first,), (again,) = layer.cell.drives(inputs)
    until = torch.full((BATCH,), layer.tail, dtype=torch.float64)
    start = layer.start(inputs).cell
    together = layer.think(first, again, start, until)
    assert together.steps.unique().numel() > 1
    for b in range(BATCH):
        row = slice(b, b + 1)
        alone = layer.think(first[row], again[row], start.rows([b]), until[row])
        count = alone.steps.item()
        assert count == together.steps[b] == len(alone.probabilities)
        torch.testing.assert_close(together.probabilities[:count, b], alone.probabilities[:, 0])
        assert (together.probabilities[count:, b] == 0).all()
        torch.testing.assert_close(together.divergence[b], alone.divergence[0])


@pytest.mark.parametrize(
    "options",
    [
        {"prior": 0.0},
        {"prior": 1.0},
        {"tail": 0.0},
        {"tail": 1.0},
        {"weight": -1.0},
        {"max_steps": 0},
        {"cell": "relu"},
    ],
    ids=str,
)
def test_bad_options_are_refused_in_one_sentence(options):
    with pytest.raises(ValueError, match=rf"^{next(iter(options))} is .*; it must be [^.]*\.$"):
        PonderNet(INPUT, HIDDEN, **options)


def test_what_is_drawn_lies_between_nothing_and_one():
    """With all bits the same, too: single precision must not round it to an end."""
    ends = between(torch.tensor([0, -1, 2**62, 1, 2**24 - 1]))
    assert ends.min() > 0
    assert ends.max() < 1
    assert between(torch.arange(0, 2**24, 2**8)).mean().item() == pytest.approx(0.5, abs=1e-3)
