"""What public re-implementations of adaptive computation get wrong, as properties that our layer has.

The mass, the steps, the mean field and the Jacobian of p are in `test_halting_distribution` and
`test_adaptive_computation`; here is what only a whole sequence, or a change of N, brings to light.
"""

import ast
from pathlib import Path

import nbformat
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.mechanisms import AdaptiveComputation, halting_distribution

ROOT = Path(__file__).parents[2]
INPUT, HIDDEN, TIME, TAU = 3, 4, 5, 0.3
FORMS = ("plain", "fast")


def make(form, halting_bias=-0.5, spread=4.0, **options):
    layer = AdaptiveComputation(
        INPUT, HIDDEN, "rnn", halting_bias=halting_bias, time_penalty=TAU, form=form, **options
    ).double()
    with torch.no_grad():
        layer.halt.weight.mul_(spread)
    return layer


def halting_gradients(layer, loss):
    return torch.autograd.grad(loss, [layer.halt.weight, layer.halt.bias], retain_graph=True)


def stepped(layer, inputs):
    """The states, units and average of each input of one sequence, stepped by itself, in the graph."""
    average, found = inputs.new_zeros(HIDDEN), []
    for x in inputs:
        states, units = [], []
        while len(units) < layer.max_steps and sum(units) < 1 - layer.epsilon:
            flagged = torch.cat([x, x.new_tensor([float(not states)])])
            states.append(layer.cell.cell(flagged, states[-1] if states else average))
            units.append(torch.sigmoid(layer.halt.weight[0] @ states[-1] + layer.halt.bias[0]))
        p = [*units[:-1], 1 - sum(units[:-1])]
        average = sum(weight * state for weight, state in zip(p, states, strict=True))
        found.append((states, units, average, len(p) + p[-1]))
    return found


def summed(found, wishes):
    """What the halting unit's weight and bias get, if dL̂/dh is (A9) with these gradients for the averages."""
    to_weight, to_bias = 0.0, 0.0
    for (states, units, _, _), wish in zip(found, wishes, strict=True):
        for state, unit in zip(states[:-1], units[:-1], strict=True):
            to_sum = (wish @ (state - states[-1]) - TAU) * unit * (1 - unit)
            to_weight, to_bias = to_weight + to_sum * state, to_bias + to_sum
    return to_weight, to_bias


