"""Equation S3: which memories keep a weight, and how much."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.mechanisms import sparsify

NORMALISERS = ("subtract", "softmax")


@st.composite
def distinct_scores(draw):
    """Two rows of scores in double precision, no two of a row closer than 0.01."""
    memories = draw(st.integers(2, 8))
    row = st.lists(st.integers(-500, 500), min_size=memories, max_size=memories, unique=True)
    return torch.tensor([draw(row), draw(row)], dtype=torch.float64) / 100


def by_hand(row, top_k, normaliser):
    """The weights of one example, from plain Python numbers."""
    ranked = sorted(row, reverse=True)
    if top_k is None or len(row) <= top_k:
        chosen, below = ranked, None
    else:
        chosen, below = ranked[:top_k], ranked[top_k]
    if below is None or normaliser == "softmax":
        mass = [2.718281828459045**a if a in chosen else 0.0 for a in row]
    else:
        mass = [max(0.0, a - below) for a in row]
    return [share / sum(mass) for share in mass]


@given(distinct_scores(), st.one_of(st.none(), st.integers(1, 8)), st.sampled_from(NORMALISERS))
@settings(max_examples=60, deadline=None)
def test_weights_are_those_of_the_formula(scores, top_k, normaliser):
    expected = [by_hand(row, top_k, normaliser) for row in scores.tolist()]
    torch.testing.assert_close(sparsify(scores, top_k, normaliser), torch.tensor(expected, dtype=torch.float64))


@given(distinct_scores(), st.integers(1, 8), st.sampled_from(NORMALISERS))
@settings(max_examples=60, deadline=None)
def test_exactly_top_k_weights_are_not_zero_and_they_sum_to_one(scores, top_k, normaliser):
    weights = sparsify(scores, top_k, normaliser)
    assert ((weights > 0).sum(1) == min(top_k, scores.shape[1])).all()
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-12)


@given(distinct_scores(), st.integers(1, 7), st.floats(-10, 10), st.floats(0.01, 100))
@settings(max_examples=60, deadline=None)
def test_a_shift_and_a_scale_of_the_scores_change_nothing(scores, top_k, shift, scale):
    top_k = min(top_k, scores.shape[1] - 1)
    torch.testing.assert_close(sparsify(scale * scores + shift, top_k), sparsify(scores, top_k), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("exponent", [-8, -16, -24])
def test_scores_however_small_are_told_apart(exponent):
    """(S3) does not change with the scale of the scores, so a tie is a tie and not a small difference.

    At the start of training, and with the released scorer, all scores are small, and their differences smaller.
    """
    scores = torch.tensor([[0.0, 1.0, 3.0, 5.0, 2.0]], requires_grad=True)
    small = (scores.detach() * 10.0**exponent).requires_grad_()
    payoff = torch.tensor([1.0, -2.0, 0.5, 3.0, 1.0])
    for each in (scores, small):
        (sparsify(each, 2) * payoff).sum().backward()
    torch.testing.assert_close(sparsify(small, 2), sparsify(scores, 2))
    torch.testing.assert_close(small.grad * 10.0**exponent, scores.grad)


def test_a_softmax_ignores_a_shift_but_not_a_scale():
    scores = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    for top_k in (2, 4, None):
        weights = sparsify(scores, top_k, "softmax")
        torch.testing.assert_close(sparsify(scores + 5, top_k, "softmax"), weights)
        assert not torch.allclose(sparsify(2 * scores, top_k, "softmax"), weights)


@pytest.mark.parametrize("temperature", [0.25, 1.0, 7.0])
def test_a_temperature_divides_the_scores_and_cancels_in_the_papers_rule(temperature, float64):
    """(S3) is invariant to scale, so only a softmax knows of it, that over a few memories included."""
    scores = float64(4, 6)
    for top_k in (2, 4):
        torch.testing.assert_close(sparsify(scores, top_k, temperature=temperature), sparsify(scores, top_k))
    for top_k, normaliser in ((2, "softmax"), (None, "softmax"), (None, "subtract"), (6, "subtract")):
        expected = sparsify(scores / temperature, top_k, normaliser)
        torch.testing.assert_close(sparsify(scores, top_k, normaliser, temperature), expected)
        assert temperature == 1 or not torch.allclose(expected, sparsify(scores, top_k, normaliser))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_not_above_zero_is_refused(temperature, sentence):
    with pytest.raises(ValueError, match=f"^temperature is {temperature}; it must be") as caught:
        sparsify(torch.zeros(1, 2), 1, temperature=temperature)
    sentence(caught)


@pytest.mark.parametrize("memories", [1, 2, 3])
@pytest.mark.parametrize("normaliser", NORMALISERS)
def test_with_top_k_memories_or_fewer_the_weights_are_a_softmax(memories, normaliser, float64):
    scores = float64(4, memories)
    exponentials = scores.exp()
    expected = exponentials / exponentials.sum(1, keepdim=True)
    torch.testing.assert_close(sparsify(scores, 3, normaliser), expected)
    torch.testing.assert_close(sparsify(scores, None, normaliser), expected)


def test_each_example_has_its_own_threshold(float64):
    scores = float64(5, 7) * torch.tensor([1e-3, 1.0, 10.0, 100.0, 1e4]).unsqueeze(1)
    alone = torch.cat([sparsify(row.unsqueeze(0), 3) for row in scores])
    torch.testing.assert_close(sparsify(scores, 3), alone, rtol=0, atol=0)


@pytest.mark.parametrize("normaliser", NORMALISERS)
@pytest.mark.parametrize("top_k", [1, 2, 3])
def test_equal_scores_share_equally_and_keep_their_gradients_finite(top_k, normaliser):
    scores = torch.full((2, 5), 0.7, requires_grad=True)
    weights = sparsify(scores, top_k, normaliser)
    assert sorted(weights[0].tolist()) == pytest.approx([0.0] * (5 - top_k) + [1 / top_k] * top_k)
    (weights * torch.arange(5.0)).sum().backward()
    assert scores.grad.isfinite().all()


def test_a_score_that_equals_the_threshold_gets_no_weight():
    weights = sparsify(torch.tensor([[3.0, 1.0, 1.0, 0.0]]), 2)
    torch.testing.assert_close(weights, torch.tensor([[1.0, 0.0, 0.0, 0.0]]))


def test_a_tie_in_one_example_leaves_the_gradient_of_another_alone(float64):
    row = float64(1, 4)
    payoff = float64(1, 4)
    alone = row.clone().requires_grad_()
    (sparsify(alone, 2) * payoff).sum().backward()
    together = torch.cat([torch.ones(1, 4, dtype=torch.float64), row]).requires_grad_()
    (sparsify(together, 2) * payoff).sum().backward()
    torch.testing.assert_close(together.grad[1], alone.grad[0])
    assert together.grad[0].isfinite().all()


@pytest.mark.parametrize("gap", [1e-6, 1e-20, 1e-40])
def test_scores_that_are_almost_equal_give_no_nan(gap):
    scores = (gap * torch.tensor([[0.0, 1.0, 3.0, 5.0]])).requires_grad_()
    weights = sparsify(scores, 2)
    (weights * torch.arange(4.0)).sum().backward()
    assert weights.isfinite().all()
    assert not scores.grad.isnan().any()


def test_the_gradient_is_that_of_finite_differences(float64):
    scores = float64(3, 6).requires_grad_()
    for normaliser in NORMALISERS:
        for top_k in (2, 4, 6, None):
            assert torch.autograd.gradcheck(lambda a, k=top_k, n=normaliser: sparsify(a, k, n), scores)


def test_the_jacobian_is_the_closed_form(float64):
    """d α_i / d a_j = (δ_ij − α_i) / Z for the selected ones, and (k α_i − 1) / Z for the (k+1)-th score."""
    scores = torch.tensor([[0.3, 1.7, -0.4, 0.9, 1.1]], dtype=torch.float64)  # the best two: 1 and 4; threshold: 3
    jacobian = torch.autograd.functional.jacobian(lambda a: sparsify(a, 2)[0], scores)[:, 0]
    z = (1.7 - 0.9) + (1.1 - 0.9)
    alpha = {1: 0.8 / z, 4: 0.2 / z}
    expected = torch.zeros(5, 5, dtype=torch.float64)
    for i, weight in alpha.items():
        for j in alpha:
            expected[i, j] = ((i == j) - weight) / z
        expected[i, 3] = (2 * weight - 1) / z
    torch.testing.assert_close(jacobian, expected)


@pytest.mark.parametrize("arguments", [(0,), (-1,), (2, "sum")])
def test_bad_arguments_are_refused_in_one_sentence(arguments):
    with pytest.raises(ValueError, match=r"^(top_k|normaliser) is .*; it must be [^.]*\.$"):
        sparsify(torch.zeros(1, 3), *arguments)
