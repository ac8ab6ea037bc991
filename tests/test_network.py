"""Every mechanism and every baseline in every task, by the one calling convention."""

import itertools

import pytest
import torch
from torch import nn

from companion.answer import Answer
from companion.baselines import IRNN, LSTM, FixedRepeats, LayerNormRNN, PonderNet, SelfAttentiveLSTM, Transformer
from companion.mechanisms import AdaptiveComputation, FastWeights, SparseAttentiveBacktracking
from companion.network import Network
from companion.tasks import Adding, AssociativeRetrieval, Catch, Copying, Language, Parity, PixelCIFAR10, PixelMNIST

LAYERS = {
    "sparse attentive backtracking": SparseAttentiveBacktracking,
    "fast weights": FastWeights,
    "adaptive computation": AdaptiveComputation,
    "LSTM": LSTM,
    "truncated LSTM": lambda *sizes: LSTM(*sizes, truncation=3),
    "self-attentive LSTM": SelfAttentiveLSTM,
    "Transformer": Transformer,
    "IRNN": IRNN,
    "layer-norm RNN": LayerNormRNN,
    "fixed repeats": FixedRepeats,
    "PonderNet": PonderNet,
}
TASKS = {
    "adding": lambda: Adding(6, held_out_size=4),
    "copying": lambda: Copying(3, held_out_size=4),
    "copying, scalar": lambda: Copying(3, encoding="scalar", held_out_size=4),
    "associative retrieval": lambda: AssociativeRetrieval(2, sizes=(20, 4, 4)),
    "parity": lambda: Parity(6, held_out_size=4),
    "pixel MNIST": lambda: PixelMNIST(pool=7),
    "pixel CIFAR-10": lambda: PixelCIFAR10(pool=8, training_size=20, test_size=10, validation_size=10),
    "language": lambda: Language("enwik8-excerpt", 6, 4, 4),
    "catch": lambda: Catch(5, 2, held_out_size=4),
}
BATCH, HIDDEN = 5, 4


@pytest.fixture(scope="module")
def tasks(made_up_cifar10):
    return {name: make() for name, make in TASKS.items()}


# A Transformer hands on no state, and Catch is played one frame at a time.
@pytest.mark.parametrize(
    ("layer", "task"), [pair for pair in itertools.product(LAYERS, TASKS) if pair != ("Transformer", "catch")]
)
def test_each_layer_runs_and_learns_in_each_task(layer, task, tasks):
    task = tasks[task]
    network = Network(task, LAYERS[layer](task.input_size, HIDDEN))
    inputs, targets = task.play(network, task.batch(torch.Generator().manual_seed(0), BATCH))
    predictions, answer = network(inputs)
    steps = inputs.shape[0]
    assert inputs.shape == (steps, BATCH, task.input_size)
    assert predictions.shape == ((BATCH,) if task.answers_at_end else (steps, BATCH)) + (task.output_size,)
    assert isinstance(answer, Answer)
    assert answer.outputs.shape == (steps, BATCH, network.layer.output_size)
    assert answer.cost.shape == (BATCH,)
    assert not any(each.requires_grad for each in answer.trace.values())
    losses = task.loss(predictions, targets)
    assert losses.shape == (BATCH,)
    (losses + answer.cost).mean().backward()
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert network.read_out.weight.grad.abs().max() > 0
    assert sum(gradient.abs().sum() for gradient in gradients[:-2]) > 0  # the read-out's two come last
    metrics = task.metrics(predictions, targets)
    assert set(metrics) == set(task.chance) == set(task.blind_guess)
    assert set(task.names) - {"ponder_steps"} <= set(metrics)
    assert all(values.shape == (BATCH,) and values.isfinite().all() for values in metrics.values())


def test_the_layer_s_cost_is_zero_unless_it_ponders(tasks):
    for name, make in LAYERS.items():
        cost = make(3, HIDDEN)(torch.randn(4, BATCH, 3)).cost
        assert (cost > 0).all() if name in ("adaptive computation", "PonderNet") else (cost == 0).all(), name


def test_encoder_layer_and_read_out_follow_each_other(tasks):
    task = tasks["associative retrieval"]
    network = Network(task, LSTM(6, HIDDEN), encoder=nn.Linear(task.input_size, 6), read_out_size=8)
    inputs, _ = task.batch(torch.Generator().manual_seed(0), BATCH)
    predictions, answer = network(inputs)
    first, _, last = network.read_out
    assert first.weight.shape == (8, HIDDEN)
    spoken = network.layer(network.encoder(inputs)).outputs[-1]
    torch.testing.assert_close(predictions, last(first(spoken).clamp(min=0)))


def test_a_task_that_answers_at_every_step_gets_a_prediction_for_every_step(tasks):
    task = tasks["copying"]
    network = Network(task, SparseAttentiveBacktracking(task.input_size, HIDDEN))
    inputs, _ = task.batch(torch.Generator().manual_seed(0), BATCH)
    predictions, answer = network(inputs)
    torch.testing.assert_close(predictions, answer.outputs @ network.read_out.weight.T + network.read_out.bias)
