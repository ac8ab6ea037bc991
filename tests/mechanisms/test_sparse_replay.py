"""Sparse replay against the definition: the same answers and gradients, less kept, and only the windows with credit."""

import math
from itertools import product

import pytest
import torch

from companion.mechanisms import SparseAttentiveBacktracking
from companion.mechanisms.released import ReleasedScores
from companion.mechanisms.replay.choice import Cache
from companion.mechanisms.replay.scorers import MLPReplay, SumReplay

KINDS = {"mlp": SparseAttentiveBacktracking, "released": ReleasedScores}  # by the scorer
INPUT, HIDDEN, BATCH, TIME = 2, 4, 3, 13  # 13 steps leave a ragged last window
GRID = list(product(KINDS, ("subtract", "softmax"), (None, 1, 3), (None, 1, 3, 5), (1, 2, 7), (True, False)))


def pair(kind, normaliser, top_k, truncation, every, mental, dtype=torch.float64, size=1.0):
    """The same layer in both forms."""
    options = dict(normaliser=normaliser, top_k=top_k, truncation=truncation)
    options |= dict(memory_every=every, mental_updates=mental)
    layers = [KINDS[kind](INPUT, HIDDEN, **options, form=form).to(dtype) for form in ("graph", "replay")]
    with torch.no_grad():
        for parameter in layers[0].parameters():
            parameter.uniform_(-size, size)
    layers[1].load_state_dict(layers[0].state_dict())
    return layers


def gradients(layer, inputs, loss):
    found = torch.autograd.grad(loss, [inputs, *layer.parameters()], allow_unused=True)
    return [
        torch.zeros_like(each) if gradient is None else gradient
        for each, gradient in zip([inputs, *layer.parameters()], found, strict=True)
    ]


def close(mine, definition, relative=1e-9):
    for left, right in zip(mine, definition, strict=True):
        assert (left - right).abs().max() <= relative * (1 + right.abs().max())


def test_scores_that_are_all_equal_have_the_gradient_of_the_definition(float64):
    """With w₃ = 0 all memories tie. The softmax over the first few passes a gradient on to their scores; once there are
    more than `top_k`, (S3) is 0/0, and the weights are equal and constant."""
    inputs, results = float64(TIME, BATCH, INPUT).requires_grad_(), []
    for layer in pair("mlp", "subtract", 2, 3, 2, True):
        torch.nn.init.zeros_(layer.scorer.score.weight)
        outputs = layer(inputs).outputs
        results.append([outputs, *gradients(layer, inputs, outputs.square().sum())])
    close(results[1], results[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normaliser", ["subtract", "softmax"])
def test_float32_agrees_to_rounding(kind, normaliser):
    inputs = torch.randn(TIME, BATCH, INPUT, requires_grad=True)
    results = []
    for layer in pair(kind, normaliser, 2, 3, 2, True, torch.float32):
        outputs = layer(inputs).outputs
        results.append([outputs, *gradients(layer, inputs, outputs.square().sum())])
    close(results[1], results[0], 1e-4)


@pytest.mark.parametrize(
    ("kind", "dtype", "most"),
    [(MLPReplay, torch.float32, 32), (MLPReplay, torch.float64, 333), (SumReplay, torch.float32, 5e3)],
)
def test_a_key_and_a_query_that_cancel_are_added_as_by_tanh(kind, dtype, most):
    """(R5), of W₁ m_i = x and W₂ ĥ + b = y − x, where tanh y is steep though neither of the two is small.

    Almost as far as the exponentials serve. The sum goes further.
    """
    y = torch.tensor([-1.5, -0.2, 0.0, 0.7], dtype=dtype)
    x, y = torch.meshgrid(torch.linspace(-most, most, 87, dtype=dtype), y, indexing="ij")
    query, found = y - x, y if kind is MLPReplay else x + (y - x)  # what is left of y beside so large an x
    eye, zeros = torch.eye(4, dtype=dtype), torch.zeros(4, dtype=dtype)
    scorer = kind(eye, eye, zeros, torch.ones(1, 4, dtype=dtype))
    entries = scorer.entry(x)
    r = scorer.inner(entries, scorer.query(query))
    torch.testing.assert_close(1 - 2 * r, found.tanh(), rtol=0, atol=2e-5 if dtype == torch.float32 else 1e-12)
    out = torch.empty(1, len(x), dtype=dtype)
    scorer.scores(entries.unsqueeze(0), query, 1, out)
    expected = found.tanh().sum(1) - 4  # a score counts up to a constant
    torch.testing.assert_close(out[0], expected, rtol=0, atol=1e-4 if dtype == torch.float32 else 1e-11)
    assert scorer.told_apart


@pytest.mark.parametrize("some", [1, 2, 5, 7, 1000])
@pytest.mark.parametrize("kind", [MLPReplay, SumReplay])
def test_memories_are_scored_some_at_a_time_with_the_same_scores(kind, some, float64, monkeypatch):
    """As the bank fills up; what is not yet in it is no number, and matters to no score."""
    monkeypatch.setattr(Cache, "numbers", some * BATCH * HIDDEN)
    w1, w2, b, w3 = float64(HIDDEN, HIDDEN), float64(HIDDEN, HIDDEN), float64(HIDDEN), float64(1, HIDDEN)
    memories, provisional = float64(7, BATCH, HIDDEN), float64(BATCH, HIDDEN)
    expected = (memories @ w1.T + provisional @ w2.T + b).tanh() @ w3[0] - w3.sum()
    scorer, bank, out = kind(w1, w2, b, w3), torch.full_like(memories, math.nan), float64(7, BATCH)
    for known in (1, 2, 4, 7):
        bank[:known] = scorer.entry(memories[:known])
        scorer.scores(bank, provisional, known, out)
        torch.testing.assert_close(out[:known], expected[:known], rtol=0, atol=1e-12)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 34.3), (torch.float64, 334.8)])
