"""Layers in other people's networks: hooks, transforms, copies, settings, and sizes from elsewhere."""

import copy
import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from every_layer import HIDDEN, INPUT, LAYERS, step_of
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, weight_norm

from companion.baselines import LSTM, PonderNet, Transformer
from companion.mechanisms import AdaptiveComputation, FastWeights, GlimpseFastWeights, SparseAttentiveBacktracking
from companion.mechanisms.replay import scorers
from companion.tasks import Catch, CatchEnv

every = pytest.mark.parametrize("name", LAYERS)


def make(name, seed=0, **options):
    torch.manual_seed(seed)
    return LAYERS[name](dtype=torch.float64, **options)


def weighted(layer):
    """The layer's parts that hold weights of their own, with the names of these."""
    for part in list(layer.modules()):
        names = [name for name, each in part._parameters.items() if each is not None and each.dim() > 0]
        if names and not isinstance(part, nn.MultiheadAttention):
            yield part, names


def pruned(part, name):
    prune.random_unstructured(part, name, 0.5)


def masked(part, name):
    prune.custom_from_mask(part, name, (torch.arange(getattr(part, name).numel()) % 2).view_as(getattr(part, name)))


def halved(part, name):
    class Half(nn.Module):
        def forward(self, weight):
            return weight / 2

    parametrize.register_parametrization(part, name, Half())


def normed(part, name):
    if getattr(part, name).dim() > 1:
        weight_norm(part, name)


def normed_by_parametrisation(part, name):
    if getattr(part, name).dim() > 1:
        parametrizations.weight_norm(part, name)


@pytest.mark.parametrize("change", [masked, halved, normed, normed_by_parametrisation], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("fast", "plain"),
    [("SAB", "SAB, graph"), ("ACT, lstm", "ACT, plain")],
)
def test_a_fast_form_takes_the_weights_that_the_plain_one_takes(fast, plain, change, float64):
    """Whatever makes them; three updates are made, so that what is made anew at each call is."""
    layers, inputs = [make(fast), make(plain)], float64(9, 3, INPUT)
    for layer in layers:
        for part, names in weighted(layer):
            for name in names:
                change(part, name)
    optimisers = [torch.optim.SGD(layer.parameters(), 0.1) for layer in layers]
    for _ in range(3):
        outputs = []
        for layer, optimiser in zip(layers, optimisers, strict=True):
            answer = layer(inputs)
            outputs.append(answer.outputs)
            optimiser.zero_grad()
            (answer.outputs.square().sum() + answer.cost.sum()).backward()
            optimiser.step()
        torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-11)
    for one, other in zip(*(layer.parameters() for layer in layers), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@every
def test_every_layer_learns_on_after_pruning(name, float64):
    layer, inputs = make(name), float64(2 * step_of(name), 3, INPUT)
    for part, names in weighted(layer):
        for each in names:
            pruned(part, each)
    for _ in range(3):
        answer = layer(inputs)
        (answer.outputs.square().sum() + answer.cost.sum()).backward()


@every
def test_every_weight_has_a_gradient(name, float64):
    """DistributedDataParallel stops at one that has none. Two steps a call: for the first, SAB has no memory."""
    layer, inputs = make(name), float64(2 * step_of(name), 3, INPUT)
    for length in (len(inputs), step_of(name)):
        layer.zero_grad()
        answer = layer(inputs[:length])
        (answer.outputs.square().sum() + answer.cost.sum()).backward()
        assert [each for each, weight in layer.named_parameters() if weight.grad is None] == []


@every
def test_a_frozen_layer_passes_the_gradient_on(name, float64):
    layer, inputs = make(name).requires_grad_(False), float64(2 * step_of(name), 3, INPUT).requires_grad_()
    layer(inputs).outputs.square().sum().backward()
    assert inputs.grad.abs().sum() > 0


@every
def test_copies_and_pickles_say_the_same(name, float64):
    layer, inputs = make(name).eval(), float64(2 * step_of(name), 3, INPUT)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(inputs).outputs, layer(inputs).outputs)


