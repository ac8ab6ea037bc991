"""Equations A3 to A5 and their gradients, against closed forms and finite differences."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.mechanisms import halting_distribution

EPSILON = 0.01
# units, p, N, ρ = N + R, dρ/dh
CASES = [
    ([0.999] * 5, [1, 0, 0, 0, 0], 1, 2.00, [0, 0, 0, 0, 0]),
    ([0.01, 0.5, 0.6, 0.7, 0.5], [0.01, 0.5, 0.49, 0, 0], 3, 3.49, [-1, -1, 0, 0, 0]),
    ([0.01] * 5, [0.01, 0.01, 0.01, 0.01, 0.96], 5, 5.96, [-1, -1, -1, -1, 0]),
]


def column(units):
    return torch.tensor(units, dtype=torch.float64).unsqueeze(1).requires_grad_()


def by_hand(units):
    """p, N and R of one example, from plain Python numbers."""
    total = 0.0
    for n, unit in enumerate(units, start=1):
        if total + unit >= 1 - EPSILON or n == len(units):
            return units[: n - 1] + [1 - total] + [0.0] * (len(units) - n), n, 1 - total
        total += unit


@pytest.mark.parametrize(("units", "p", "n", "rho", "slope"), CASES)
def test_closed_form_cases(units, p, n, rho, slope):
    units = column(units)
    halting = halting_distribution(units, EPSILON)
    torch.testing.assert_close(halting.probabilities[:, 0].tolist(), [float(each) for each in p])
    assert halting.steps.tolist() == [n]
    assert not halting.steps.requires_grad
    ponder = halting.steps + halting.remainder
    assert ponder.item() == pytest.approx(rho)
    ponder.sum().backward()
    assert units.grad[:, 0].tolist() == slope


def test_a_batch_of_the_cases_gives_what_they_give_one_by_one():
    halting = halting_distribution(torch.cat([column(case[0]) for case in CASES], dim=1), EPSILON)
    expected = torch.tensor([case[1] for case in CASES], dtype=torch.float64).T
    torch.testing.assert_close(halting.probabilities, expected)
    assert halting.steps.tolist() == [case[2] for case in CASES]
    torch.testing.assert_close(halting.remainder.tolist(), [case[3] - case[2] for case in CASES])


@given(st.lists(st.floats(1e-6, 1 - 1e-6), min_size=1, max_size=12))
@settings(max_examples=150, deadline=None)
def test_the_mass_of_one_is_spent_and_never_more(units):
    halting = halting_distribution(column(units), EPSILON)
    p, n, r = by_hand(units)
    assert abs(halting.probabilities.sum().item() - 1) <= 1e-12
    assert (halting.probabilities >= 0).all()
    assert halting.probabilities[:, 0].tolist() == pytest.approx(p, abs=1e-12)
    assert halting.steps.item() == n
    assert halting.remainder.item() == pytest.approx(r, abs=1e-12)


def test_a_unit_that_reaches_the_threshold_halts():
    """The paper's test is ≥: 0.5 + 0.25 reaches 1 − 0.25 exactly."""
    assert halting_distribution(column([0.5, 0.25, 0.1]), 0.25).steps.tolist() == [2]


@pytest.mark.parametrize("units", [case[0] for case in CASES])
def test_the_jacobian_of_p_is_equation_18(units):
    units = column(units)
    n = halting_distribution(units, EPSILON).steps.item()
    jacobian = torch.autograd.functional.jacobian(lambda h: halting_distribution(h, EPSILON).probabilities, units)
    expected = torch.zeros(5, 5, dtype=torch.float64)
    for i in range(n - 1):
        expected[i, i] = 1
        expected[n - 1, i] = -1
    torch.testing.assert_close(jacobian[:, 0, :, 0], expected, rtol=0, atol=0)


def test_gradients_are_those_of_finite_differences():
    """N is constant around these units, none of which is near the threshold."""
    units = torch.tensor([[0.3, 0.1, 0.8], [0.4, 0.2, 0.5], [0.5, 0.3, 0.6], [0.2, 0.1, 0.4]], dtype=torch.float64)
    assert halting_distribution(units, EPSILON).steps.tolist() == [3, 4, 2]
    assert torch.autograd.gradcheck(lambda h: halting_distribution(h, EPSILON)[::2], units.requires_grad_())


def test_equations_19_and_20_in_a_toy(float64):
    """A loss linear in y and s, so that dL/dy and dL/ds are known: 19 for n < N, nothing for n ≥ N; τ from the cost."""
    steps, width, tau = 6, 3, 0.2
    units = column([0.2, 0.3, 0.1, 0.9, 0.3, 0.5])
    states, outputs = float64(steps, width), float64(steps, 2)
    d_state, d_output = float64(width), float64(2)
    halting = halting_distribution(units, EPSILON)
    assert halting.steps.item() == 4
    p = halting.probabilities[:, 0]
    loss = (p @ outputs) @ d_output + (p @ states) @ d_state + tau * (halting.steps + halting.remainder).sum()
    loss.backward()
    for n in range(steps):
        expected = 0.0
        if n < 3:
            expected = (d_output @ (outputs[n] - outputs[3]) + d_state @ (states[n] - states[3]) - tau).item()
        assert units.grad[n, 0].item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("epsilon", [0.0, 1.0, -0.1, float("nan")])
def test_an_epsilon_outside_zero_and_one_is_refused(epsilon):
    with pytest.raises(ValueError, match=r"^epsilon is .*; it must (lie between 0 and 1|be a finite number)\.$"):
        halting_distribution(torch.zeros(1, 1), epsilon)
