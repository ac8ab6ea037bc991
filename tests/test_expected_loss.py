"""The expected loss over the steps at which a PonderNet may stop: by brute force, in value and in every gradient."""

import pytest
import torch

from companion.baselines import PonderNet
from companion.expected_loss import Guesses, PonderNetwork, expected
from companion.network import Network
from companion.tasks import Parity, Task
from companion.training import Trainer

BITS, HIDDEN, BATCH = 5, 4, 7


def make(cell="rnn", **options):
    task = Parity(BITS, held_out_size=300)
    network = PonderNetwork(task, PonderNet(BITS, HIDDEN, cell, **options)).double()
    with torch.no_grad():
        network.layer.halt.weight.mul_(8)
        network.layer.halt.bias.fill_(-1)
    return task, network


def brute_force(network, x, target, prior, weight, max_steps, tail):
    """(P1) to (P5) for one example of parity, with torch's own cell."""
    cell, halt = network.layer.cell.cell, network.layer.halt
    prior_mass = sum(prior * (1 - prior) ** n for n in range(max_steps))
    state, left, loss = None, torch.ones((), dtype=x.dtype), 0.0
    for n in range(1, max_steps + 1):
        state = cell(torch.cat([x, x.new_tensor([float(n == 1)])]), state)
        hidden = state[0] if isinstance(state, tuple) else state
        chance = torch.sigmoid(halt.weight[0] @ hidden + halt.bias[0])
        last = n == max_steps or (left * (1 - chance)).item() <= tail
        p = left if last else left * chance
        odds = torch.sigmoid(network.read_out.weight[0] @ hidden + network.read_out.bias[0])
        surprise = -torch.log(odds if target else 1 - odds)
        g = prior * (1 - prior) ** (n - 1) / prior_mass
        loss = loss + p * surprise + weight * p * torch.log(p / g)
        if last:
            return loss, n
        left = left * (1 - chance)


@pytest.mark.parametrize("max_steps", [3, 40])
@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_loss_and_gradients_are_those_of_brute_force(cell, max_steps):
    options = {"prior": 0.3, "weight": 0.5, "max_steps": max_steps, "tail": 0.1}
    task, network = make(cell, **options)
    inputs, targets = task.batch(torch.Generator().manual_seed(0), BATCH)
    inputs, targets = inputs.double().requires_grad_(), targets.double()
    guesses, answer = network.train()(inputs)
    losses = expected(task).loss(guesses, targets) + answer.cost
    wanted = [brute_force(network, inputs[0, b], targets[b], **options) for b in range(BATCH)]
    assert max_steps == 3 or len({steps for _, steps in wanted}) > 1
    assert answer.trace["ponder_steps"][0].tolist() == [steps for _, steps in wanted]
    values = torch.stack([loss for loss, _ in wanted])
    torch.testing.assert_close(losses, values, rtol=1e-10, atol=1e-12)
    leaves = [inputs, *network.parameters()]
    for mine, yours in zip(
        torch.autograd.grad(losses.mean(), leaves), torch.autograd.grad(values.mean(), leaves), strict=True
    ):
        torch.testing.assert_close(mine, yours, rtol=1e-8, atol=1e-12)


def test_targets_with_several_axes_are_repeated_for_every_guess():
    class Squares(Task):
        def loss(self, predictions, targets):
            return (predictions.T - targets).square().sum(0)

    guesses, p, targets = torch.randn(5, BATCH, 2), torch.rand(5, BATCH), torch.randn(2, BATCH)
    found = expected(Squares()).loss(Guesses(guesses, p), targets)
    wanted = [sum(p[n, b] * (guesses[n, b] - targets[:, b]).square().sum() for n in range(5)) for b in range(BATCH)]
    torch.testing.assert_close(found, torch.stack(wanted))


def test_the_expected_task_is_the_task_in_everything_else():
    task = Parity(BITS, "scattered", held_out_size=50)
    pondered = expected(task)
    assert pondered.chance == task.chance
    assert pondered.batch(torch.Generator().manual_seed(0), 5).inputs.shape == (1, 5, BITS)
    batch = pondered.held_out("test")
    assert torch.equal(batch.inputs, task.held_out("test").inputs)
    plain = torch.randn(50, 1)
    for name, values in task.metrics(plain, batch.targets).items():
        torch.testing.assert_close(pondered.metrics(plain, batch.targets)[name], values)


def test_in_evaluation_it_is_a_network_that_stops_where_the_layer_does():
    task, network = make()
    plain = Network(task, network.layer).double().eval()
    plain.load_state_dict(network.state_dict())
    inputs = task.held_out("test").inputs.double()
    predictions, answer = network.eval()(inputs)
    expected_predictions, expected_answer = plain(inputs)
    torch.testing.assert_close(predictions, expected_predictions)
    assert torch.equal(answer.trace["ponder_steps"], expected_answer.trace["ponder_steps"])


def test_more_than_one_time_step_is_refused_in_training_only():
    _, network = make()
    inputs = torch.randn(2, 3, BITS, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"^The inputs have 2 time steps; the expected loss is of one\.$"):
        network.train()(inputs)
    assert network.eval()(inputs)[0].shape == (3, 1)


def test_it_learns_and_is_judged_alike_twice():
    task = Parity(2, held_out_size=500)
    build = lambda: PonderNetwork(task, PonderNet(2, 16, "rnn", prior=0.4))  # noqa: E731
    trained = Trainer(build, expected(task), learning_rate=3e-3, seed=0, batch_size=64)
    before = trained.evaluate(trained.validation)
    trained.run(200)
    after = trained.evaluate(trained.validation)
    assert after["error"] < 0.1 < before["error"]
    assert trained.evaluate(trained.validation) == after
    assert trained.test()["ponder_steps_by_bits"] == trained.test()["ponder_steps_by_bits"]
