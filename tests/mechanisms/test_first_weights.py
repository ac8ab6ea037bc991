"""What layers start from: the few numbers on which the papers' results rely, in mechanisms and baselines."""

import math

import pytest
import torch
from torch import nn

from companion.baselines import (
    IRNN,
    LSTM,
    AssociativeLSTM,
    LayerNormRNN,
    PatchConvNet,
    SelfAttentiveLSTM,
    SettlingRNN,
    Transformer,
)
from companion.mechanisms import AdaptiveComputation, FastWeights, GlimpseFastWeights, SparseAttentiveBacktracking
from companion.mechanisms.released import ReleasedScores
from companion.state import HiddenState

IN, SIZE = 50, 64


def lstm_gates(layer):
    """The biases that torch's LSTM adds up, as (input, forget, new, output)."""
    cell = getattr(layer, "lstm", None) or layer.cell
    first, second = (bias for name, bias in cell.named_parameters() if "bias" in name)
    return (first + second).detach().view(4, SIZE)


def holographic_gates(layer):
    """The biases of the associative LSTM: forget, input and output gate, then the value and the keys."""
    half = SIZE // 2
    return layer.input.bias.detach()[: 3 * half].view(3, half)


@pytest.mark.parametrize(
    ("make", "gates", "forget"),
    [(LSTM, lstm_gates, 1), (SparseAttentiveBacktracking, lstm_gates, 1), (SelfAttentiveLSTM, lstm_gates, 1),
     (AssociativeLSTM, holographic_gates, 0)],
)  # fmt: skip
def test_the_forget_gate_is_open_at_the_start_and_no_other_gate_is(make, gates, forget):
    """Without inputs and state the sigmoid is at σ(1) = 0.73 for it, and around a half for the others.

    torch draws each bias within 1/√R of 0, and an LSTM has two of them, or one if there is one; so no unit of the
    forget gate lies further than that from 1, and none of another gate further than that from 0.
    """
    torch.manual_seed(1)
    layer = make(IN, SIZE)
    found = gates(layer)
    reach = 2 / math.sqrt(SIZE) if gates is lstm_gates else 1 / math.sqrt(IN)
    for gate, bias in enumerate(found):
        assert (bias - float(gate == forget)).abs().max() <= reach
    assert found.std(1).min() > reach / 10  # each unit starts somewhere else


@pytest.mark.parametrize("make", [LSTM, SparseAttentiveBacktracking, AssociativeLSTM])
def test_the_forget_bias_is_added_as_it_is_asked_for(make):
    gates, forget = (holographic_gates, 0) if make is AssociativeLSTM else (lstm_gates, 1)
    found = []
    for bias in (0.0, 3.0):
        torch.manual_seed(1)
        found.append(gates(make(IN, SIZE, forget_bias=bias)))
    expected = torch.zeros_like(found[0])
    expected[forget] = 3
    torch.testing.assert_close(found[1] - found[0], expected)


@pytest.mark.parametrize(
    ("layer", "weight", "multiple"),
    [
        (lambda: FastWeights(IN, SIZE), lambda layer: layer.recurrent.weight, 0.05),
        (lambda: GlimpseFastWeights(IN, SIZE), lambda layer: layer.recurrent.weight, 0.05),
        (lambda: GlimpseFastWeights(IN, SIZE), lambda layer: layer.integration.weight, 0.05),
        (lambda: IRNN(IN, SIZE), lambda layer: layer.rnn.weight_hh_l0, 0.5),
        (lambda: LayerNormRNN(IN, SIZE), lambda layer: layer.recurrent.weight, 0.5),
        (lambda: SettlingRNN(IN, SIZE), lambda layer: layer.recurrent.weight, 0.5),
        (lambda: SettlingRNN(IN, SIZE), lambda layer: layer.settling, 0.0),
        (lambda: FastWeights(IN, SIZE, recurrent_init=0.7), lambda layer: layer.recurrent.weight, 0.7),
        (lambda: IRNN(IN, SIZE, 0.7), lambda layer: layer.rnn.weight_hh_l0, 0.7),
        (lambda: LayerNormRNN(IN, SIZE, 0.7), lambda layer: layer.recurrent.weight, 0.7),
        (lambda: SettlingRNN(IN, SIZE, recurrent_init=0.7), lambda layer: layer.recurrent.weight, 0.7),
        (lambda: GlimpseFastWeights(IN, SIZE, recurrent_init=0.7), lambda layer: layer.recurrent.weight, 0.7),
        (lambda: GlimpseFastWeights(IN, SIZE, recurrent_init=0.7), lambda layer: layer.integration.weight, 0.05),
        (lambda: GlimpseFastWeights(IN, SIZE, integration_init=0.7), lambda layer: layer.integration.weight, 0.7),
        (lambda: GlimpseFastWeights(IN, SIZE, integration_init=0.7), lambda layer: layer.recurrent.weight, 0.05),
    ],
)  # fmt: skip
def test_recurrent_weights_start_as_a_multiple_of_the_identity(layer, weight, multiple):
    """Ba et al. 2016, A.1: 0.05 with fast weights, 0.5 for the IRNN."""
    torch.testing.assert_close(weight(layer()).detach(), multiple * torch.eye(SIZE))


