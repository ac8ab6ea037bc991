"""Equations S1 to S5: the forward pass against loops over examples, and what may not depend on what."""

from itertools import product

import pytest
import torch

from companion.mechanisms import SparseAttentiveBacktracking
from companion.mechanisms.released import ReleasedScores
from companion.mechanisms.sparse_attentive_backtracking import Memories

KINDS = {"mlp": SparseAttentiveBacktracking, "released": ReleasedScores}  # by the scorer
INPUT, HIDDEN, TIME, BATCH = 2, 3, 8, 2
OPTIONS = [
    dict(
        kind=kind,
        normaliser=normaliser,
        top_k=top_k,
        truncation=truncation,
        memory_every=every,
        mental_updates=mental,
        form=form,
    )
    for kind, normaliser, top_k, truncation, every, mental, form in product(
        KINDS,
        ("subtract", "softmax"),
        (None, 1, 3),
        (None, 3),
        (1, 2, 3),
        (True, False),
        ("graph", "replay"),
    )
]
LOOSE = dict(top_k=2, truncation=3, memory_every=1, mental_updates=True)
OPTIONS += [
    dict(kind=kind, normaliser=normaliser, form=form, temperature=temperature, **LOOSE)
    for kind, normaliser, form, temperature in product(KINDS, ("subtract", "softmax"), ("graph", "replay"), (0.3, 4.0))
]
OPTIONS += [
    dict(kind=kind, normaliser="subtract", cell=cell, **(LOOSE | {"mental_updates": mental}))
    for kind, cell, mental in product(KINDS, ("rnn", "gru"), (True, False))
]


def name(options):
    return "-".join(str(value) for value in options.values())


def make(kind="mlp", **options):
    return KINDS[kind](INPUT, HIDDEN, **options).double()


def gates(layer, x, hidden, cell):
    """(S1) for one example: torch's gates, written out. A cell other than an LSTM leaves `cell` as it is."""
    seen, kept = layer.cell.weight_ih @ x + layer.cell.bias_ih, layer.cell.weight_hh @ hidden + layer.cell.bias_hh
    if layer.kind == "rnn":
        return (seen + kept).tanh(), cell
    if layer.kind == "gru":
        (r, z, n), (from_r, from_z, from_n) = seen.split(HIDDEN), kept.split(HIDDEN)
        keep = (z + from_z).sigmoid()
        return (1 - keep) * (n + (r + from_r).sigmoid() * from_n).tanh() + keep * hidden, cell
    i, f, g, o = (seen + kept).split(HIDDEN)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def score(layer, memory, provisional):
    """(S2) for one memory of one example."""
    scorer = layer.scorer
    if hasattr(scorer, "score"):
        mixed = scorer.memory.weight @ memory + scorer.query.weight @ provisional + scorer.query.bias
        return scorer.score.weight[0] @ mixed.tanh()
    both = torch.cat([scorer.query_weight, scorer.memory_weight])
    return both @ torch.cat([provisional, memory]).tanh()


def weigh(scores, top_k, normaliser):
    """(S3) for one example, on a list of numbers."""
    ranked = sorted(scores, key=torch.Tensor.item, reverse=True)
    if top_k is None or len(scores) <= top_k:
        mass = [a.exp() for a in scores]
    elif normaliser == "softmax":
        mass = [a.exp() if any(a is best for best in ranked[:top_k]) else 0 * a for a in scores]
    else:
        mass = [(a - ranked[top_k]).clamp(min=0) for a in scores]
    return [share / sum(mass) for share in mass]


def one_example(layer, sequence, truncation, top_k, normaliser, memory_every, mental_updates, temperature=1.0, **_):
    """(S1) to (S5) for one example: its outputs (time, 2 hidden) and its weights, a list for each step."""
    hidden = cell = sequence.new_zeros(HIDDEN)
    memories, outputs, weights = [], [], []
    for step, x in enumerate(sequence, start=1):
        if truncation and (step - 1) % truncation == 0:
            hidden, cell = hidden.detach(), cell.detach()
        before = hidden, cell
        provisional, cell = gates(layer, x, hidden, cell)
        alpha = weigh([score(layer, memory, provisional) / temperature for memory in memories], top_k, normaliser)
        summary = sum((a * m for a, m in zip(alpha, memories, strict=True)), torch.zeros_like(provisional))
        hidden = provisional + summary
        outputs.append(torch.cat([hidden, summary]))
        weights.append([a.item() for a in alpha])
        if step % memory_every == 0:
            own_cell = gates(layer, x, before[0].detach(), before[1].detach())[0] + summary.detach()
            memories.append(hidden if mental_updates else own_cell)
    return torch.stack(outputs), weights


def gradients(layer, inputs, outputs, payoff):
    return torch.autograd.grad((outputs * payoff).sum(), [inputs, *layer.parameters()], allow_unused=True)


