"""Sparse replay against the definition: the same answers and gradients, less kept, and only the windows with credit."""

from itertools import product

import pytest
import torch

from companion.mechanisms import SparseAttentiveBacktracking
from companion.mechanisms.replay.scorers import MLPReplay

INPUT, HIDDEN, BATCH, TIME = 2, 4, 3, 13  # 13 steps leave a ragged last window
GRID = list(
    product(("mlp", "released"), ("subtract", "softmax"), (None, 1, 3), (None, 1, 3, 5), (1, 2, 7), (True, False))
)


def pair(scorer, normaliser, top_k, truncation, every, mental, dtype=torch.float64, size=1.0):
    """The same layer in both forms."""
    options = dict(scorer=scorer, normaliser=normaliser, top_k=top_k, truncation=truncation)
    options |= dict(memory_every=every, mental_updates=mental)
    layers = [
        SparseAttentiveBacktracking(INPUT, HIDDEN, **options, form=form).to(dtype) for form in ("graph", "replay")
    ]
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


@pytest.mark.parametrize("scorer", ["mlp", "released"])
@pytest.mark.parametrize("normaliser", ["subtract", "softmax"])
def test_float32_agrees_to_rounding(scorer, normaliser):
    inputs = torch.randn(TIME, BATCH, INPUT, requires_grad=True)
    results = []
    for layer in pair(scorer, normaliser, 2, 3, 2, True, torch.float32):
        outputs = layer(inputs).outputs
        results.append([outputs, *gradients(layer, inputs, outputs.square().sum())])
    close(results[1], results[0], 1e-4)


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 41.5), (torch.float64, 350)])
def test_a_key_and_a_query_that_cancel_are_added_as_by_tanh(dtype, most):
    """(R5), of W₁ m_i = x and W₂ ĥ + b = y − x, where tanh y is steep though neither of the two is small.

    Almost as far as the number type goes: e^(2 · 44.4) is the largest power in single precision.
    """
    y = torch.tensor([-1.5, -0.2, 0.0, 0.7], dtype=dtype)
    x, y = torch.meshgrid(torch.linspace(-most, most, 87, dtype=dtype), y, indexing="ij")
    eye, zeros = torch.eye(4, dtype=dtype), torch.zeros(4, dtype=dtype)
    scorer = MLPReplay(eye, eye, zeros, torch.ones(1, 4, dtype=dtype))
    entries = scorer.entry(x).unsqueeze(1)  # one memory a row
    r = scorer.inner(entries, y - x).squeeze(1)
    torch.testing.assert_close(1 - 2 * r, y.tanh(), rtol=0, atol=2e-5 if dtype == torch.float32 else 1e-12)
    out = torch.empty(len(x), dtype=dtype)
    scorer.scores(entries.transpose(0, 1), y - x, torch.empty_like(entries.transpose(0, 1)), out)
    expected = y.tanh().sum(1) - 4  # a score counts up to a constant
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-4 if dtype == torch.float32 else 1e-11)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_key_and_a_query_beyond_the_number_type_are_cut_and_not_undefined(sign):
    """Both exponentials would leave the type, one to 0 and one to ∞, whose product is no number."""
    scorer = MLPReplay(torch.eye(2), torch.eye(2), torch.zeros(2), torch.ones(1, 2))
    entries = scorer.entry(torch.full((1, 2), sign * 1e3)).unsqueeze(1)
    for query in (-sign * 1e3, sign * 1e3, 0.0):
        assert scorer.inner(entries, torch.full((1, 2), query)).isfinite().all()


def test_scores_that_saturate_stay_numbers():
    """Weights of up to ±300: the exponentials overflow, and 0 · ∞ would be NaN."""
    layer = pair("mlp", "subtract", 2, 3, 2, True, torch.float32, size=300.0)[1]
    inputs = torch.randn(TIME, BATCH, INPUT, requires_grad=True)
    outputs = layer(inputs).outputs
    assert all(each.isfinite().all() for each in [outputs, *gradients(layer, inputs, outputs.sum())])


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