@pytest.mark.parametrize(
    ("weight", "inputs"),
    [
        (lambda: FastWeights(IN, 1000).input.weight, IN),
        (lambda: GlimpseFastWeights(IN, 1000).input.weight, IN),
        (lambda: LayerNormRNN(IN, 1000).input.weight, IN),
        (lambda: PatchConvNet(49, 1000).layers[0].weight, 49),
    ],
    ids=["fast weights", "glimpses", "layer-norm RNN", "patches"],
)
def test_weights_into_a_relu_start_uniform_as_he_et_al_have_it(weight, inputs):
    """Uniform within √(6 / inputs) of 0 (He et al. 2015), so that C x is of the order of x.

    Of 50,000 uniform numbers the largest is next to the bound, and the standard deviation is the bound by √3.
    """
    found, bound = weight().detach(), math.sqrt(6 / inputs)
    assert 0.99 * bound < found.abs().max() <= bound
    assert found.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)


def test_every_layer_of_the_patches_starts_so_and_without_a_bias():
    for layer in PatchConvNet(49, 64).layers:
        if isinstance(layer, nn.Conv2d):
            bound = math.sqrt(6 / layer.weight[0].numel())
            assert 0.99 * bound < layer.weight.abs().max() <= bound
            assert not layer.bias.any()


@pytest.mark.parametrize("make", [FastWeights, GlimpseFastWeights, LayerNormRNN])
def test_the_only_bias_is_that_of_the_layer_normalisation(make):
    """One gain and bias, as in (F5): another bias would stand in (F2) as well, where the paper has none."""
    assert {name for name, _ in make(IN, SIZE).named_parameters() if "bias" in name} == {"norm.bias"}


def test_the_irnn_starts_without_biases():
    """Le et al. 2015: W is the identity and the biases are 0, so that a state stays as it is but for its multiple."""
    layer = IRNN(3, 4, recurrent_init=1.0)
    state = torch.tensor([[0.1, 2.0, 0.0, 3.0]])
    answer = layer(torch.zeros(5, 1, 3), HiddenState(state))
    torch.testing.assert_close(answer.outputs, state.expand(5, 1, 4))


def test_the_released_scorer_starts_small():
    """A hundredth of a standard normal number, as in the released code: all memories score almost alike."""
    scorer = ReleasedScores(3, 4000).scorer
    for weight in (scorer.query_weight, scorer.memory_weight):
        assert weight.std().item() == pytest.approx(0.01, rel=0.1)
        assert abs(weight.mean().item()) < 0.001


def test_pondering_starts_with_two_steps():
    """b_h = 1, and σ(1) = 0.73 is less than 1 − ε and more than half of it (Graves 2016)."""
    torch.manual_seed(2)
    layer = AdaptiveComputation(IN, 256)
    assert layer.halt.bias.item() == 1
    assert (layer(0.01 * torch.randn(3, 20, IN)).trace["ponder_steps"] == 2).all()
    assert AdaptiveComputation(IN, 8, halting_bias=-2.0).halt.bias.item() == -2


def test_positions_start_smaller_than_what_they_are_added_to():
    """0.02 standard deviations, as is common with learned positions (Radford et al. 2018)."""
    layer = Transformer(IN, SIZE)
    assert layer.positions.std().item() == pytest.approx(0.02, rel=0.05)
    for parameter in layer.encoder.parameters():
        if parameter.dim() > 1:  # Glorot and Bengio 2010, as in the paper's own code
            bound = math.sqrt(6 / sum(parameter.shape))
            assert 0.95 * bound < parameter.abs().max() <= bound


def test_the_inner_layers_of_the_transformer_are_four_times_as_wide_and_normalise_what_comes_in():
    layer = Transformer(IN, SIZE)
    for each in layer.encoder.layers:
        assert each.linear1.out_features == 4 * SIZE  # Vaswani et al. 2017: 2,048 with a width of 512
        assert each.norm_first
    torch.testing.assert_close(layer(torch.randn(6, 5, IN)).outputs.mean(2), torch.zeros(6, 5), rtol=0, atol=1e-5)