def same(left, right, tolerance=1e-10):
    for mine, yours in zip(left, right, strict=True):
        mine, yours = (torch.zeros(()) if each is None else each for each in (mine, yours))
        torch.testing.assert_close(*torch.broadcast_tensors(mine.double(), yours.double()), rtol=1e-8, atol=tolerance)


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_outputs_weights_and_gradients_are_those_of_a_loop_over_examples(options, float64):
    layer, inputs, payoff = (
        make(**options),
        float64(TIME, BATCH, INPUT).requires_grad_(),
        float64(TIME, BATCH, 2 * HIDDEN),
    )
    answer = layer(inputs)
    examples = [one_example(layer, inputs[:, b], **options) for b in range(BATCH)]
    outputs = torch.stack([each for each, _ in examples], dim=1)
    torch.testing.assert_close(answer.outputs, outputs, rtol=0, atol=1e-12)
    for b, (_, weights) in enumerate(examples):
        for shown, expected in zip(answer.trace["attention"].to_dense()[:, b].tolist(), weights, strict=True):
            assert shown == pytest.approx(expected + [0.0] * (len(shown) - len(expected)), abs=1e-12)
    if options["top_k"] != 1 or options["normaliser"] != "subtract":  # 0/0 in the loop's gradient is not what is tested
        same(gradients(layer, inputs, answer.outputs, payoff), gradients(layer, inputs, outputs, payoff))


FORMS = pytest.mark.parametrize("form", ["graph", "replay"])


@FORMS
@pytest.mark.parametrize("kind", KINDS)
def test_without_cuts_and_with_dense_attention_the_gradient_is_that_of_plain_bptt(kind, form, float64):
    """`one_example` with no truncation has no detach on its way."""
    dense = dict(top_k=None, memory_every=2, kind=kind, form=form)
    inputs, payoff = float64(TIME, BATCH, INPUT).requires_grad_(), float64(TIME, BATCH, 2 * HIDDEN)
    for truncation in (TIME, TIME + 4, None):
        layer = make(truncation=truncation, **dense)
        plain = dict(truncation=None, top_k=None, normaliser="subtract", memory_every=2, mental_updates=True)
        outputs = torch.stack([one_example(layer, inputs[:, b], **plain)[0] for b in range(BATCH)], dim=1)
        same(gradients(layer, inputs, layer(inputs).outputs, payoff), gradients(layer, inputs, outputs, payoff))
    cut = make(truncation=TIME - 1, **dense)
    uncut = make(truncation=None, **dense)
    uncut.load_state_dict(cut.state_dict())
    torch.testing.assert_close(cut(inputs).outputs, uncut(inputs).outputs)
    with pytest.raises(AssertionError):
        same(
            gradients(cut, inputs, cut(inputs).outputs, payoff), gradients(uncut, inputs, uncut(inputs).outputs, payoff)
        )


@FORMS
def test_the_gradient_is_that_of_finite_differences(form, float64):
    layer, inputs = make(truncation=None, top_k=2, memory_every=1, form=form), float64(6, 2, INPUT).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: layer(x).outputs, inputs)


@FORMS
@pytest.mark.parametrize("normaliser", ["subtract", "softmax"])
def test_no_example_affects_another(normaliser, form, float64):
    layer = make(top_k=2, truncation=3, normaliser=normaliser, form=form)
    inputs, order = float64(TIME, 5, INPUT).requires_grad_(), torch.tensor([3, 0, 4])
    whole, part = layer(inputs), layer(inputs[:, order])
    torch.testing.assert_close(part.outputs, whole.outputs[:, order], rtol=0, atol=1e-14)
    torch.testing.assert_close(
        part.trace["attention"].to_dense(), whole.trace["attention"].to_dense()[:, order], rtol=0, atol=1e-14
    )
    (gradient,) = torch.autograd.grad(whole.outputs[:, 3].square().sum(), inputs)
    assert gradient[:, 3].abs().max() > 0
    assert (gradient[:, [0, 1, 2, 4]] == 0).all()
    (alone,) = torch.autograd.grad(layer(inputs[:, 3:4]).outputs.square().sum(), inputs)
    torch.testing.assert_close(gradient, alone, rtol=0, atol=1e-13)


