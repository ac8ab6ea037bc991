"""What one update is and on which examples it is made, looked at and tested: each line of it against arithmetic.

The network has one weight w, an example is one number x, and the loss is (w x − y)² or w x. So every gradient, every
step of Adam and every mean can be written down.
"""

import math

import pytest
import torch
from torch import Tensor, nn

from companion.answer import Answer
from companion.search import search
from companion.tasks import Batch, Task, seeded
from companion.training import Trainer, reached

RATE = 0.25
ADAM = 1e-8  # Adam's ε


class Sums(Task):
    """Inputs (1, batch, 1) of normal numbers. What a look notes of an example, `miss`, is w x."""

    input_size = output_size = 1
    answers_at_end = True
    names = {"loss": "loss", "miss": "miss"}
    judged_by = "miss"
    sizes = {"validation": 5, "test": 7}

    def __init__(self):
        self.drawn, self.asked = [], []

    def batch(self, generator: torch.Generator, size: int) -> Batch:
        self.drawn.append(torch.randn(size, generator=generator))
        return Batch(self.drawn[-1].view(1, -1, 1), torch.ones(size))

    def held_out(self, split: str) -> Batch:
        self.asked.append(split)
        numbers = torch.randn(self.sizes[split], generator=seeded(split, 0))
        return Batch(numbers.view(1, -1, 1), torch.ones(len(numbers)))

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (predictions.squeeze(1) - targets).square()

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return {"loss": self.loss(predictions, targets), "miss": predictions.squeeze(1)}


class Linear(Sums):
    """The loss is w x itself, so the gradient is the mean of x, whatever w is."""

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return predictions.squeeze(1)


class OneWeight(nn.Module):
    """Says w x. With `price` it also asks for price · v from each example, v a weight that nothing else knows."""

    def __init__(self, start: float | None = None, price: float = 0.0):
        super().__init__()
        self.w = nn.Parameter(torch.randn(()) if start is None else torch.tensor(start))
        self.v = nn.Parameter(torch.tensor(2.0)) if price else None
        self.price, self.modes = price, []

    def forward(self, inputs: Tensor, state=None):
        self.modes.append(self.training)
        cost = self.price * self.v * torch.ones(inputs.shape[1]) if self.price else torch.zeros(inputs.shape[1])
        outputs = self.w * inputs
        return outputs[-1], Answer(outputs, None, cost, {})


def trainer(task=None, network=None, **changes):
    chosen = {"learning_rate": RATE, "seed": 3, "batch_size": 4, "clip": 0} | changes
    return Trainer(network or (lambda: OneWeight(1.0)), task or Sums(), **chosen)


def adam(gradients, rate=RATE, start=1.0):
    """The weight after each step of Adam (Kingma and Ba 2015, algorithm 1)."""
    w, mean, square, ways = start, 0.0, 0.0, []
    for t, g in enumerate(gradients, 1):
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g * g
        w -= rate * (mean / (1 - 0.9**t)) / (math.sqrt(square / (1 - 0.999**t)) + ADAM)
        ways.append(w)
    return ways


def w(each):
    return each.network.w.item()


def test_the_loss_of_an_update_is_the_mean_over_its_examples():
    each = trainer()
    each.update()
    (x,) = each.task.drawn
    assert len(x) == 4
    assert each.network.w.grad.item() == pytest.approx((2 * x * (x - 1)).mean().item(), rel=1e-5)


@pytest.mark.parametrize("size", [1, 6])
def test_an_update_has_as_many_examples_as_were_asked_for(size):
    each = trainer(batch_size=size)
    each.update()
    assert len(each.task.drawn[0]) == size


@pytest.mark.parametrize("price", [1.0, 0.01])
def test_the_cost_of_a_layer_is_added_with_the_weight_one_and_as_a_mean(price):
    """L = mean(loss + price · v), so ∂L/∂v is the price, however many examples there are."""
    found = [trainer(network=lambda: OneWeight(1.0, price), batch_size=size) for size in (1, 8)]
    for each in found:
        each.update()
        assert each.network.v.grad.item() == pytest.approx(price, rel=1e-5)
        x = each.task.drawn[0]
        assert each.network.w.grad.item() == pytest.approx((2 * x * (x - 1)).mean().item(), rel=1e-5)