@pytest.mark.parametrize("form", FORMS)
def test_the_halting_unit_learns_from_the_last_state_the_price_and_the_price_of_later_inputs(form, float64):
    """Equation 19 with its hats: what the average is wanted for includes what it makes later inputs cost."""
    layer, inputs, payoff = make(form), 2 * float64(TIME, INPUT), float64(TIME, HIDDEN)
    found = stepped(layer, inputs)
    averages = [average for _, _, average, _ in found]
    loss = (torch.stack(averages).tanh() * payoff).sum()
    price = TAU * sum(cost for *_, cost in found)
    answer = layer(inputs.unsqueeze(1))
    assert answer.trace["ponder_steps"][:, 0].tolist() == [len(states) for states, *_ in found]
    assert answer.trace["ponder_steps"].unique().numel() > 2
    theirs = halting_gradients(layer, (answer.outputs[:, 0].tanh() * payoff).sum() + answer.cost.sum())

    to_weight, to_bias = summed(found, torch.autograd.grad(loss + price, averages, retain_graph=True))
    torch.testing.assert_close(theirs[0][0], to_weight, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(theirs[1][0], to_bias, rtol=1e-9, atol=1e-12)

    without_the_hat, _ = summed(found, torch.autograd.grad(loss, averages, retain_graph=True))
    assert (theirs[0][0] - without_the_hat).norm() > 1e-3 * to_weight.norm()


@pytest.mark.parametrize("form", FORMS)
def test_the_price_has_the_gradient_of_the_remainders_alone_and_of_the_units_before_the_last(form, float64):
    layer, inputs = make(form), 2 * float64(TIME, INPUT)
    found = stepped(layer, inputs)
    theirs = halting_gradients(layer, layer(inputs.unsqueeze(1)).cost.sum())
    before = -TAU * sum(unit for _, units, _, _ in found for unit in units[:-1])
    remainders = TAU * sum(cost - len(states) for states, _, _, cost in found)
    for other in (before, remainders):
        for mine, yours in zip(theirs, halting_gradients(layer, other), strict=True):
            torch.testing.assert_close(mine, yours, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_where_every_input_halts_at_once_nothing_reaches_the_halting_unit(form, float64):
    layer, inputs = make(form, halting_bias=8.0, spread=1.0), float64(TIME, 3, INPUT)
    answer = layer(inputs)
    assert (answer.trace["ponder_steps"] == 1).all()
    for gradient in halting_gradients(layer, answer.outputs.square().sum() + answer.cost.sum()):
        assert (gradient == 0).all()


@given(st.lists(st.floats(0.05, 0.6), min_size=1, max_size=6), st.sampled_from([0.01, 0.1]))
@settings(max_examples=60, deadline=None)
def test_where_n_changes_the_mean_field_jumps_by_epsilon_and_the_price_by_what_the_unit_lacks_of_one(units, epsilon):
    """Just below the threshold there is one step more, of weight ε; the price then drops by 1 − h^n."""
    units = torch.tensor(units, dtype=torch.float64)
    units = units * (1 - epsilon) / units.sum()  # they reach the threshold together
    count = len(units)
    sides = []
    for shift in (-1e-9, 1e-9):
        moved = torch.cat([units[:-1], units[-1:] + shift, torch.tensor([0.5], dtype=torch.float64)])
        sides.append(halting_distribution(moved.unsqueeze(1), epsilon))
    below, above = sides
    assert (below.steps.item(), above.steps.item()) == (count + 1, count)
    jump = (above.probabilities - below.probabilities)[:, 0]
    expected = torch.zeros(count + 1, dtype=torch.float64)
    expected[count - 1], expected[count] = epsilon, -epsilon
    torch.testing.assert_close(jump, expected, rtol=0, atol=1e-8)
    price = (above.steps + above.remainder - below.steps - below.remainder).item()
    assert price == pytest.approx(units[-1].item() - 1, abs=1e-8)


# Four properties of a halting rule, and rules of public code that lack some. A rule takes the units of one example and
# a cap, and returns the weights of the states, the number of states that were computed, and the price. All are those
# of the notebook `public_code`, but for the geometric one, which has no cap and no price there.

EPSILON = 0.01


def rules_of_the_notebook():
    """The functions of its cells; the cells themselves are not run."""
    notebook = nbformat.read(ROOT / "notebooks" / "ponder" / "public_code.ipynb", as_version=4)
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code" and "def " in cell.source]
    functions = [each for source in sources for each in ast.parse(source).body if isinstance(each, ast.FunctionDef)]
    names = {"torch": torch, "halting_distribution": halting_distribution, "epsilon": EPSILON}
    exec(compile(ast.Module(functions, []), "public_code", "exec"), names)
    return names


RULES = rules_of_the_notebook()


def geometric(units, cap):
    left = torch.cat([units.new_ones(1), (1 - units[: cap - 1]).cumprod(0)])
    weights = torch.cat([units[: cap - 1] * left[:-1], left[-1:]])
    return weights, cap, weights @ torch.arange(1, cap + 1, dtype=units.dtype)


RULES["geometric"] = geometric


def made(units, cap):
    """N of the paper, counted by hand."""
    steps, spent = 0, 0.0
    while steps < cap and spent < 1 - EPSILON:
        spent += units[steps].item()
        steps += 1
    return steps


def has_mass_one(units, cap, rule):
    return rule(units, cap)[0].sum().item() == pytest.approx(1, abs=1e-12)


def compares_each_state_with_the_last(units, cap, rule):
    """With a loss in which state n is worth n, a unit's gradient is n − N before the last step and 0 from there on."""
    units = units.clone().requires_grad_()
    weights, *_ = rule(units, cap)
    worth = torch.arange(1, len(weights) + 1, dtype=units.dtype)
    (slope,) = torch.autograd.grad(weights @ worth, units)
    place, steps = torch.arange(1, len(units) + 1, dtype=units.dtype), made(units, cap)
    return torch.allclose(slope, (place - steps) * (place < steps))


def counts_the_steps_made(units, cap, rule):
    return rule(units, cap)[1] == made(units, cap)


def pays_for_the_steps_made(units, cap, rule):
    """N and a remainder, which is positive and at most one."""
    steps = made(units, cap)
    return steps < float(rule(units, cap)[2]) <= steps + 1


PROPERTIES = {
    "mass": has_mass_one,
    "last": compares_each_state_with_the_last,
    "count": counts_the_steps_made,
    "price": pays_for_the_steps_made,
}
EXAMPLES = [
    ([0.2, 0.3, 0.1, 0.9, 0.9], 5),
    ([0.1, 0.1, 0.1, 0.1], 3),
    ([0.2, 0.3, 0.3, 0.9, 0.9], 5),
    ([0.995, 0.9], 2),
    ([0.98, 0.0, 0.0, 0.0, 0.9], 5),
]


def kept(rule, examples=EXAMPLES):
    """The properties that a rule has on every example."""
    examples = [(torch.tensor(units, dtype=torch.float64), cap) for units, cap in examples]
    return {name for name, has in PROPERTIES.items() if all(has(units, cap, rule) for units, cap in examples)}


def test_the_halting_distribution_has_all_four_properties():
    assert kept(RULES["paper"]) == set(PROPERTIES)


@pytest.mark.parametrize(
    ("rule", "lacks"),
    [
        ("remainder_without_the_last", "mass last"),
        ("no_remainder_at_the_cap", "mass last price"),
        ("by_count", "mass last"),
        ("blended", "mass last"),
        ("one_short", "count price"),
        ("none_at_first", "count price"),
        ("geometric", "last count price"),
    ],
)
def test_what_public_code_does_instead_lacks_some_of_them(rule, lacks):
    assert set(PROPERTIES) - kept(RULES[rule]) == set(lacks.split())


def test_a_running_sum_without_gradient_lacks_three_where_no_cap_binds():
    """What that code does at its cap we do not know."""
    below_the_cap = [(units, cap) for units, cap in EXAMPLES if sum(units[:cap]) >= 1 - EPSILON]
    assert len(below_the_cap) == len(EXAMPLES) - 1
    assert set(PROPERTIES) - kept(RULES["sum_without_gradient"], below_the_cap) == {"last", "count", "price"}
