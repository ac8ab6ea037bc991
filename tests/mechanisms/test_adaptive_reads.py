"""Fast weights that learn how often to read: against loops written out, and against each mechanism alone."""

import pytest
import torch
from torch.nn.functional import relu

from companion import FastWeights
from companion.mechanisms.adaptive_reads import AdaptiveFastWeights

TIME, BATCH, INPUT, HIDDEN = 6, 3, 3, 5


def make(**options):
    torch.manual_seed(0)
    layer = AdaptiveFastWeights(INPUT, HIDDEN, dtype=torch.float64, **({"halting_bias": -0.5} | options))
    with torch.no_grad():
        layer.halt.weight.normal_()
        layer.norm.bias.normal_()
    return layer


def by_hand(layer, inputs):
    """The definition, an example at a time: outputs, N and the cost."""
    outputs, counts, costs = [], [], []
    for x in inputs.unbind(1):
        hidden, matrix, cost = x.new_zeros(HIDDEN), x.new_zeros(HIDDEN, HIDDEN), 0
        for each in x:
            boundary = layer.recurrent.weight @ hidden + layer.input.weight @ each
            settled, left, hidden, count = relu(boundary), 1, 0, 0
            while True:
                settled = relu(layer.norm(boundary + matrix @ settled))
                unit, count = torch.sigmoid(layer.halt(settled)).squeeze(), count + 1
                if 1 - left + unit >= 1 - layer.epsilon or count == layer.max_steps:
                    break
                hidden, left = hidden + unit * settled, left - unit
            hidden = hidden + left * settled
            matrix = layer.decay * matrix + layer.rate * torch.outer(hidden, hidden)
            cost = cost + layer.time_penalty * (count + left)
            outputs.append(hidden)
            counts.append(count)
        costs.append(cost)
    shape = len(inputs.unbind(1)), len(inputs)
    outputs = torch.stack(outputs).unflatten(0, shape).transpose(0, 1)
    return outputs, torch.tensor(counts).unflatten(0, shape).T, torch.stack(costs)


@pytest.mark.parametrize("form", ["matrix", "attention"])
@pytest.mark.parametrize("max_steps", [3, 20])
def test_outputs_cost_and_gradients_are_those_of_the_definition(float64, form, max_steps):
    layer, inputs = make(form=form, max_steps=max_steps), float64(TIME, BATCH, INPUT)
    answer, (outputs, counts, cost) = layer(inputs), by_hand(layer, inputs)
    assert len(counts.unique()) > 1
    assert answer.trace["ponder_steps"].tolist() == counts.tolist()
    torch.testing.assert_close(answer.outputs, outputs)
    torch.testing.assert_close(answer.cost, cost)
    found = [
        torch.autograd.grad(said.square().sum() + paid.sum(), list(layer.parameters()))
        for said, paid in [(answer.outputs, answer.cost), (outputs, cost)]
    ]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("steps", [1, 4])
def test_halting_at_a_known_step_it_is_fast_weights_of_as_many_inner_steps(float64, steps):
    """A unit that says 0 until the cap puts all mass on the last inner step."""
    layer, inputs = make(max_steps=steps, halting_bias=-1000.0), float64(TIME, BATCH, INPUT)
    plain = FastWeights(INPUT, HIDDEN, inner_steps=steps, dtype=torch.float64)
    plain.load_state_dict({name: value for name, value in layer.state_dict().items() if "halt" not in name})
    torch.testing.assert_close(layer(inputs).outputs, plain(inputs).outputs)


def test_a_later_call_goes_on_from_the_state(float64):
    layer, inputs = make(), float64(TIME, BATCH, INPUT)
    first = layer(inputs[:2])
    torch.testing.assert_close(layer(inputs[2:], first.state).outputs, layer(inputs).outputs[2:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inner_steps": 2}, "inner_steps is learned here; max_steps limits it"),
        ({"time_penalty": -1.0}, "time_penalty is -1.0; it must not be negative"),
        ({"epsilon": 1.0}, "epsilon is 1.0; it must lie between 0 and 1"),
        ({"max_steps": 0}, "max_steps"),
        ({"halting_bias": float("nan")}, "halting_bias"),
    ],
    ids=str,
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AdaptiveFastWeights(INPUT, HIDDEN, **options)