def test_a_query_beyond_the_exponentials_is_noticed(dtype, most, sign):
    """e^(2 · 44.4) is the largest power in single precision; tanh is flat from 9 on, in double from 19."""
    for size, told_apart in ((most, True), (most + 1, False), (math.nan, False)):
        scorer = MLPReplay(*torch.eye(2, dtype=dtype).expand(2, -1, -1), *torch.zeros(2, 1, 2, dtype=dtype))
        scorer.query(torch.tensor([[0.0, sign * size]], dtype=dtype))
        assert scorer.told_apart == told_apart
        scorer.query(torch.zeros(1, 2, dtype=dtype))
        assert scorer.told_apart == told_apart, "what was met once stays so"


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 34.3), (torch.float64, 334.8)])
def test_a_memory_of_any_size_is_scored_right(dtype, most):
    """What is cut off lies where tanh is flat for every query up to the bound."""
    keys = torch.tensor([0.0, 5.0, most, most + 5, most + 8.9, most + 9.1, most + 20, 1e4, 1e30], dtype=dtype)
    keys, queries = torch.cat([-keys, keys]).unsqueeze(1), torch.linspace(-most, most, 69, dtype=dtype)
    one, zeros = torch.eye(1, dtype=dtype), torch.zeros(1, dtype=dtype)
    for kind in (MLPReplay, SumReplay):
        scorer = kind(one, one, zeros, one)
        r = scorer.inner(scorer.entry(keys), scorer.query(queries.unsqueeze(1)).squeeze(1))
        tolerance = 2e-5 if dtype == torch.float32 else 1e-12  # a query of 34 has 6 digits behind its point
        torch.testing.assert_close(1 - 2 * r, (keys + queries).tanh(), rtol=0, atol=tolerance)
        assert scorer.told_apart


def test_memories_that_have_grown_large_need_no_second_pass(monkeypatch):
    """In a long sequence a state that is read again and again grows; its queries do not."""
    monkeypatch.setattr(SumReplay, "entry", None)
    found, inputs = [], torch.randn(TIME, BATCH, INPUT)
    for layer in pair("mlp", "subtract", 2, 3, 2, True, torch.float32):
        layer.scorer.memory.weight.data.mul_(1000)
        found.append([layer(inputs).outputs])
    close(found[1], found[0], 1e-4)


@pytest.mark.parametrize("normaliser", ["subtract", "softmax"])
def test_scores_that_exponentials_cannot_tell_apart_are_those_of_the_definition(normaliser, float64):
    """Keys and queries of far more than 350: an exponential of 0 times one of ∞ is no number."""
    inputs, found = float64(TIME, BATCH, INPUT).requires_grad_(), []
    for layer in pair("mlp", normaliser, 2, 3, 2, True):
        layer.scorer.memory.weight.data.mul_(1000)
        layer.scorer.query.weight.data.copy_(-layer.scorer.memory.weight)
        answer = layer(inputs)
        found.append([answer.outputs, answer.trace["attention"].to_dense()])
        found[-1] += [*answer.state[:3], *gradients(layer, inputs, answer.outputs.square().sum())]
    assert answer.trace["replayed"].any()
    close(found[1], found[0])


