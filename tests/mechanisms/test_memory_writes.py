"""A gate and a normaliser: brute force for both layers, closed forms, and what is refused."""

import pytest
import torch
from torch.nn.functional import relu

from companion import FastWeights
from companion.mechanisms.memory_writes import GatedFastWeights, NormalisedFastWeights

BATCH, SIZE = 2, 4
KINDS = [GatedFastWeights, NormalisedFastWeights]


def by_hand(layer, inputs):
    """The layer an example and a step at a time, each read a sum over all past states."""
    outputs = inputs.new_zeros(len(inputs), inputs.shape[1], SIZE)
    for example in range(inputs.shape[1]):
        hidden, past, kept = inputs.new_zeros(SIZE), [], []
        for time, x in enumerate(inputs[:, example]):
            boundary = layer.recurrent.weight @ hidden + layer.input.weight @ x
            hidden = relu(boundary)
            for _ in range(layer.inner_steps):
                hidden = relu(layer.norm(boundary + read_by_hand(layer, hidden, past, kept)))
            past.append(hidden)
            gated = isinstance(layer, GatedFastWeights)
            kept.append(torch.sigmoid(layer.gate(hidden)) if gated else torch.tensor(layer.decay))
            outputs[time, example] = hidden
    return outputs


def read_by_hand(layer, query, past, kept):
    """Each past state, weighted by its product with the query and by all that faded since it was written."""
    if not past:
        return torch.zeros_like(query)
    weights = [
        layer.rate
        * torch.stack([torch.ones_like(query[0]), *[k.squeeze() for k in kept[place + 1 :]]]).prod()
        * (query @ state)
        for place, state in enumerate(past)
    ]
    total = sum(weight * state for weight, state in zip(weights, past, strict=True))
    return total / (sum(weights) + 1e-6) if isinstance(layer, NormalisedFastWeights) else total


@pytest.mark.parametrize("options", [{}, {"decay": 0.7, "rate": 0.9, "inner_steps": 2}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_the_layer_and_its_gradients_are_brute_force(float64, kind, options):
    torch.manual_seed(0)
    layer = kind(3, SIZE, dtype=torch.float64, **options)
    if kind is GatedFastWeights:
        torch.nn.init.normal_(layer.gate.weight)
    inputs = float64(7, BATCH, 3)
    torch.testing.assert_close(layer(inputs).outputs, by_hand(layer, inputs))
    ours = torch.autograd.grad(layer(inputs).outputs.square().sum(), list(layer.parameters()))
    theirs = torch.autograd.grad(by_hand(layer, inputs).square().sum(), list(layer.parameters()))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_a_gate_starts_as_the_decay_it_was_given(float64):
    torch.manual_seed(0)
    gated, plain = (kind(3, SIZE, decay=0.8, dtype=torch.float64) for kind in (GatedFastWeights, FastWeights))
    plain.load_state_dict({name: value for name, value in gated.state_dict().items() if "gate" not in name})
    inputs = float64(6, BATCH, 3)
    torch.testing.assert_close(gated(inputs).outputs, plain(inputs).outputs, atol=1e-6, rtol=1e-6)


def test_a_normalised_read_is_a_mean_of_what_was_written(float64):
    layer = NormalisedFastWeights(3, SIZE, dtype=torch.float64)
    states = float64(5, BATCH, SIZE).abs()
    memory = layer.empty(float64(1, BATCH, 3))
    query = float64(BATCH, SIZE).abs()
    assert not memory.read(query).any()
    memory = memory.write(states[0])
    torch.testing.assert_close(memory.read(query), states[0], atol=1e-4, rtol=1e-4)
    for state in states[1:]:
        memory = memory.write(state)
    read = memory.read(query)
    assert (read <= states.amax(0) + 1e-6).all()
    assert (read >= states.amin(0) - 1e-4).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_of_another_layer_is_refused(kind):
    state = kind(3, SIZE)(torch.randn(2, BATCH, 3)).state
    with pytest.raises(ValueError, match="it must be one of this layer"):
        FastWeights(3, SIZE)(torch.randn(1, BATCH, 3), state)
    with pytest.raises(ValueError, match=r"The state's memory has .*rate 0.5; this layer has"):
        kind(3, SIZE, rate=0.6)(torch.randn(1, BATCH, 3), state)
    for part in set(state.memory._fields) - {"decay", "rate"}:
        wrong = state._replace(memory=state.memory._replace(**{part: torch.zeros(BATCH, 3)}))
        with pytest.raises(ValueError, match=f"The state's {part}"):
            kind(3, SIZE)(torch.randn(1, BATCH, 3), wrong)


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_no_attention_form(kind):
    with pytest.raises(ValueError, match='form is "attention"; this memory has no such form'):
        kind(3, SIZE, form="attention")


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_a_gate_cannot_start_at_its_ends(decay):
    with pytest.raises(ValueError, match=f"decay is {decay}; a gate starts between 0 and 1"):
        GatedFastWeights(3, SIZE, decay=decay)
