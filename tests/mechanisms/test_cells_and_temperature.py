"""Sparse Attentive Backtracking with other cells, at other temperatures, and differentiated twice."""

import pytest
import torch
from torch import nn

from companion.baselines import SelfAttentiveLSTM
from companion.mechanisms import FastWeights, SparseAttentiveBacktracking, fast_weights, sparsify

STEPS, BATCH, INPUT, HIDDEN = 11, 3, 2, 4


def make(form="graph", **options):
    torch.manual_seed(1)
    settings = {"top_k": 2, "truncation": 3, "memory_every": 2, "form": form} | options
    return SparseAttentiveBacktracking(INPUT, HIDDEN, **settings).double()


@pytest.mark.parametrize("kind", ["gru", "rnn"])
def test_another_cell_takes_the_place_of_the_lstm(kind, float64):
    """(S1) to (S5) written out for a recurrence whose state is h alone."""
    layer, inputs = make("auto", cell=kind), float64(STEPS, BATCH, INPUT)
    cell = {"gru": nn.GRUCell, "rnn": nn.RNNCell}[kind](INPUT, HIDDEN).double()
    cell.load_state_dict(layer.cell.state_dict())
    w1, w2, b, w3 = (getattr(part, name) for part, name in layer.scorer.weights())
    expected, remembered, hidden = [], [], torch.zeros(BATCH, HIDDEN, dtype=torch.float64)
    for t, x in enumerate(inputs):
        provisional, summary = cell(x, hidden), torch.zeros_like(hidden)
        if remembered:
            scores = [torch.tanh(m @ w1.T + provisional @ w2.T + b) @ w3[0] for m in remembered]
            weights = sparsify(torch.stack(scores, 1), 2)
            summary = sum(weights[:, [i]] * m for i, m in enumerate(remembered))
        hidden = provisional + summary
        expected.append(torch.cat([hidden, summary], 1))
        if t % 2:
            remembered.append(hidden)
    torch.testing.assert_close(layer(inputs).outputs, torch.stack(expected), rtol=0, atol=1e-12)
    assert layer.form == "graph"
    assert layer(inputs).state.cell is None


@pytest.mark.parametrize("kind", ["gru", "rnn"])
@pytest.mark.parametrize("mental_updates", [True, False])
def test_another_cell_is_cut_where_the_lstm_is(kind, mental_updates, float64):
    """Of an answer, credit goes to the steps of its window and, through memories, to the windows of these."""
    layer = make("auto", cell=kind, top_k=1, memory_every=100, truncation=3, mental_updates=mental_updates)
    inputs = float64(9, BATCH, INPUT).requires_grad_()
    (found,) = torch.autograd.grad(layer(inputs).outputs[7].sum(), inputs)
    assert [bool(each.any()) for each in found] == [False] * 6 + [True, True, False]


def test_a_cell_is_one_of_three_and_replay_is_of_an_lstm(sentence):
    for options in ({"cell": "tree"}, {"cell": "gru", "form": "replay"}):
        with pytest.raises(ValueError, match="it must be") as caught:
            SparseAttentiveBacktracking(INPUT, HIDDEN, **options)
        sentence(caught)


def test_a_temperature_cancels_in_the_rule_of_the_paper(float64):
    """(S3) subtracts a score and divides by the sum of the rest: it does not know of scale."""
    scores = float64(5, 9)
    for temperature in (0.01, 0.5, 30.0):
        torch.testing.assert_close(sparsify(scores, 3, temperature=temperature), sparsify(scores, 3))
        softened = sparsify(scores, 3, "softmax", temperature)
        assert not torch.allclose(softened, sparsify(scores, 3, "softmax"))
        torch.testing.assert_close(softened, sparsify(scores / temperature, 3, "softmax"))


def test_the_colder_the_fewer():
    scores = torch.tensor([[3.0, 2.0, 1.0]])
    assert sparsify(scores, None, temperature=0.01).max() == pytest.approx(1)
    torch.testing.assert_close(sparsify(scores, None, temperature=1e6), torch.full((1, 3), 1 / 3), rtol=0, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.3, 4.0])
@pytest.mark.parametrize("normaliser", ["subtract", "softmax"])
@pytest.mark.parametrize("top_k", [2, None])
def test_both_forms_have_the_temperature(temperature, normaliser, top_k, float64):
    options = {"temperature": temperature, "normaliser": normaliser, "top_k": top_k}
    layers, inputs = [make(form, **options) for form in ("replay", "graph")], float64(STEPS, BATCH, INPUT)
    found = []
    for layer in layers:
        outputs = layer(inputs).outputs
        found.append([outputs, *torch.autograd.grad(outputs.square().sum(), list(layer.parameters()))])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_above_nothing(temperature, sentence, as_users_run_it):
    with pytest.raises(ValueError, match="temperature is") as caught:
        SparseAttentiveBacktracking(INPUT, HIDDEN, temperature=temperature)
    sentence(caught)


@pytest.mark.parametrize("options", [{}, {"mental_updates": False}, {"top_k": None, "temperature": 0.5}], ids=str)
def test_the_second_derivative_of_the_replay_is_that_of_the_graph(options, float64):
    layers, found = [make(form, **options) for form in ("replay", "graph")], []
    inputs, earlier = float64(2, 7, BATCH, INPUT).requires_grad_()
    for layer in layers:
        state = layer(earlier).state  # so that a state is differentiated, too
        outputs = layer(inputs, state).outputs
        slopes = torch.autograd.grad(outputs.square().sum(), [inputs, *layer.parameters()], create_graph=True)
        penalty = sum(slope.square().sum() for slope in slopes)
        found.append(torch.autograd.grad(penalty, [inputs, earlier, *layer.parameters()]))
    for one, other in zip(*found, strict=True):
        assert one.abs().sum() > 0
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("top_k", [1, None])
def test_what_a_state_is_owed_may_lie_in_memory_as_it_likes(top_k, float64):
    """The gradient of the memories comes from the caller; here it is a transposed tensor."""
    inputs, found = float64(STEPS, BATCH, INPUT).requires_grad_(), []
    owed = float64(BATCH, STEPS // 2, HIDDEN).transpose(0, 1)
    for form in ("replay", "graph"):
        memories = make(form, top_k=top_k)(inputs).state.memories
        found.append(torch.autograd.grad(memories, inputs, owed)[0])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-11)


