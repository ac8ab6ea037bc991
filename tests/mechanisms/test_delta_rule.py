"""The delta rule: closed forms of what it overwrites, brute force for its layer, and the gradients of both."""

import pytest
import torch
from torch.nn.functional import normalize, relu

from companion import DeltaFastWeights, FastWeights
from companion.mechanisms.delta_rule import DeltaHistory, DeltaMemory, delta_write

BATCH, SIZE = 2, 4
FORMS = "matrix", "attention"


@pytest.fixture
def drawn(float64):
    return float64(8, BATCH, SIZE)


def nothing():
    return torch.zeros(BATCH, SIZE, SIZE, dtype=torch.float64)


def unit(key):
    return normalize(key, dim=1)


def read(matrix, key):
    return torch.einsum("bvk,bk->bv", matrix, key)


def test_a_second_write_under_a_key_replaces_the_first(drawn):
    key, first, second = unit(drawn[0]), drawn[1], drawn[2]
    matrix = delta_write(nothing(), key, first)
    torch.testing.assert_close(read(matrix, key), first)
    matrix = delta_write(matrix, key, second)
    torch.testing.assert_close(read(matrix, key), second)
    torch.testing.assert_close(matrix, second.unsqueeze(2) * key.unsqueeze(1))


def test_a_rate_replaces_that_share(drawn):
    key, first, second = unit(drawn[0]), drawn[1], drawn[2]
    matrix = delta_write(nothing(), key, first, rate=0.25)
    torch.testing.assert_close(read(matrix, key), 0.25 * first)
    matrix = delta_write(matrix, key, second, rate=0.25)
    torch.testing.assert_close(read(matrix, key), 0.75 * 0.25 * first + 0.25 * second)


@pytest.mark.parametrize(("decay", "rate"), [(1.0, 1.0), (0.8, 0.5)])
def test_under_orthogonal_keys_it_is_the_hebbian_memory(drawn, decay, rate):
    keys = torch.linalg.qr(drawn[0].expand(SIZE, BATCH, SIZE).transpose(0, 1) + torch.eye(SIZE, dtype=torch.float64))[
        0
    ].transpose(0, 1)
    delta = hebbian = nothing()
    for key, value in zip(keys, drawn, strict=False):
        delta = delta_write(delta, key, value, decay, rate)
        hebbian = decay * hebbian + rate * value.unsqueeze(2) * key.unsqueeze(1)
    torch.testing.assert_close(delta, hebbian)
    again = delta_write(delta, keys[0], drawn[5], decay, rate)
    assert not torch.allclose(again, decay * hebbian + rate * drawn[5].unsqueeze(2) * keys[0].unsqueeze(1))


def test_under_a_key_of_zero_nothing_is_written(drawn):
    matrix = drawn[:4].transpose(0, 1)
    torch.testing.assert_close(delta_write(matrix, torch.zeros_like(drawn[0]), drawn[4], 0.8, 0.5), 0.8 * matrix)


def test_a_write_is_a_step_down_the_squared_error_of_the_read(drawn):
    """Half the squared distance of A k from the value: a step of gradient descent with step length η."""
    key, value, matrix = unit(drawn[0]), drawn[1], drawn[2:6].transpose(0, 1).clone().requires_grad_()
    (slope,) = torch.autograd.grad(0.5 * (read(matrix, key) - value).square().sum(), matrix)
    torch.testing.assert_close(delta_write(matrix, key, value, rate=0.3), matrix - 0.3 * slope)


def test_the_gradient_is_that_of_finite_differences(drawn):
    inputs = [drawn[2:6].transpose(0, 1), drawn[0], drawn[1]]
    inputs = [each.clone().requires_grad_() for each in inputs]
    assert torch.autograd.gradcheck(lambda matrix, key, value: delta_write(matrix, unit(key), value, 0.9, 0.5), inputs)


