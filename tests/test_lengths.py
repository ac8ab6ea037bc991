"""Sequences of different lengths: each example is treated as if it were alone, and padding is nothing."""

import pytest
import torch
from every_layer import INPUT, LAYERS, step_of

from companion import lengths

every = pytest.mark.parametrize("name", LAYERS)


@every
@pytest.mark.parametrize("of", [(2, 7, 5, 7, 1), (4, 4, 4, 4, 4), (1, 2, 3, 4, 5)], ids=str)
def test_each_example_is_as_if_it_were_alone(name, of, float64):
    torch.manual_seed(0)
    layer, steps = LAYERS[name](dtype=torch.float64).eval(), step_of(name)
    of = [steps * each for each in of]
    inputs = float64(7 * steps, len(of), INPUT).requires_grad_()
    answer = lengths.run(layer, inputs, of)
    loss = answer.outputs.square().sum() + answer.cost.sum()
    found = torch.autograd.grad(loss, [inputs, *layer.parameters()], allow_unused=True)
    alone = [layer(inputs[:each, b : b + 1]) for b, each in enumerate(of)]
    loss = sum(each.outputs.square().sum() + each.cost.sum() for each in alone)
    expected = torch.autograd.grad(loss, [inputs, *layer.parameters()], allow_unused=True)
    for b, (each, one) in enumerate(zip(of, alone, strict=True)):
        torch.testing.assert_close(answer.outputs[:each, b], one.outputs[:, 0], rtol=0, atol=1e-12)
        assert not answer.outputs[each:, b].any()
        torch.testing.assert_close(answer.cost[b], one.cost[0], rtol=0, atol=1e-12)
        assert not found[0][each:, b].any(), "padding has no gradient"
        if one.state is not None:
            for mine, yours in zip(tensors(answer.state[b]), tensors(one.state), strict=True):
                torch.testing.assert_close(mine, yours, rtol=0, atol=1e-12)
        if "ponder_steps" in one.trace:
            assert torch.equal(answer.trace["ponder_steps"][:each, b], one.trace["ponder_steps"][:, 0])
            assert not answer.trace["ponder_steps"][each:, b].any()
    for mine, yours in zip(found, expected, strict=True):
        assert (mine is None) == (yours is None)
        if mine is not None:
            torch.testing.assert_close(mine, yours, rtol=1e-10, atol=1e-12)


def tensors(part):
    if isinstance(part, torch.Tensor):
        yield part
    elif isinstance(part, tuple):
        for each in part:
            yield from tensors(each)


def test_what_is_in_the_padding_does_not_matter(float64):
    layer, inputs = LAYERS["SAB"](dtype=torch.float64), float64(6, 2, INPUT)
    other = inputs.clone()
    other[3:, 0] = float("nan")
    first, second = (lengths.run(layer, each, torch.tensor([3, 6])) for each in (inputs, other))
    assert torch.equal(first.outputs, second.outputs)


def test_a_state_of_the_whole_batch_goes_on(float64):
    layer = LAYERS["ACT, lstm"](dtype=torch.float64)
    inputs = float64(6, 3, INPUT)
    state = layer(inputs).state
    answer = lengths.run(layer, inputs, [2, 6, 4], state)
    torch.testing.assert_close(answer.outputs[:4, 2], layer(inputs[:4], state).outputs[:, 2], rtol=0, atol=1e-12)


@pytest.mark.parametrize("of", [[3, 4], [3, 4, 0], [3, 4, 8], [3.0, 4.0, 5.0], [[3, 4, 5]]], ids=str)
def test_lengths_that_cannot_be_are_refused(of, float64, sentence, as_users_run_it):
    with pytest.raises(ValueError, match="ength") as caught:
        lengths.run(LAYERS["LSTM"](), float64(7, 3, INPUT).float(), of)
    sentence(caught)


def test_a_state_is_one_that_the_layer_answered_with(float64, sentence, as_users_run_it):
    layer, inputs = LAYERS["LSTM"](dtype=torch.float64), float64(4, 2, INPUT)
    for state in (tuple(layer(inputs).state), lengths.run(layer, inputs, [4, 2]).state):
        with pytest.raises(ValueError, match="The state is a") as caught:
            lengths.run(layer, inputs, [4, 2], state)
        sentence(caught)
