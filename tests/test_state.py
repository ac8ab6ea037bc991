"""States: two calls equal one, a state of some examples is theirs, and what is no state is refused in one sentence."""

import pytest
import torch
from every_layer import GLIMPSES, INPUT, RECURRENT, step_of

from companion.state import HiddenState, LSTMState

BATCH = 4
STATEFUL = RECURRENT | GLIMPSES
every = pytest.mark.parametrize("name", STATEFUL)


def make(name, training=True):
    torch.manual_seed(0)
    return STATEFUL[name](dtype=torch.float64).train(training)


def gradients(layer, inputs, *made):
    loss = sum(each.square().sum() for each in made)
    return torch.autograd.grad(loss, [inputs, *layer.parameters()], allow_unused=True, retain_graph=True)


def close(left, right):
    for one, other in zip(left, right, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@every
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("cut", [1, 3, 6])
def test_two_calls_on_two_parts_equal_one_on_the_whole(name, training, cut, float64, monkeypatch):
    if name == "PonderNet" and training:
        pytest.skip("in training N is drawn by torch's own generator")
    layer, steps = make(name, training), step_of(name)
    inputs = float64(7 * steps, BATCH, INPUT).requires_grad_()
    whole, first = layer(inputs), layer(inputs[: cut * steps])
    second = layer(inputs[cut * steps :], first.state)
    outputs, cost = torch.cat([first.outputs, second.outputs]), first.cost + second.cost
    close([outputs, cost], [whole.outputs, whole.cost])
    close(gradients(layer, inputs, outputs, cost), gradients(layer, inputs, whole.outputs, whole.cost))


@every
def test_one_step_a_call_equals_one_call(name, float64):
    layer, steps = make(name, training=False), step_of(name)
    inputs, state, outputs = float64(9 * steps, BATCH, INPUT), None, []
    for part in inputs.split(steps):
        answer = layer(part, state)
        state = answer.state
        outputs.append(answer.outputs)
    close([torch.cat(outputs)], [layer(inputs).outputs])


@every
@pytest.mark.parametrize("index", [[2, 0], torch.tensor([3]), torch.tensor([True, False, True, True])], ids=str)
def test_the_state_of_some_examples_is_theirs(name, index, float64):
    layer, steps = make(name, training=False), step_of(name)
    inputs = float64(8 * steps, BATCH, INPUT)
    first, rest = inputs.split([5 * steps, 3 * steps])
    state = layer(first).state.rows(index)
    close([layer(rest[:, index], state).outputs], [layer(inputs).outputs[5 * steps :, index]])


@every
def test_a_detached_state_sends_no_gradient_back(name, float64):
    layer, steps = make(name, training=False), step_of(name)
    first, rest = float64(2, 5 * steps, BATCH, INPUT).requires_grad_()
    state = layer(first).state.detach()
    with pytest.raises(RuntimeError, match="appears to not have been used"):
        torch.autograd.grad(layer(rest, state).outputs.sum(), first)
    assert type(state) is type(layer(first).state)


@every
def test_what_is_no_state_of_these_sequences_is_refused(name, float64, sentence, as_users_run_it):
    layer, steps = make(name), step_of(name)
    inputs = float64(2 * steps, BATCH, INPUT)
    state = layer(float64(5 * steps, BATCH, INPUT)).state
    wrong = [state.rows([0, 1]), (1, 2, 3), "state", float64(BATCH, 4), LSTMState, [None]]
    wrong += [each for each in others(state)]
    for each in wrong:
        with pytest.raises(ValueError, match="state|memory") as caught:
            layer(inputs, each)
        sentence(caught)


def others(state):
    """The state, with one of its tensors of another width, in another precision, or no tensor at all."""
    for name in state._fields:
        part = getattr(state, name)
        if isinstance(part, torch.Tensor):
            yield from (
                state._replace(**{name: bad}) for bad in (part[..., :-1], part.to(torch.float32), None, part[0])
            )
        elif hasattr(part, "_fields"):
            yield from (state._replace(**{name: bad}) for bad in others(part))
        elif isinstance(part, tuple) and part:
            yield state._replace(**{name: (part[0][:, :-1], *part[1:])})


def test_a_state_of_another_layer_is_refused(float64, sentence, as_users_run_it):
    states = {name: make(name)(float64(6, BATCH, INPUT)).state for name in STATEFUL}
    for name, layer in ((name, make(name)) for name in STATEFUL):
        for state in states.values():
            same = type(state) is type(states[name])
            if same and (not hasattr(state, "memory") or isinstance(state.memory, getattr(layer, "memories", object))):
                continue
            with pytest.raises(ValueError, match="state") as caught:
                layer(float64(6, BATCH, INPUT), state)
            sentence(caught)


def test_plain_tuples_are_states_of_what_torch_has(float64, as_users_run_it):
    for name, kind in (
        ("LSTM", LSTMState),
        ("ACT, lstm", LSTMState),
        ("fixed repeats", LSTMState),
        ("IRNN", HiddenState),
    ):
        layer, inputs = make(name), float64(5, BATCH, INPUT)
        state = layer(inputs).state
        assert type(state) is kind
        close([layer(inputs, tuple(state)).outputs], [layer(inputs, state).outputs])


@pytest.mark.parametrize("name", ["fast weights", "RNN+LN", "PonderNet"])
def test_a_step_takes_no_longer_after_many_calls(name):
    """What is kept does not grow: neither the tensors of the state nor the time."""

    def numbers(part):
        if isinstance(part, torch.Tensor):
            return part.numel()
        return sum(map(numbers, part)) if isinstance(part, tuple) else 0

    layer, state, sizes = STATEFUL[name]().eval(), None, []
    with torch.no_grad():
        for _ in range(300):
            state = layer(torch.randn(1, BATCH, INPUT), state).state
            sizes.append(numbers(state))
    assert max(sizes[100:]) == min(sizes[100:])
