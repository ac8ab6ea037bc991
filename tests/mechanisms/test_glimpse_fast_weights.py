"""Equations G1 to G5: the two-level recurrence against a loop over single glimpses, in both forms of the memory."""

from itertools import product

import pytest
import torch

from companion.mechanisms import GlimpseFastWeights
from companion.mechanisms.fast_weights import HistoryMemory
from companion.mechanisms.glimpse_fast_weights import FORMS, integrate

INPUT, HIDDEN, TIME, BATCH = 4, 5, 24, 3
COARSE, FINE, AGAIN = [0, 6, 12, 18], [1, 2, 3, 4], 5


def make(form="attention", **options):
    """All weights random, so that the gain, the bias and the direction of every product matter."""
    layer = GlimpseFastWeights(INPUT, HIDDEN, form=form, **options).double()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / 2)
        layer.norm.weight.add_(1.0)
    return layer


def normalised(layer, v):
    centred = v - v.sum() / len(v)
    return layer.norm.weight * centred / ((centred * centred).sum() / len(v) + 1e-5).sqrt() + layer.norm.bias


def one_example(layer, sequence, memory_gradient=True):
    """Glimpse after glimpse for one example, with A as a matrix; the place in the group says what to do."""
    w, c, between, relu = layer.recurrent.weight, layer.input.weight, layer.integration.weight, torch.relu
    state, a, outputs = sequence.new_zeros(HIDDEN), sequence.new_zeros(HIDDEN, HIDDEN), []
    for step, x in enumerate(sequence):
        place = step % 6
        if place == 5:
            read_from = a if memory_gradient else a.detach()
            query = relu(c @ x)
            for _ in range(layer.inner_steps):
                query = relu(normalised(layer, between @ state + c @ x + read_from @ query))
            state = query
            outputs.append(state)
            continue
        state = relu(normalised(layer, w @ state + c @ x))
        outputs.append(state)
        if place == 0:
            a = layer.decay * a + layer.rate * torch.outer(state, state)
            state = torch.zeros_like(state)
    return torch.stack(outputs)


def gradients(layer, inputs, outputs, payoff):
    return torch.autograd.grad((outputs * payoff).sum(), [inputs, *layer.parameters()])


def same(left, right):
    for mine, yours in zip(left, right, strict=True):
        torch.testing.assert_close(mine, yours, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("decay", "inner_steps"), list(product([0.0, 0.95, 1.0], [1, 2, 3])))
def test_outputs_and_gradients_are_those_of_the_loop(decay, inner_steps, form, float64):
    layer = make(form, decay=decay, rate=0.3, inner_steps=inner_steps)
    inputs, payoff = float64(TIME, BATCH, INPUT).requires_grad_(), float64(TIME, BATCH, HIDDEN)
    expected = torch.stack([one_example(layer, inputs[:, b]) for b in range(BATCH)], dim=1)
    outputs = layer(inputs).outputs
    torch.testing.assert_close(outputs, expected, rtol=1e-10, atol=1e-10)
    same(gradients(layer, inputs, outputs, payoff), gradients(layer, inputs, expected, payoff))


@pytest.mark.parametrize("inner_steps", [1, 3])
def test_both_forms_agree_in_value_and_in_every_gradient(inner_steps, float64):
    inputs, payoff = float64(TIME, BATCH, INPUT).requires_grad_(), float64(TIME, BATCH, HIDDEN)
    results = []
    for form in FORMS:
        layer = make(form, inner_steps=inner_steps)
        outputs = layer(inputs).outputs
        results.append([outputs, *gradients(layer, inputs, outputs, payoff)])
    same(*results)


@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_is_that_of_finite_differences(form, float64):
    layer = make(form, inner_steps=2)
    names = [each for each, _ in layer.named_parameters()]

    def outputs(inputs, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), inputs).outputs

    parameters = [parameter.detach().clone().requires_grad_() for parameter in layer.parameters()]
    assert torch.autograd.gradcheck(outputs, (float64(12, 2, INPUT).requires_grad_(), *parameters))


@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_is_not_cut_at_the_memory(form, float64):
    layer, inputs, payoff = make(form), float64(TIME, BATCH, INPUT).requires_grad_(), float64(TIME, BATCH, HIDDEN)
    whole = gradients(layer, inputs, layer(inputs).outputs, payoff)
    stopped = torch.stack([one_example(layer, inputs[:, b], memory_gradient=False) for b in range(BATCH)], dim=1)
    torch.testing.assert_close(stopped, layer(inputs).outputs, rtol=1e-10, atol=1e-10)
    without = gradients(layer, inputs, stopped, payoff)
    assert max((mine - other).abs().max() for mine, other in zip(whole, without, strict=True)) > 1e-3