def test_the_loss_falls_by_what_its_gradient_says():
    """The finite difference of mean(loss + cost) along both weights at once is the gradient of the update."""
    each = trainer(network=lambda: OneWeight(1.0, 0.3))
    each.update()
    x = each.task.drawn[0].double()

    def price(h):
        return (((1 + h) * x - 1).square() + 0.3 * (2 + h)).mean().item()

    slope = (price(1e-5) - price(-1e-5)) / 2e-5
    assert each.network.w.grad.item() + each.network.v.grad.item() == pytest.approx(slope, rel=1e-4)


def test_the_gradient_of_an_update_is_that_of_its_own_batch():
    """Not of the one before as well."""
    each = trainer(Linear())
    for _ in range(3):
        each.update()
        assert each.network.w.grad.item() == pytest.approx(each.task.drawn[-1].mean().item(), rel=1e-5)


@pytest.mark.parametrize("rate", [0.25, 0.001])
def test_steps_are_those_of_adam_at_the_rate_that_was_asked_for(rate):
    each, ways = trainer(Linear(), learning_rate=rate), []
    for _ in range(4):
        each.update()
        ways.append(w(each))
    assert ways == pytest.approx(adam([x.mean().item() for x in each.task.drawn], rate), rel=1e-5)


@pytest.mark.parametrize("clip", [0.05, 0.3])
def test_the_gradient_is_clipped_before_the_step_and_to_the_norm_that_was_asked_for(clip):
    """Adam's second step depends on the ratio of two gradients, of which one is clipped here and one is not."""
    each, ways = trainer(Linear(), clip=clip), []
    for _ in range(6):
        each.update()
        ways.append(w(each))
    means = [x.mean().item() for x in each.task.drawn]
    clipped = [mean * min(1, clip / abs(mean)) for mean in means]
    assert 0 < sum(a != b for a, b in zip(means, clipped, strict=True)) < 6
    assert ways == pytest.approx(adam(clipped), rel=1e-4)
    assert ways != pytest.approx(adam(means), rel=1e-4)


def test_it_is_the_norm_of_all_weights_together_that_is_clipped():
    each = trainer(Linear(), lambda: OneWeight(1.0, 3.0), clip=0.5, batch_size=1)
    each.update()
    gradient = torch.tensor([each.task.drawn[0].item(), 3.0])
    found = torch.stack([each.network.w.grad, each.network.v.grad])
    torch.testing.assert_close(found, 0.5 * gradient / gradient.norm(), rtol=1e-4, atol=1e-6)


def test_clip_0_clips_nothing_and_without_a_word_the_norm_is_1():
    """1 is what the released code of Ke et al. 2018 clips at."""
    free = trainer(Linear(), lambda: OneWeight(1.0, 3.0))
    free.update()
    assert free.network.v.grad.item() == pytest.approx(3)
    task = Linear()
    usual = Trainer(lambda: OneWeight(1.0, 3.0), task, learning_rate=RATE, seed=3, batch_size=4)
    usual.update()
    assert math.hypot(usual.network.v.grad.item(), usual.network.w.grad.item()) == pytest.approx(1, rel=1e-4)


def test_training_examples_are_those_of_the_training_stream_of_the_seed():
    for seed in (0, 3):
        each = trainer(seed=seed)
        each.update()
        each.update()
        stream = seeded("train", seed)
        for found in each.task.drawn:
            assert torch.equal(found, torch.randn(4, generator=stream))


def test_the_seed_decides_the_first_weights():
    first = [trainer(network=OneWeight, seed=seed).network.w.item() for seed in (3, 3, 4)]
    torch.manual_seed(3)
    assert first[0] == first[1] == torch.randn(()).item()
    assert first[2] != first[0]


