"""Half precision and autocast: every layer runs, forms agree, and what is summed up adds up."""

import math

import pytest
import torch
from every_layer import INPUT, LAYERS, step_of
from torch import nn

from companion.mechanisms import AdaptiveComputation, FastWeights, sparsify
from companion.mechanisms.fast_weights import HistoryMemory, MatrixMemory
from companion.mechanisms.halting import halting_distribution

BF16 = torch.bfloat16
every = pytest.mark.parametrize("name", LAYERS)


@every
def test_every_layer_learns_under_autocast(name):
    layer, inputs = LAYERS[name](), torch.randn(2 * step_of(name), 4, INPUT)
    with torch.autocast("cpu", BF16):
        torch.manual_seed(0)  # PonderNet draws
        answer = layer(inputs)
        loss = answer.outputs.float().square().sum() + answer.cost.sum()
    loss.backward()
    torch.manual_seed(0)
    assert all(each.grad is not None and each.grad.isfinite().all() for each in layer.parameters())
    torch.testing.assert_close(answer.outputs.float(), layer(inputs).outputs, rtol=0.1, atol=0.1)


@every
@pytest.mark.parametrize("dtype", [BF16, torch.float16], ids=str)
def test_every_layer_learns_in_half_precision(name, dtype):
    layer, inputs = LAYERS[name]().to(dtype), torch.randn(2 * step_of(name), 4, INPUT).to(dtype)
    answer = layer(inputs)
    assert answer.outputs.dtype == dtype
    assert answer.cost.dtype == torch.float32
    (answer.outputs.float().square().sum() + answer.cost.sum()).backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in layer.parameters())
    second = layer(inputs, answer.state) if answer.state is not None else answer
    assert second.outputs.dtype == dtype


@every
def test_double_precision_stays_exact(name, float64):
    layer, inputs = LAYERS[name](dtype=torch.float64), float64(6, 2, INPUT)
    answer = layer(inputs)
    assert answer.outputs.dtype == answer.cost.dtype == torch.float64


@pytest.mark.parametrize(
    ("one", "other"),
    [("ACT, lstm", "ACT, plain"), ("fast weights, attention", "fast weights"), ("SAB", "SAB, graph")],
)
def test_forms_agree_under_autocast(one, other):
    layers = []
    for name in (one, other):
        torch.manual_seed(0)
        layers.append(LAYERS[name]())
    inputs = torch.randn(6, 4, INPUT)
    with torch.autocast("cpu", BF16):
        first, second = (layer(inputs) for layer in layers)
    torch.testing.assert_close(first.outputs.float(), second.outputs.float(), rtol=0.02, atol=0.02)
    torch.testing.assert_close(first.cost, second.cost, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("form", ["plain", "fast"])
def test_the_cost_of_a_long_sequence_adds_up(form):
    """In bfloat16 256 + 1 is 256, and a sum of 4,500 stands still at 1,024."""
    torch.manual_seed(0)
    layer, inputs = AdaptiveComputation(1, 8, time_penalty=1.0, form=form), torch.randn(2000, 2, 1)
    with torch.no_grad():
        cost = layer(inputs).cost
        with torch.autocast("cpu", BF16):
            torch.testing.assert_close(layer(inputs).cost, cost, rtol=2e-3, atol=0)
        torch.testing.assert_close(layer.to(BF16)(inputs.to(BF16)).cost, cost, rtol=2e-3, atol=0)
    assert cost.min() > 4000


@pytest.mark.parametrize("form", ["plain", "fast"])
def test_a_small_halting_unit_is_counted_to_the_end(form):
    """b_h = −8 and W_h = 0: N = ⌈(1 − ε) / σ(−8)⌉, and p sums to one."""
    layer = AdaptiveComputation(1, 2, "rnn", max_steps=5000, halting_bias=-8.0, form=form)
    nn.init.zeros_(layer.halt.weight)
    expected = math.ceil(0.99 * (1 + math.exp(8)))
    with torch.no_grad():
        trace = layer.to(BF16)(torch.zeros(1, 2, 1, dtype=BF16)).trace
    assert (trace["ponder_steps"] - expected).abs().max() <= 3
    torch.testing.assert_close(trace["halting"].sum(1), torch.ones(1, 2))


def test_the_halting_distribution_of_half_precision_sums_to_one():
    halting = halting_distribution(torch.full((4000, 1), 0.00034, dtype=BF16), 0.01)
    assert halting.probabilities.sum() == pytest.approx(1, abs=1e-4)
    assert halting.steps.item() == math.ceil(0.99 / torch.tensor(0.00034, dtype=BF16).item())
    assert halting.probabilities.min() >= 0


@pytest.mark.parametrize("kind", ["matrix", "history"])
@pytest.mark.parametrize(("decay", "steps"), [(0.999, 1000), (0.99, 100), (0.9, 20)])
def test_what_was_written_fades_by_the_decay(kind, decay, steps):
    """One write of a state of ones, then silence: λ^steps is left."""
    memory = MatrixMemory(torch.zeros(1, 3, 3), decay, 1.0) if kind == "matrix" else HistoryMemory((), decay, 1.0)
    memory = memory.write(torch.ones(1, 3, dtype=BF16))
    for _ in range(steps):
        memory = memory.write(torch.zeros(1, 3, dtype=BF16))
    read = memory.read(torch.tensor([[1.0, 0.0, 0.0]], dtype=BF16))
    torch.testing.assert_close(read, torch.full((1, 3), decay**steps, dtype=BF16), rtol=5e-3, atol=0)


def test_the_layer_keeps_its_matrix_in_single_precision():
    layer = FastWeights(INPUT, 4, form="matrix").to(BF16)
    assert layer(torch.randn(3, 2, INPUT).to(BF16)).state.memory.matrix.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, BF16], ids=str)