@pytest.mark.parametrize("form", FORMS)
def test_rate_zero_knows_nothing_but_the_last_quadrant(form, float64):
    """The wipe leaves the fast weights as the only way past the fine looks."""
    inputs = float64(TIME, BATCH, INPUT).requires_grad_()
    for rate, reaches in ((0.0, False), (0.5, True)):
        (gradient,) = torch.autograd.grad(make(form, rate=rate)(inputs).outputs[-1].square().sum(), inputs)
        assert (gradient[19:].abs().amax((1, 2)) > 0).all()
        assert (gradient[:18].abs().max() > 0) == reaches


def test_the_fine_looks_know_nothing_of_another_quadrant_and_not_of_their_coarse_look(float64):
    layer, inputs = make(), float64(TIME, BATCH, INPUT).requires_grad_()
    fine = layer(inputs).outputs[[7, 8, 9, 10]]
    (gradient,) = torch.autograd.grad(fine.square().sum(), inputs)
    assert gradient.abs().amax((1, 2)).nonzero().flatten().tolist() == [7, 8, 9, 10]


@pytest.mark.parametrize("form", FORMS)
def test_there_are_four_writes_one_a_quadrant(form, float64):
    inputs, layer = float64(TIME, BATCH, INPUT), make(form)
    answer = layer(inputs)
    if form == "attention":
        assert torch.equal(torch.stack(answer.state.memory.history), answer.outputs[COARSE])
    h = answer.outputs[COARSE]
    weights = 0.5 * 0.95 ** torch.arange(3, -1, -1, dtype=torch.float64)
    expected = torch.einsum("t,tbi,tbj->bij", weights, h, h)
    query = float64(BATCH, HIDDEN)
    torch.testing.assert_close(answer.state.memory.read(query), (expected @ query.unsqueeze(2)).squeeze(2))
    assert torch.equal(answer.state.hidden, answer.outputs[-1])
    assert torch.equal(answer.cost, torch.zeros(BATCH, dtype=torch.float64))


def test_the_integration_by_hand():
    """Two units, and no LN, so that every number can be followed."""
    layer = GlimpseFastWeights(2, 2)
    with torch.no_grad():
        layer.integration.weight.copy_(torch.eye(2))
    memory = HistoryMemory((), 0.5, 1.0).write(torch.tensor([[1.0, 0.0]])).write(torch.tensor([[0.0, 2.0]]))
    # h0 = (1, 3); A h0 = 0.5·1·(1, 0) + 2·3·(0, 2) = (0.5, 12); the boundary is (9, 0) + (1, 3)
    settled = integrate(
        torch.tensor([[9.0, 0.0]]), torch.tensor([[1.0, 3.0]]), memory, layer.integration, torch.nn.Identity(), 1
    )
    assert settled.tolist() == [[10.5, 15.0]]


@pytest.mark.parametrize("form", FORMS)
def test_no_example_affects_another(form, float64):
    layer, inputs, order = make(form), float64(TIME, 4, INPUT).requires_grad_(), torch.tensor([2, 0])
    whole = layer(inputs).outputs
    torch.testing.assert_close(layer(inputs[:, order]).outputs, whole[:, order], rtol=0, atol=1e-13)
    (gradient,) = torch.autograd.grad(whole[:, 2].square().sum(), inputs)
    assert (gradient[:, [0, 1, 3]] == 0).all()


def test_the_recurrent_weights_start_at_multiples_of_the_identity():
    layer = GlimpseFastWeights(INPUT, HIDDEN, integration_init=0.7)
    torch.testing.assert_close(layer.recurrent.weight.detach(), 0.05 * torch.eye(HIDDEN))
    torch.testing.assert_close(layer.integration.weight.detach(), 0.7 * torch.eye(HIDDEN))


@pytest.mark.parametrize("options", [{"form": "auto"}, {"decay": 1.1}, {"decay": -0.1}, {"inner_steps": 0}])
def test_bad_options_are_refused_in_one_sentence(options):
    with pytest.raises(ValueError, match=rf"^{next(iter(options))} is .*; it must [^.]*\.$"):
        GlimpseFastWeights(INPUT, HIDDEN, **options)


@pytest.mark.parametrize("steps", [5, 23])
def test_a_sequence_that_is_no_whole_group_is_refused_in_one_sentence(steps):
    with pytest.raises(ValueError, match=rf"^The sequence has {steps} glimpses; it must be a multiple of six[^.]*\.$"):
        GlimpseFastWeights(INPUT, HIDDEN)(torch.zeros(steps, BATCH, INPUT))
