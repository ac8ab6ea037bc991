"""The Transformer: it sees the whole past, nothing of the future, and knows where each step stands."""

import pytest
import torch

from companion.baselines import Transformer

INPUT, HIDDEN, TIME, BATCH = 3, 8, 7, 4


@pytest.fixture
def layer():
    return Transformer(INPUT, HIDDEN, length=TIME).double()


def test_a_later_input_changes_no_earlier_output(layer, float64):
    inputs = float64(TIME, BATCH, INPUT)
    before = layer(inputs).outputs
    for step in range(TIME):
        changed = inputs.clone()
        changed[step] += 1
        after = layer(changed).outputs
        torch.testing.assert_close(after[:step], before[:step], rtol=0, atol=1e-13)
        assert ((after[step:] - before[step:]).abs().amax(2) > 1e-6).all()


def test_the_gradient_of_the_last_step_reaches_every_step_of_its_example(layer, float64):
    inputs = float64(TIME, BATCH, INPUT).requires_grad_()
    payoff = float64(HIDDEN)  # the plain sum of a normalised vector does not depend on it
    gradient = torch.autograd.grad((layer(inputs).outputs[-1, 1] * payoff).sum(), inputs)[0].abs().amax(2)
    expected = torch.zeros(TIME, BATCH, dtype=torch.bool)
    expected[:, 1] = True
    assert torch.equal(gradient > 0, expected)


def test_an_example_does_not_depend_on_the_others(layer, float64):
    inputs = float64(TIME, BATCH, INPUT)
    alone = torch.cat([layer(inputs[:, [example]]).outputs for example in range(BATCH)], dim=1)
    torch.testing.assert_close(layer(inputs).outputs, alone, rtol=0, atol=1e-13)


def test_only_positions_tell_one_order_of_the_past_from_another(float64):
    """With one layer; a second one sees what the first made of each step, and that depends on the order."""
    layer, inputs = Transformer(INPUT, HIDDEN, layers=1, length=TIME).double(), float64(TIME, BATCH, INPUT)
    swapped = inputs[[1, 0, *range(2, TIME)]]
    assert ((layer(inputs).outputs[-1] - layer(swapped).outputs[-1]).abs().amax(1) > 1e-6).all()
    with torch.no_grad():
        layer.positions.zero_()
    torch.testing.assert_close(layer(inputs).outputs[-1], layer(swapped).outputs[-1], rtol=0, atol=1e-13)


def test_a_shorter_sequence_is_the_head_of_a_longer_one(layer, float64):
    inputs = float64(TIME, BATCH, INPUT)
    torch.testing.assert_close(layer(inputs[:3]).outputs, layer(inputs).outputs[:3], rtol=0, atol=1e-13)


def test_evaluation_says_what_training_says(layer, float64):
    """Without dropout, torch's fast path for evaluation must not change the outputs."""
    inputs = float64(TIME, BATCH, INPUT)
    trained = layer(inputs).outputs
    with torch.no_grad():
        torch.testing.assert_close(layer.eval()(inputs).outputs, trained, rtol=0, atol=1e-13)


def test_its_layers_do_not_start_as_copies():
    first, second = Transformer(INPUT, HIDDEN).encoder.layers
    assert not torch.equal(first.linear1.weight, second.linear1.weight)
    assert not torch.equal(first.self_attn.in_proj_weight, second.self_attn.in_proj_weight)


@pytest.mark.parametrize("arguments", [{"heads": 3}, {"heads": 0}, {"layers": 0}, {"length": 0}, {"dropout": 1.0}])
def test_bad_arguments_are_refused_in_one_sentence(arguments):
    with pytest.raises(ValueError, match=rf"^{next(iter(arguments))} is .*; it must [^.]*\.?[^.]*\.$"):
        Transformer(INPUT, HIDDEN, **arguments)


def test_a_sequence_longer_than_its_positions_is_refused(layer, float64):
    with pytest.raises(ValueError, match=r"^The sequence has 8 steps; this Transformer has positions for 7\.$"):
        layer(float64(TIME + 1, BATCH, INPUT))


def test_it_has_no_state(layer, float64):
    inputs = float64(TIME, BATCH, INPUT)
    assert layer(inputs).state is None
    with pytest.raises(ValueError, match=r"^A Transformer takes no state; .*\.$"):
        layer(inputs, (inputs, inputs))