def test_dense_attention_is_kept_as_it_is(float64):
    torch.manual_seed(0)
    layers, inputs = [SelfAttentiveLSTM(INPUT, HIDDEN).double() for _ in range(2)], float64(STEPS, BATCH, INPUT)
    layers[1].load_state_dict(layers[0].state_dict())
    layers[1].form = "graph"
    replayed, plain = (layer(inputs).trace["attention"].to_dense() for layer in layers)
    torch.testing.assert_close(replayed, plain, rtol=0, atol=1e-12)
    assert not layers[0](inputs).trace["attention"].is_sparse


def test_dense_attention_that_is_owed_something_for_some_examples(float64):
    """Those of the others are left out of the walk."""
    layers = [make(form, top_k=None, truncation=4) for form in ("replay", "graph")]
    inputs, found = float64(STEPS, BATCH, INPUT).requires_grad_(), []
    for layer in layers:
        loss = layer(inputs).outputs[-1, 1].square().sum()
        found.append(torch.autograd.grad(loss, [inputs, *layer.parameters()]))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("numbers", [1, HIDDEN * BATCH * 2, 10**6])
@pytest.mark.parametrize("top_k", [2, None])
def test_how_many_memories_are_taken_at_a_time_does_not_matter(numbers, top_k, float64, monkeypatch):
    from companion.mechanisms.replay import choice

    inputs = float64(STEPS, BATCH, INPUT)
    expected = make(top_k=top_k)(inputs).outputs
    monkeypatch.setattr(choice.Cache, "numbers", numbers)
    layer = make("replay", top_k=top_k)
    outputs = layer(inputs).outputs
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)
    outputs.square().sum().backward()
    other = make(top_k=top_k)
    other(inputs).outputs.square().sum().backward()
    for one, two in zip(layer.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("few", [0, 4, 100])
def test_a_long_history_is_read_as_a_short_one(few, float64, monkeypatch):
    """Beyond a few states no copies of them are kept; neither outputs nor gradients know of it."""
    torch.manual_seed(0)
    layer, inputs = FastWeights(INPUT, HIDDEN, form="attention").double(), float64(9, BATCH, INPUT).requires_grad_()
    matrix = FastWeights(INPUT, HIDDEN, form="matrix").double()
    matrix.load_state_dict(layer.state_dict())
    monkeypatch.setattr(fast_weights, "FEW", few)
    found = []
    for each in (layer, matrix):
        outputs = each(inputs).outputs
        first = torch.autograd.grad(outputs.square().sum(), [inputs, *each.parameters()], create_graph=True)
        second = torch.autograd.grad(sum(slope.square().sum() for slope in first), inputs)
        found.append([outputs, *first, *second])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


def test_the_attention_form_keeps_the_states_and_no_square_of_them():
    """t·R numbers, beyond the few of which copies are kept: twice the steps keep about twice as much."""

    def kept(steps):
        layer, sizes = FastWeights(1, 8, form="attention"), {}
        remember = lambda each: sizes.setdefault(each.untyped_storage().data_ptr(), each) is None or each  # noqa: E731
        with torch.autograd.graph.saved_tensors_hooks(remember, lambda each: each):
            layer(torch.randn(steps, 2, 1)).outputs.sum()
        return sum(each.untyped_storage().nbytes() for each in sizes.values())

    short, middle, long = kept(100), kept(200), kept(300)
    assert (long - middle) < 1.3 * (middle - short)


def test_a_sequence_without_a_memory_is_differentiated_twice(float64):
    layer, inputs = make("replay", memory_every=100), float64(2, BATCH, INPUT).requires_grad_()
    outputs = layer(inputs).outputs
    (slope,) = torch.autograd.grad(outputs.square().sum(), inputs, create_graph=True)
    assert torch.autograd.grad(slope.square().sum(), inputs)[0].abs().sum() > 0


def test_a_subclass_that_changes_an_equation_is_not_replayed(float64):
    """The replay would not know of it."""

    class Hard(SparseAttentiveBacktracking):
        def weigh(self, scores):
            return nn.functional.one_hot(scores.argmax(1), scores.shape[1]).to(scores) if scores.numel() else scores

    torch.manual_seed(1)
    layer, inputs = Hard(INPUT, HIDDEN, 2, 3, 1).double(), float64(STEPS, BATCH, INPUT)
    attention = layer(inputs).trace["attention"].to_dense()
    assert set(attention.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("few", [0, 100])
def test_a_long_history_has_a_forward_derivative(few, float64, monkeypatch):
    monkeypatch.setattr(fast_weights, "FEW", few)
    torch.manual_seed(0)
    layer, (inputs, along) = FastWeights(INPUT, HIDDEN, form="attention").double(), float64(2, 5, BATCH, INPUT)
    _, found = torch.func.jvp(lambda x: layer(x).outputs, (inputs,), (along,))
    step = 1e-6
    expected = (layer(inputs + step * along).outputs - layer(inputs - step * along).outputs) / (2 * step)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