@pytest.mark.parametrize("cut", [3, 4])
@pytest.mark.parametrize(
    "options", [o for o in OPTIONS if o["top_k"] == 2 or (o["top_k"] == 3 and o["memory_every"] == 2)], ids=name
)
def test_two_calls_on_two_parts_equal_one_call(options, cut, float64):
    """The grid of cuts goes on from state.steps, so the gradients agree wherever the sequence is parted."""
    layer, inputs, payoff = (
        make(**options),
        float64(TIME, BATCH, INPUT).requires_grad_(),
        float64(TIME, BATCH, 2 * HIDDEN),
    )
    whole, first = layer(inputs), layer(inputs[:cut])
    second = layer(inputs[cut:], first.state)
    assert first.state.steps == cut
    assert second.state.steps == TIME
    outputs = torch.cat([first.outputs, second.outputs])
    torch.testing.assert_close(outputs, whole.outputs, rtol=0, atol=1e-13)
    torch.testing.assert_close(
        second.trace["attention"].to_dense(), whole.trace["attention"].to_dense()[cut:], rtol=0, atol=1e-13
    )
    same(gradients(layer, inputs, outputs, payoff), gradients(layer, inputs, whole.outputs, payoff))


def test_a_state_can_be_used_twice(float64):
    layer, inputs = make(), float64(TIME, BATCH, INPUT)
    state = layer(inputs).state
    torch.testing.assert_close(layer(inputs, state).outputs, layer(inputs, state).outputs, rtol=0, atol=0)


@pytest.mark.parametrize("mental_updates", [True, False])
def test_mental_updates_change_the_gradient_and_not_the_answer(mental_updates, float64):
    layer, other = make(mental_updates=mental_updates), make(mental_updates=not mental_updates)
    other.load_state_dict(layer.state_dict())
    inputs = float64(TIME, BATCH, INPUT).requires_grad_()
    torch.testing.assert_close(layer(inputs).outputs, other(inputs).outputs, rtol=0, atol=1e-14)
    mine, yours = (torch.autograd.grad(each(inputs).outputs.sum(), inputs)[0] for each in (layer, other))
    assert not torch.allclose(mine, yours)


@FORMS
@pytest.mark.parametrize("normaliser", ["subtract", "softmax"])
def test_top_k_of_one_gives_the_scorer_no_gradient(normaliser, form, float64):
    inputs = float64(TIME, BATCH, INPUT)
    for top_k in (1, 2):
        layer = make(top_k=top_k, memory_every=1, normaliser=normaliser, form=form)
        layer(inputs).outputs.square().sum().backward()
        largest = max(parameter.grad.abs().max() for parameter in layer.scorer.parameters())
        assert (largest < 1e-13) == (top_k == 1)


@pytest.mark.parametrize("normaliser", ["subtract", "softmax"])
@pytest.mark.parametrize("top_k", [2, 5])
def test_the_released_scorer_ignores_the_present_state_and_the_mlp_does_not(normaliser, top_k, float64):
    """Five memories: more than two, or as many as five. A softmax, too, is blind to what all scores share."""
    states = float64(BATCH, 5, HIDDEN)
    for kind in KINDS:
        layer = make(kind, top_k=top_k, normaliser=normaliser)
        with torch.no_grad():
            for parameter in layer.scorer.parameters():
                parameter.normal_()
        keys = torch.stack([layer.scorer.key(memory) for memory in states.unbind(1)], 1)
        memories = Memories(states, keys)
        here, there = (layer.remind(provisional, memories)[1] for provisional in float64(2, BATCH, HIDDEN))
        assert torch.allclose(here, there, rtol=0, atol=1e-12) == (kind == "released")


def test_the_summary_is_added_to_h_and_never_to_c(float64):
    """With the recurrent weights at zero and no forgetting, c is the sum of what the inputs alone let in."""
    layer, inputs = make(memory_every=1), float64(TIME, BATCH, INPUT)
    with torch.no_grad():
        layer.cell.weight_hh.zero_()
        layer.cell.weight_ih[HIDDEN : 2 * HIDDEN] = 0
        layer.cell.bias_ih[HIDDEN : 2 * HIDDEN] = 100
    i, _, g, _ = (inputs @ layer.cell.weight_ih.T + layer.cell.bias_ih + layer.cell.bias_hh).split(HIDDEN, dim=2)
    torch.testing.assert_close(layer(inputs).state.cell, (i.sigmoid() * g.tanh()).sum(0))


@pytest.mark.parametrize("every", [1, 2, 4])
def test_a_memory_is_the_state_after_the_reminding_of_every_so_many_steps(every, float64):
    answer = make(memory_every=every)(float64(TIME, BATCH, INPUT))
    torch.testing.assert_close(answer.state.memories, answer.outputs[every - 1 :: every, :, :HIDDEN], rtol=0, atol=0)
    assert not answer.trace["attention"].requires_grad
    assert (answer.cost == 0).all()


@pytest.mark.parametrize(
    "options",
    [{"top_k": 0}, {"truncation": 0}, {"memory_every": 0}, {"cell": "relu"}, {"normaliser": "sum"}, {"form": "fast"}],
)
def test_bad_options_are_refused_in_one_sentence(options):
    with pytest.raises(ValueError, match=rf"^{next(iter(options))} is .*; it must be [^.]*\.$"):
        make(**options)