@every
def test_it_can_be_called_with_other_weights(name, float64):
    layer, other, inputs = make(name).eval(), make(name, seed=1).eval(), float64(2 * step_of(name), 3, INPUT)
    weights = {key: value.detach() for key, value in [*other.named_parameters(), *other.named_buffers()]}
    answer = torch.func.functional_call(layer, weights, (inputs,))
    assert torch.equal(answer.outputs, other(inputs).outputs)


@every
def test_the_gradient_of_a_transform_is_that_of_autograd(name, float64):
    layer, inputs = make(name).eval(), float64(2 * step_of(name), 3, INPUT)

    def loss(inputs):
        answer = layer(inputs)
        return answer.outputs.square().sum() + answer.cost.sum()

    found = torch.func.grad(loss)(inputs)
    inputs.requires_grad_()
    (expected,) = torch.autograd.grad(loss(inputs), inputs)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


# Left out: what draws by its inputs, what is cut on purpose, and torch's own attention, which has no second derivative.
@pytest.mark.parametrize("name", [each for each in LAYERS if each not in ("PonderNet", "cut memory", "Transformer")])
def test_a_second_derivative_is_that_of_finite_differences(name, float64):
    """Along a line through inputs and weights; the gradient is taken along another."""
    whole = {"truncation": None} if name.startswith("SAB") else {}  # what is cut has no true derivative
    layer, steps = make(name, **whole).eval(), step_of(name)
    # Two calls: what the second is given was made with the same weights.
    inputs = [float64(4 * steps, 2, INPUT), float64(3 * steps, 2, INPUT)]
    names, weights = zip(*layer.named_parameters(), strict=True)
    places = [*inputs, *(weight.detach() for weight in weights)]
    along, across = ([float64(*each.shape) for each in places] for _ in range(2))

    def slope(places):
        places = [each.requires_grad_() for each in places]
        given, state, loss = dict(zip(names, places[len(inputs) :], strict=True)), None, 0
        for each in places[: len(inputs)]:
            arguments = (each,) if state is None else (each, state)
            outputs, state, cost, _ = torch.func.functional_call(layer, given, arguments)
            loss = loss + outputs.square().sum() + cost.sum()
        slopes = torch.autograd.grad(loss, places, create_graph=True)
        return places, sum((slope * each).sum() for slope, each in zip(slopes, along, strict=True))

    step = 1e-6
    ahead, behind = (
        slope([(each + sign * step * way).detach() for each, way in zip(places, across, strict=True)])[1].item()
        for sign in (1, -1)
    )
    at, found = slope([each.detach().clone() for each in places])
    curves = torch.autograd.grad(found, at)
    found = sum((curve * way).sum() for curve, way in zip(curves, across, strict=True)).item()
    assert found == pytest.approx((ahead - behind) / (2 * step), rel=1e-4)


def test_a_layer_needs_nothing_of_what_the_book_needs():
    code = "import sys; from companion import FastWeights; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "torch" in loaded
    assert {"gymnasium", "pandas", "matplotlib", "seaborn", "papermill", "IPython", "yaml", "PIL"}.isdisjoint(loaded)


def test_compiled_scores_are_those_of_the_plain_form(monkeypatch):
    """With torch's compiler in Python, so that no other is needed."""
    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function, **options: compiler(function, backend="eager", **options))
    scorers.one_pass.cache_clear()
    layers = [make("SAB"), make("SAB, graph")]
    layers[0].compile_scores()
    inputs = torch.randn(12, 3, INPUT, dtype=torch.float64)
    outputs = [layer(inputs).outputs for layer in layers]
    scorers.one_pass.cache_clear()
    torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-11)