def test_scores_that_tie_in_half_precision_share_the_weight(dtype):
    weights = sparsify(torch.tensor([[1.0, 1.0, 1.0, 1.0, 0.0]]).to(dtype), 2)
    assert weights.dtype == dtype
    assert sorted(weights[0].tolist()) == [0, 0, 0, 0.5, 0.5]


@pytest.mark.parametrize("dtype", [torch.float32, BF16], ids=str)
@pytest.mark.parametrize("far", [1.0, 30.0, 50.0, 200.0])
def test_scores_of_any_size_are_those_of_the_graph(far, dtype):
    """W₁ m = far and W₂ ĥ + b = 5 − far: neither exponential may be a number, and tanh is that of 5."""
    layers = []
    for name in ("SAB", "SAB, graph"):
        torch.manual_seed(0)
        layers.append(LAYERS[name]())
        scorer = layers[-1].scorer
        with torch.no_grad():
            scorer.memory.weight.mul_(far)
            scorer.query.weight.mul_(far)
            scorer.query.bias.sub_(far)
    inputs = (0.5 * torch.randn(12, 4, INPUT)).to(dtype)
    found = []
    for layer in layers:
        answer = layer.to(dtype)(inputs)
        answer.outputs.float().square().sum().backward()
        found.append([answer.outputs, *(weight.grad for weight in layer.parameters())])
    for one, other in zip(*found, strict=True):
        tolerance = 1e-4 if dtype == torch.float32 else 0.1
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance * (1 + other.detach().abs().max().item()))


def test_a_long_memory_is_folded_in_single_precision_under_autocast():
    memory = HistoryMemory(tuple(torch.randn(70, 2, 4)), 0.999, 1.0)
    with torch.autocast("cpu", BF16):
        folded = memory.folded().matrix
    torch.testing.assert_close(folded, memory.folded().matrix, rtol=0, atol=0)


def test_a_half_precise_graph_goes_on_from_the_state_of_a_replay():
    layer, inputs = LAYERS["SAB"]().to(BF16), torch.randn(6, 2, INPUT).to(BF16)
    state = layer(inputs).state
    layer.form = "graph"
    assert layer(inputs, state).outputs.dtype == BF16


def test_a_memory_of_half_precise_states_holds_them_once():
    """In single precision, so that no read makes copies of its own."""
    answer = LAYERS["fast weights, attention"]().to(BF16)(torch.randn(6, 2, INPUT).to(BF16))
    assert {each.dtype for each in answer.state.memory.history} == {torch.float32}
