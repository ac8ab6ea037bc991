"""Equations A1 to A7: adaptive computation against a loop over examples that stops each by itself."""

import pytest
import torch

from companion.mechanisms import AdaptiveComputation, fast_pondering

INPUT, HIDDEN, TIME, BATCH, TAU = 3, 4, 5, 4, 0.1
CELLS = ("rnn", "gru", "lstm")


def make(cell="rnn", halting_bias=-0.5, spread=4.0, **options):
    """Halting weights large enough that examples and steps differ in N."""
    layer = AdaptiveComputation(
        INPUT, HIDDEN, cell=cell, halting_bias=halting_bias, time_penalty=TAU, form=make.form, **options
    ).double()
    with torch.no_grad():
        layer.halt.weight.mul_(spread)
    return layer


def one_example(layer, sequence, max_steps):
    """(A1) to (A7) for one example: outputs, the last state, the cost, and N and p of each step."""
    parts = 2 if isinstance(layer.cell.cell, torch.nn.LSTMCell) else 1
    state = [sequence.new_zeros(HIDDEN)] * parts
    outputs, steps, spreads, cost = [], [], [], 0.0
    for x in sequence:
        inner, p, spent = state, [], 0.0
        average = [sequence.new_zeros(HIDDEN)] * parts
        for n in range(1, max_steps + 1):
            flagged = torch.cat([x, x.new_tensor([float(n == 1)])])
            inner = layer.cell.cell(flagged, tuple(inner) if parts == 2 else inner[0])
            inner = inner if parts == 2 else [inner]
            unit = torch.sigmoid(layer.halt.weight[0] @ inner[0] + layer.halt.bias[0])
            halts = float((spent + unit).detach()) >= 1 - layer.epsilon or n == max_steps
            p.append(torch.as_tensor(1 - spent, dtype=unit.dtype) if halts else unit)
            average = [sums + p[-1] * each for sums, each in zip(average, inner, strict=True)]
            if halts:
                break
            spent = spent + unit
        cost = cost + TAU * (n + p[-1])  # p at N is the remainder
        state = average
        outputs.append(state[0])
        steps.append(n)
        spreads.append([each.item() for each in p])
    return torch.stack(outputs), state, torch.as_tensor(cost), steps, spreads


def gradients(layer, inputs, loss):
    return torch.autograd.grad(loss, [inputs, *layer.parameters()], allow_unused=True, retain_graph=True)


def same(left, right):
    for mine, yours in zip(left, right, strict=True):
        assert (mine is None) == (yours is None)
        if mine is not None:
            torch.testing.assert_close(mine, yours, rtol=1e-9, atol=1e-11)


@pytest.fixture(params=["plain", "fast", "fast, shrinking"], autouse=True)
def form(request, monkeypatch):
    """Each test is of every form; the fast one shrinks no batch of this size unless it is told to shrink all."""
    monkeypatch.setattr(make, "form", request.param.partition(",")[0], raising=False)
    monkeypatch.setattr(fast_pondering, "WORTH_SHRINKING", 0 if "shrinking" in request.param else 10**9)


@pytest.mark.parametrize("max_steps", [2, 100])
@pytest.mark.parametrize("cell", CELLS)
def test_everything_is_what_a_loop_over_examples_gives(cell, max_steps, float64):
    layer, inputs = make(cell, max_steps=max_steps), 2 * float64(TIME, BATCH, INPUT)
    inputs.requires_grad_()
    answer, payoff = layer(inputs), float64(TIME, HIDDEN)
    assert max_steps == 2 or answer.trace["ponder_steps"].unique().numel() > 1
    for b in range(BATCH):
        outputs, state, cost, steps, spreads = one_example(layer, inputs[:, b], max_steps)
        torch.testing.assert_close(answer.outputs[:, b], outputs, rtol=0, atol=1e-12)
        for mine, yours in zip(answer.state, state, strict=True):
            torch.testing.assert_close(mine[b], yours, rtol=0, atol=1e-12)
        torch.testing.assert_close(answer.cost[b], cost, rtol=0, atol=1e-12)
        assert answer.trace["ponder_steps"][:, b].tolist() == steps
        for shown, spread in zip(answer.trace["halting"][:, :, b].tolist(), spreads, strict=True):
            assert shown == pytest.approx(spread + [0.0] * (len(shown) - len(spread)), abs=1e-12)
        last = sum(part.sum() for part in state)
        expected = gradients(layer, inputs, (outputs * payoff).sum() + cost + last)
        last = sum(part[b].sum() for part in answer.state)
        same(gradients(layer, inputs, (answer.outputs[:, b] * payoff).sum() + answer.cost[b] + last), expected)