@pytest.mark.parametrize("size", [20.0, 300.0])
def test_weights_of_any_size_give_numbers_in_single_precision(size):
    """Weights of up to ±300: the exponentials overflow, and 0 · ∞ would be NaN."""
    layer = pair("mlp", "subtract", 2, 3, 2, True, torch.float32, size)[1]
    inputs = torch.randn(TIME, BATCH, INPUT, requires_grad=True)
    outputs = layer(inputs).outputs
    assert all(each.isfinite().all() for each in [outputs, *gradients(layer, inputs, outputs.sum())])


def test_a_large_key_and_a_large_query_that_cancel_are_scored_by_their_sum(float64):
    """W₁ m about 50 and W₂ ĥ + b = −45 in single precision: each by itself is beyond what the replay can tell apart."""
    drawn, results = float64(TIME, BATCH, INPUT), []
    for layer in pair("mlp", "softmax", None, 3, 1, True):
        layer.scorer.query.weight.data.zero_()
        layer.scorer.query.bias.data.fill_(-45)
        layer.scorer.memory.weight.data.abs_().mul_(40)
        for inputs in (drawn, drawn.float()):
            answer = layer.to(inputs.dtype)(inputs)
            results.append([answer.outputs.double(), answer.trace["attention"].to_dense().double()])
    weights = results[0][1][-1, :, : TIME - 1]
    assert (weights.amax(1) > 1.5 * weights.amin(1)).all(), "memories differ in their scores"
    for other in results[1:]:
        close(other, results[0], 1e-3)


def test_only_windows_with_credit_are_replayed(float64):
    """Windows of three and a memory every fifth step: step 8 reads the memory of step 4, nothing reads steps 0 to 2."""
    layer = SparseAttentiveBacktracking(INPUT, HIDDEN, top_k=1, truncation=3, memory_every=5).double()
    inputs, cases = float64(9, 4, INPUT), {8: [False, True, True], 4: [False, True, False], 1: [True, False, False]}
    answer = layer(inputs)
    assert not answer.trace["replayed"].any()
    sum(answer.outputs[step, example].sum() for example, step in enumerate(cases)).backward()
    assert answer.trace["replayed"].T.tolist() == [*cases.values(), [False] * 3]


def kept(layer, time):
    """Bytes that the layer keeps from its forward pass for its backward pass."""
    sizes = {}

    def pack(tensor):
        sizes[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        answer = layer(torch.randn(time, 8, 2))
        answer.outputs.sum().backward()
    return sum(sizes.values())


def test_what_is_kept_grows_with_the_sequence_and_not_with_its_square():
    make = {form: SparseAttentiveBacktracking(2, 32, 3, 5, 2, form=form) for form in ("graph", "replay")}
    assert kept(make["replay"], 100) < 0.1 * kept(make["graph"], 100)
    assert kept(make["replay"], 200) < 2.2 * kept(make["replay"], 100)
    assert kept(make["graph"], 200) > 2.8 * kept(make["graph"], 100)


def test_without_gradients_it_only_answers(float64):
    layers, inputs = pair("mlp", "subtract", 2, 3, 2, True), float64(TIME, BATCH, INPUT)
    with torch.no_grad():
        graph, replay = (layer(inputs).outputs for layer in layers)
    assert not replay.requires_grad
    close([replay], [graph])


@pytest.mark.parametrize("options", GRID, ids=lambda options: "-".join(str(value) for value in options))
def test_outputs_states_and_every_gradient_are_those_of_the_definition(options, float64):
    """In one call and in two. The loss weighs all outputs and the state that is handed on, or one output of one example
    and one of another, so that windows are owed to some of the examples only."""
    inputs, payoff = float64(TIME, BATCH, INPUT).requires_grad_(), float64(TIME, BATCH, 2 * HIDDEN)
    rare = torch.zeros_like(payoff)
    rare[12, 0], rare[7, 2] = payoff[12, 0], payoff[7, 2]
    for parts, everything in product(([TIME], [4, 9]), (True, False)):
        results = []
        for layer in pair(*options):
            answers, state = [], None
            for part in inputs.split(parts):
                answers.append(layer(part, state))
                state = answers[-1].state
            outputs = torch.cat([answer.outputs for answer in answers])
            loss = (outputs * (payoff if everything else rare)).sum()
            if everything:
                loss = loss + state.hidden.square().sum() + state.cell.sin().sum() + state.memories.cos().sum()
            attention = answers[-1].trace["attention"].to_dense()
            results.append([outputs, attention, state.memories.sum(0), *gradients(layer, inputs, loss)])
        close(results[1], results[0])