def test_looks_are_at_the_validation_set_and_the_test_is_at_the_test_set():
    """w stays 1 at rate 0, so `miss` is the mean of x."""
    each = trainer(learning_rate=0.0, evaluate_every=1)
    for _ in range(2):
        each.run(each.step + 1)
    assert set(each.task.asked) == {"validation"}
    means = {split: each.task.held_out(split).inputs.mean().item() for split in ("validation", "test")}
    assert [look["miss"] for look in each.history] == pytest.approx([means["validation"]] * 2, rel=1e-5)
    assert each.test()["miss"] == pytest.approx(means["test"], rel=1e-5)


def test_no_example_is_in_two_sets():
    each = trainer()
    for _ in range(20):
        each.update()
    sets = [torch.cat(each.task.drawn)] + [each.task.held_out(split).inputs.flatten() for split in each.task.sizes]
    numbers = [number for part in sets for number in part.tolist()]
    assert len(set(numbers)) == len(numbers) == 80 + 5 + 7


def test_a_look_is_the_mean_of_the_validation_examples_under_the_weights_of_that_moment():
    each = trainer(evaluate_every=2)
    for step in (2, 4):
        each.run(step)
        x = each.task.held_out("validation").inputs.flatten()
        assert each.history[-1]["step"] == step
        assert each.history[-1]["loss"] == pytest.approx((w(each) * x - 1).square().mean().item(), rel=1e-5)
    assert [look["step"] for look in each.history] == [2, 4]


def test_an_update_is_made_in_training_mode_and_a_look_in_evaluation_mode():
    each = trainer(evaluate_every=2)
    each.run(2)
    assert each.network.modes == [True, True, False]
    each.run(3)
    each.test()
    assert each.network.modes == [True, True, False, True, False, False]


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_what_is_looked_at_is_the_average_that_keeps_the_share_asked_for(share):
    """m ← share · m + (1 − share) · w, from the first weights that an update made."""
    each = trainer(Linear(), averaging=share, evaluate_every=1)
    plain, mean = trainer(Linear()), None
    for step in (1, 2, 3):
        each.run(step)
        plain.update()
        mean = w(plain) if mean is None else share * mean + (1 - share) * w(plain)
        assert w(each) == pytest.approx(w(plain))  # what is trained is not the average
        x = {split: each.task.held_out(split).inputs.mean().item() for split in each.task.sizes}
        assert each.history[-1]["miss"] == pytest.approx(mean * x["validation"], rel=1e-4)
        assert each.test()["miss"] == pytest.approx(mean * x["test"], rel=1e-4)


def test_without_averaging_the_weights_themselves_are_judged():
    each = trainer()
    assert each.judged is each.network
    assert each.average is None


def test_a_search_judges_each_candidate_by_the_last_look_of_the_task_s_own_metric():
    """`miss` is w times the mean of the validation set, and w falls by another number at each rate."""
    made = {rate: trainer(learning_rate=rate, evaluate_every=2) for rate in (0.3, 0.0, 0.1)}
    x = made[0.0].task.held_out("validation").inputs.mean().item()
    for each in made.values():
        each.task.blind_guess = {"miss": 1e9}
    candidates = [{"learning_rate": rate} for rate in made]
    tried = search(lambda each: made.get(each["learning_rate"]) or trainer(**each), candidates, 6, 6)
    assert [each.trainer.step for each in tried][:3] == [6, 6, 6]
    losses = [each.loss for each in tried][:3]
    assert losses == pytest.approx([w(each) * x for each in made.values()], rel=1e-5)
    assert len({round(loss, 6) for loss in losses}) == 3


@pytest.mark.parametrize(
    ("metrics", "goal", "expected"),
    [({"reward": 0.9}, {"reward": 0.8}, True), ({"reward": 0.7}, {"reward": 0.8}, False),
     ({"accuracy": 0.9}, {"accuracy": 0.8}, True), ({"loss": 0.1}, {"loss": 0.2}, True),
     ({"loss": 0.3}, {"loss": 0.2}, False), ({"loss": 0.2}, {"loss": 0.2}, True)],
)  # fmt: skip
def test_a_goal_is_reached_from_the_side_that_is_better(metrics, goal, expected):
    assert reached(metrics, goal) == expected