@pytest.mark.parametrize("cell", CELLS)
def test_a_batch_gives_what_its_rows_give_one_by_one(cell, float64):
    layer, inputs = make(cell), (2 * float64(TIME, BATCH, INPUT)).requires_grad_()
    whole, rows = layer(inputs), [layer(inputs[:, b : b + 1]) for b in range(BATCH)]
    torch.testing.assert_close(whole.outputs, torch.cat([row.outputs for row in rows], 1), rtol=0, atol=1e-13)
    torch.testing.assert_close(whole.cost, torch.cat([row.cost for row in rows]), rtol=0, atol=1e-13)
    assert torch.equal(whole.trace["ponder_steps"], torch.cat([row.trace["ponder_steps"] for row in rows], 1))
    loss = whole.outputs.square().sum() + whole.cost.sum()
    same(
        gradients(layer, inputs, loss),
        gradients(layer, inputs, sum(row.outputs.square().sum() + row.cost.sum() for row in rows)),
    )
    (gradient,) = torch.autograd.grad(whole.outputs[:, 1].sum() + whole.cost[1], inputs)
    assert (gradient[:, [0, 2, 3]] == 0).all()


@pytest.mark.parametrize("form", ["fast", "fast, shrinking"], indirect=True)
@pytest.mark.parametrize("cell", CELLS)
def test_the_fast_form_agrees_with_the_plain_one_in_outputs_and_every_gradient(cell, float64):
    layer, inputs = make(cell, halting_bias=-1.0, max_steps=12), (2 * float64(TIME, 40, INPUT)).requires_grad_()
    payoff, found = float64(TIME, 40, HIDDEN), []
    for layer.form in ("plain", make.form):
        answer = layer(inputs)
        last = sum(part.square().sum() for part in answer.state)
        loss = (answer.outputs * payoff).sum() + answer.cost.square().sum() + last
        found.append([answer.outputs, *answer.state, answer.cost, *gradients(layer, inputs, loss)])
        assert answer.trace["ponder_steps"].unique().numel() > 4
    same(*found)


@pytest.mark.parametrize("cell", CELLS)
def test_with_one_step_it_is_the_plain_cell_on_the_flagged_input(cell, float64):
    layer, inputs = make(cell, max_steps=1), float64(TIME, BATCH, INPUT)
    plain = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell](INPUT + 1, HIDDEN).double()
    plain.load_state_dict({f"{name}_l0": value for name, value in layer.cell.cell.state_dict().items()})
    expected, _ = plain(torch.cat([inputs, torch.ones(TIME, BATCH, 1)], dim=2))
    answer = layer(inputs)
    torch.testing.assert_close(answer.outputs, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(answer.cost, torch.full((BATCH,), TAU * 2 * TIME, dtype=torch.float64))


@pytest.mark.parametrize("cell", CELLS)
def test_two_calls_on_two_parts_equal_one_call(cell, float64):
    layer, inputs = make(cell), (2 * float64(TIME, BATCH, INPUT)).requires_grad_()
    whole, first = layer(inputs), layer(inputs[:2])
    second = layer(inputs[2:], first.state)
    outputs, cost = torch.cat([first.outputs, second.outputs]), first.cost + second.cost
    torch.testing.assert_close(outputs, whole.outputs, rtol=0, atol=1e-13)
    torch.testing.assert_close(cost, whole.cost, rtol=0, atol=1e-13)
    same(
        gradients(layer, inputs, outputs.square().sum() + cost.sum()),
        gradients(layer, inputs, whole.outputs.square().sum() + whole.cost.sum()),
    )


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_those_of_finite_differences_away_from_a_change_of_n(cell, float64):
    layer, inputs = make(cell, max_steps=6), (2 * float64(2, 2, INPUT)).requires_grad_()
    names = [name for name, _ in layer.named_parameters()]
    parameters = [parameter.detach().clone().requires_grad_() for parameter in layer.parameters()]

    def answer(inputs, *parameters):
        answer = torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), inputs)
        return answer.outputs, answer.cost

    assert torch.autograd.gradcheck(answer, (inputs, *parameters))