@every
def test_settings_are_printed_and_kept_with_the_weights(name):
    layer = make(name)
    shown = repr(layer)
    for each in layer.settings:
        assert f"{each}={getattr(layer, each)!r}" in shown
    kept = io.BytesIO()
    torch.save(nn.Sequential(layer).state_dict(), kept)
    kept.seek(0)
    weights = torch.load(kept, weights_only=True)
    for each in layer.decisive:
        other = nn.Sequential(make(name))
        setattr(other[0], each, "another")
        with pytest.raises(RuntimeError, match=f"{each} was .* where these weights were learned; here it is 'another'"):
            other.load_state_dict(weights)
    nn.Sequential(make(name)).load_state_dict(weights)
    nn.Sequential(make(name)).load_state_dict(dict(weights))


def test_settings_from_numpy_are_kept_as_numbers_that_torch_loads_with_weights_only(tmp_path, as_users_run_it):
    layer = SparseAttentiveBacktracking(3, 4, top_k=np.int64(2), memory_every=np.int32(3), temperature=np.float64(0.5))
    torch.save(layer.state_dict(), tmp_path / "weights.pt")
    weights = torch.load(tmp_path / "weights.pt", weights_only=True)
    SparseAttentiveBacktracking(3, 4, top_k=2, memory_every=3, temperature=0.5).load_state_dict(weights)
    assert "top_k=2, " in repr(layer)


def test_a_layer_says_what_it_is():
    assert "decay=0.9, rate=0.5, inner_steps=1, form='auto'" in repr(FastWeights(3, 4))
    assert "top_k=5, truncation=5, memory_every=2" in repr(SparseAttentiveBacktracking(3, 4))
    assert "time_penalty=0.01, epsilon=0.01, max_steps=100" in repr(AdaptiveComputation(3, 4))


@every
def test_a_layer_is_made_where_and_in_what_precision_it_is_asked_for(name):
    layer = LAYERS[name](device="meta", dtype=torch.float64)
    for each in [*layer.parameters(), *layer.buffers()]:
        assert each.device.type == "meta"
    assert {each.dtype for each in layer.parameters()} == {torch.float64}


@pytest.mark.parametrize("kind", sorted({type(LAYERS[name]()) for name in LAYERS}, key=lambda kind: kind.__name__))
def test_sizes_are_whole_numbers_of_any_kind(kind, sentence, as_users_run_it):
    kind(np.int64(4), np.int32(HIDDEN))
    for bad in (0, -1, 2.5, "3", True, float("nan")):
        for sizes in ((bad, 4), (4, bad)):
            with pytest.raises(ValueError, match="must be") as caught:
                kind(*sizes)
            sentence(caught)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "a lot", None], ids=str)
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (SparseAttentiveBacktracking, "forget_bias"),
        (SparseAttentiveBacktracking, "temperature"),
        (FastWeights, "decay"),
        (FastWeights, "rate"),
        (FastWeights, "recurrent_init"),
        (GlimpseFastWeights, "decay"),
        (AdaptiveComputation, "time_penalty"),
        (AdaptiveComputation, "halting_bias"),
        (AdaptiveComputation, "epsilon"),
        (PonderNet, "prior"),
        (PonderNet, "weight"),
        (LSTM, "forget_bias"),
        (Transformer, "dropout"),
        (Catch, "value_cost"),
        (Catch, "entropy_cost"),
    ],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_what_is_no_finite_number_is_refused(make, name, bad, sentence, as_users_run_it):
    with pytest.raises(ValueError, match=name) as caught:
        make(*(() if make is Catch else (4, 4)), **{name: bad})
    sentence(caught)


@pytest.mark.parametrize("bad", [6.0, 2.5, "6", True, 1], ids=str)
def test_the_size_of_a_game_is_a_whole_number(bad, sentence, as_users_run_it):
    for make in (Catch, CatchEnv):
        with pytest.raises(ValueError, match=r"size is .*; it must be") as caught:
            make(bad)
        sentence(caught)
        with pytest.raises(ValueError, match=r"visible is .*; it must") as caught:
            make(6, {1: 7}.get(bad, bad) if bad is not True else True)
        sentence(caught)
    assert CatchEnv(np.int64(6), np.int32(2)).reset(seed=0)[0].shape == (6, 6)
