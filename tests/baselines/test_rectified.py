"""The rectified networks without a fast memory. LayerNormRNN is also held to its equation in test_fast_weights.py."""

import pytest
import torch

from companion.baselines import IRNN, LayerNormRNN, SettlingRNN

INPUT, HIDDEN, TIME, BATCH = 2, 4, 6, 3


@pytest.mark.parametrize("multiple", [0.5, 1.0])
def test_the_irnn_starts_at_a_multiple_of_the_identity_without_bias(multiple):
    weights = dict(IRNN(INPUT, HIDDEN, multiple).rnn.named_parameters())
    assert torch.equal(weights["weight_hh_l0"], multiple * torch.eye(HIDDEN))
    assert (weights["bias_hh_l0"] == 0).all()
    assert (weights["bias_ih_l0"] == 0).all()
    assert (weights["weight_ih_l0"] != 0).all()
    assert all(weight.requires_grad for weight in weights.values())


def test_an_identity_remembers_a_positive_input_for_ever():
    layer = IRNN(1, 1, recurrent_init=1.0)
    torch.nn.init.ones_(layer.rnn.weight_ih_l0)
    inputs = torch.tensor([2.0, 0.0, 0.0, -5.0, 0.0]).reshape(5, 1, 1)
    assert layer(inputs).outputs.flatten().tolist() == [2, 2, 2, 0, 0]


def test_the_irnn_is_its_recursion(float64):
    layer, inputs = IRNN(INPUT, HIDDEN).double(), float64(TIME, BATCH, INPUT)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    w, v, b = layer.rnn.weight_hh_l0, layer.rnn.weight_ih_l0, layer.rnn.bias_ih_l0 + layer.rnn.bias_hh_l0
    h, expected = inputs.new_zeros(BATCH, HIDDEN), []
    for x in inputs:
        h = torch.relu(h @ w.T + x @ v.T + b)
        expected.append(h)
    torch.testing.assert_close(layer(inputs).outputs, torch.stack(expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("inner_steps", [1, 3])
def test_the_settling_rnn_is_its_recursion(inner_steps, float64):
    layer, inputs = SettlingRNN(INPUT, HIDDEN, inner_steps).double(), float64(TIME, BATCH, INPUT)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    w, c, v = layer.recurrent.weight, layer.input.weight, layer.settling
    h, expected = inputs.new_zeros(BATCH, HIDDEN), []
    for x in inputs:
        boundary = h @ w.T + x @ c.T
        h = torch.relu(boundary)
        for _ in range(inner_steps):
            h = torch.relu(
                torch.nn.functional.layer_norm(boundary + h @ v.T, (HIDDEN,), layer.norm.weight, layer.norm.bias)
            )
        expected.append(h)
    torch.testing.assert_close(layer(inputs).outputs, torch.stack(expected), rtol=1e-12, atol=1e-12)
    first = layer(inputs[:2])
    parts = torch.cat([first.outputs, layer(inputs[2:], first.state).outputs])
    torch.testing.assert_close(parts, torch.stack(expected), rtol=1e-12, atol=1e-12)


def test_the_settling_rnn_starts_as_a_layer_normalised_rnn_and_learns_its_matrix(float64):
    layer, control, inputs = (
        SettlingRNN(INPUT, HIDDEN),
        LayerNormRNN(INPUT, HIDDEN),
        float64(TIME, BATCH, INPUT).float(),
    )
    control.load_state_dict(layer.state_dict(), strict=False)
    torch.testing.assert_close(layer(inputs).outputs, control(inputs).outputs)
    layer(inputs).outputs.square().sum().backward()
    assert layer.settling.grad.abs().max() > 0