def test_the_cap_spends_all_the_mass(float64):
    layer, inputs = make(halting_bias=-8.0, spread=0.0, max_steps=4), float64(TIME, BATCH, INPUT)
    answer, unit = layer(inputs), torch.sigmoid(torch.tensor(-8.0, dtype=torch.float64)).item()
    assert (answer.trace["ponder_steps"] == 4).all()
    spread = answer.trace["halting"]
    assert spread[0, :, 0].tolist() == pytest.approx([unit] * 3 + [1 - 3 * unit])
    torch.testing.assert_close(spread.sum(1), torch.ones(TIME, BATCH, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(answer.cost, torch.full((BATCH,), TAU * TIME * (5 - 3 * unit), dtype=torch.float64))


def test_units_that_reach_the_threshold_exactly_halt():
    """The ≥ of (A3): a unit of a half, and ε a half."""
    layer = make(halting_bias=0.0, spread=0.0, epsilon=0.5)
    answer = layer(torch.zeros(TIME, BATCH, INPUT, dtype=torch.float64))
    assert (answer.trace["ponder_steps"] == 1).all()
    assert answer.trace["halting"].shape == (TIME, 1, BATCH)


def test_at_the_start_it_makes_two_steps_with_a_remainder_of_a_quarter():
    """σ(1) = 0.731 at the halting bias of the paper, when the units do not yet look at the state."""
    layer = AdaptiveComputation(INPUT, HIDDEN, form=make.form)
    torch.nn.init.zeros_(layer.halt.weight)
    answer = layer(torch.randn(TIME, BATCH, INPUT))
    assert (answer.trace["ponder_steps"] == 2).all()
    assert answer.trace["halting"][0, :, 0].tolist() == pytest.approx([0.7310586, 0.2689414])
    assert answer.cost.tolist() == pytest.approx([0.01 * TIME * 2.2689414] * BATCH)


def test_a_time_penalty_of_zero_costs_nothing_and_the_cost_is_linear_in_it(float64):
    inputs, costs = float64(TIME, BATCH, INPUT), []
    for penalty in (0.0, 1.0, 3.0):
        torch.manual_seed(0)
        layer = AdaptiveComputation(INPUT, HIDDEN, time_penalty=penalty, form=make.form).double()
        costs.append(layer(inputs).cost)
    assert (costs[0] == 0).all()
    torch.testing.assert_close(costs[2], 3 * costs[1])


def test_the_trace_holds_n_itself_and_is_out_of_the_graph(float64):
    answer = make()(2 * float64(TIME, BATCH, INPUT))
    steps, spread = answer.trace["ponder_steps"], answer.trace["halting"]
    assert steps.shape == (TIME, BATCH)
    assert not steps.is_floating_point()
    assert not spread.requires_grad
    assert spread.shape == (TIME, steps.max(), BATCH)
    assert torch.equal((spread > 0).sum(1), steps)


@pytest.mark.parametrize(
    "options", [{"max_steps": 0}, {"time_penalty": -1.0}, {"epsilon": 0.0}, {"cell": "relu"}, {"form": "slow"}]
)
def test_bad_options_are_refused_in_one_sentence(options):
    with pytest.raises(ValueError, match=rf"^{next(iter(options))} is .*; it must [^.]*\.$"):
        AdaptiveComputation(INPUT, HIDDEN, **options)
