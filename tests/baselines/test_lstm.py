"""The LSTM with full and with truncated credit, and the LSTM that attends to all of its past."""

import pytest
import torch
from torch import nn

from companion.baselines import LSTM, SelfAttentiveLSTM

INPUT, HIDDEN, TIME, BATCH = 2, 3, 8, 2


def gradient(outputs, inputs):
    return torch.autograd.grad(outputs.sum(), inputs, retain_graph=True)[0]


def test_without_truncation_it_is_torch_s_lstm(float64):
    layer, plain = LSTM(INPUT, HIDDEN).double(), nn.LSTM(INPUT, HIDDEN).double()
    plain.load_state_dict(layer.lstm.state_dict())
    inputs = float64(TIME, BATCH, INPUT).requires_grad_()
    expected, (hidden, cell) = plain(inputs)
    answer = layer(inputs)
    for mine, yours in zip((answer.outputs, *answer.state), (expected, hidden[0], cell[0]), strict=True):
        torch.testing.assert_close(mine, yours, rtol=0, atol=1e-14)
    torch.testing.assert_close(gradient(answer.outputs, inputs), gradient(expected, inputs))


@pytest.mark.parametrize("truncation", [None, 1, 3, 4, TIME, TIME + 1])
def test_gradient_reaches_exactly_the_steps_of_its_window(truncation, float64):
    layer, inputs = LSTM(INPUT, HIDDEN, truncation).double(), float64(TIME, BATCH, INPUT).requires_grad_()
    outputs = layer(inputs).outputs
    for step in range(TIME):
        first = 0 if truncation is None else step // truncation * truncation
        for example in range(BATCH):
            touched = gradient(outputs[step, example], inputs).abs().amax(2) > 0
            expected = torch.zeros(TIME, BATCH, dtype=torch.bool)
            expected[first : step + 1, example] = True
            assert torch.equal(touched, expected)


def test_truncation_changes_no_output(float64):
    full, cut, inputs = LSTM(INPUT, HIDDEN).double(), LSTM(INPUT, HIDDEN, 3).double(), float64(TIME, BATCH, INPUT)
    cut.load_state_dict(full.state_dict())
    torch.testing.assert_close(cut(inputs).outputs, full(inputs).outputs, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("truncation", "part"), [(None, 3), (None, 4), (4, 4), (2, 4)])
def test_two_calls_on_two_parts_equal_one_call(truncation, part, float64):
    layer, inputs = LSTM(INPUT, HIDDEN, truncation).double(), float64(TIME, BATCH, INPUT).requires_grad_()
    whole, first = layer(inputs).outputs, layer(inputs[:part])
    parts = torch.cat([first.outputs, layer(inputs[part:], first.state).outputs])
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-14)
    torch.testing.assert_close(gradient(parts, inputs), gradient(whole, inputs))


def test_the_forget_bias_is_added_to_the_forget_gate_alone():
    torch.manual_seed(0)
    biased = LSTM(INPUT, HIDDEN, forget_bias=2.5).lstm
    torch.manual_seed(0)
    plain = nn.LSTM(INPUT, HIDDEN)
    difference = biased.bias_ih_l0 + biased.bias_hh_l0 - plain.bias_ih_l0 - plain.bias_hh_l0
    expected = torch.zeros(4, HIDDEN)
    expected[1] = 2.5
    torch.testing.assert_close(difference.detach(), expected.flatten())
    assert torch.equal(biased.weight_hh_l0, plain.weight_hh_l0)


@pytest.mark.parametrize("truncation", [0, -3])
def test_a_truncation_below_one_is_refused(truncation):
    with pytest.raises(ValueError, match=r"^truncation is .*; it must be at least 1\.$"):
        LSTM(INPUT, HIDDEN, truncation)


def test_the_self_attentive_lstm_reads_all_of_its_past_by_a_softmax(float64):
    """Written out for a batch, with nothing cut: outputs and gradients."""
    layer, inputs = SelfAttentiveLSTM(INPUT, HIDDEN).double(), float64(TIME, BATCH, INPUT).requires_grad_()
    scorer, hidden, cell = layer.scorer, inputs.new_zeros(BATCH, HIDDEN), inputs.new_zeros(BATCH, HIDDEN)
    past, expected = [], []
    for x in inputs:
        provisional, cell = layer.cell(x, (hidden, cell))
        summary = torch.zeros_like(provisional)
        if past:
            scores = torch.stack([scorer.score(torch.tanh(scorer.memory(m) + scorer.query(provisional))) for m in past])
            mass = scores.exp()
            summary = (mass / mass.sum(0) * torch.stack(past)).sum(0)
        hidden = provisional + summary
        past.append(hidden)
        expected.append(torch.cat([hidden, summary], dim=1))
    expected, answer = torch.stack(expected), layer(inputs)
    torch.testing.assert_close(answer.outputs, expected, rtol=0, atol=1e-13)
    payoff = float64(TIME, BATCH, 2 * HIDDEN)
    torch.testing.assert_close(gradient(answer.outputs * payoff, inputs), gradient(expected * payoff, inputs))
    read = (answer.trace["attention"].to_dense() > 0).sum(2)
    assert torch.equal(read, torch.arange(TIME).unsqueeze(1).expand(TIME, BATCH))