def by_hand(layer, inputs):
    """The layer, step by step, an example at a time."""
    outputs = inputs.new_zeros(len(inputs), inputs.shape[1], layer.hidden_size)
    for example in range(inputs.shape[1]):
        hidden = inputs.new_zeros(layer.hidden_size)
        matrix = inputs.new_zeros(layer.hidden_size, layer.hidden_size)
        for time, x in enumerate(inputs[:, example]):
            boundary = layer.recurrent.weight @ hidden + layer.input.weight @ x
            hidden = relu(boundary)
            for _ in range(layer.inner_steps):
                hidden = relu(layer.norm(boundary + matrix @ hidden))
            length = hidden.norm()
            key = hidden / length if length > 0 else hidden
            matrix = layer.decay * matrix
            matrix = matrix + layer.rate * torch.outer(hidden - matrix @ key, key)
            outputs[time, example] = hidden
    return outputs


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("options", [{}, {"decay": 1.0, "rate": 1.0, "inner_steps": 2}], ids=str)
def test_the_layer_and_its_gradients_are_brute_force(float64, options, form):
    torch.manual_seed(0)
    layer = DeltaFastWeights(3, SIZE, dtype=torch.float64, form=form, **options)
    inputs = float64(9, BATCH, 3)
    torch.testing.assert_close(layer(inputs).outputs, by_hand(layer, inputs))
    ours = torch.autograd.grad(layer(inputs).outputs.square().sum(), list(layer.parameters()))
    theirs = torch.autograd.grad(by_hand(layer, inputs).square().sum(), list(layer.parameters()))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_it_differs_from_the_sum_where_a_key_returns(float64):
    torch.manual_seed(0)
    delta, hebbian = (kind(3, SIZE, dtype=torch.float64) for kind in (DeltaFastWeights, FastWeights))
    hebbian.load_state_dict(delta.state_dict())
    inputs = float64(1, BATCH, 3).expand(6, BATCH, 3)
    assert not torch.allclose(delta(inputs).outputs, hebbian(inputs).outputs)


@pytest.mark.parametrize("inner_steps", [1, 2])
def test_both_forms_agree_in_value_and_in_every_gradient(float64, inner_steps):
    found, inputs = [], float64(12, BATCH, 3).requires_grad_()
    for form in FORMS:
        torch.manual_seed(0)
        layer = DeltaFastWeights(3, SIZE, decay=0.8, inner_steps=inner_steps, form=form, dtype=torch.float64)
        answer = layer(inputs)
        gradients = torch.autograd.grad(answer.outputs.square().sum(), [inputs, *layer.parameters()])
        memory = answer.state.memory
        found.append([answer.outputs, memory.matrix if form == "matrix" else memory.folded().matrix, *gradients])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_auto_folds_what_has_become_long(float64):
    torch.manual_seed(0)
    layer = DeltaFastWeights(3, SIZE, dtype=torch.float64)
    inputs = float64(12, BATCH, 3)
    state = layer(inputs[:6]).state
    assert isinstance(state.memory, DeltaHistory)
    rest = layer(inputs[6:], state)
    assert isinstance(rest.state.memory, DeltaMemory)
    torch.testing.assert_close(rest.outputs, layer(inputs).outputs[6:])
    kept = DeltaFastWeights(3, SIZE, form="attention", dtype=torch.float64)
    kept.load_state_dict(layer.state_dict())
    assert len(kept(inputs[6:], state).state.memory.keys) == 12


@pytest.mark.parametrize(("form", "kind"), [("matrix", DeltaMemory), ("attention", DeltaHistory)])
def test_a_state_that_is_not_the_layers_is_refused(form, kind):
    layer, inputs = DeltaFastWeights(3, SIZE, form=form), torch.randn(2, BATCH, 3)
    state = layer(inputs).state
    assert isinstance(state.memory, kind)
    with pytest.raises(ValueError, match=r"The state's memory has decay 0.9 and rate 0.5; this layer has decay 0.8"):
        DeltaFastWeights(3, SIZE, decay=0.8)(inputs, state)
    with pytest.raises(ValueError, match="it must be one of this layer"):
        FastWeights(3, SIZE)(inputs, state)
    changed = {"matrix": torch.zeros(BATCH, 3, 3)} if form == "matrix" else {"keys": (torch.zeros(BATCH, 3),) * 2}
    with pytest.raises(ValueError, match="The state's matrix|A state in the memory"):
        layer(inputs, state._replace(memory=state.memory._replace(**changed)))


def test_a_change_without_its_key_is_refused():
    layer, inputs = DeltaFastWeights(3, SIZE, form="attention"), torch.randn(2, BATCH, 3)
    state = layer(inputs).state
    with pytest.raises(ValueError, match=r"The state's memory has 1 keys and 2 changes\."):
        layer(inputs, state._replace(memory=state.memory._replace(keys=state.memory.keys[:1])))
