"""Training on the expected loss: a guess after every inner step, each weighted by the chance to stop there."""

from copy import copy
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from companion.answer import Answer
from companion.baselines import PonderNet
from companion.network import Network
from companion.precision import exact
from companion.tasks import Task


class Guesses(NamedTuple):
    """What a network would say after each inner step, (steps, batch, task.output_size), and p, (steps, batch)."""

    predictions: Tensor
    probabilities: Tensor


class PonderNetwork(Network):
    """A `Network` around a `PonderNet`, for tasks of one time step; give the trainer `expected(task)` with it.

    In training mode its predictions are `Guesses`, and the answer is that of the last inner step. In evaluation mode
    the layer draws the step at which it stops, and the prediction is the one of that step.

    Raises:
        ValueError: in training, inputs of more than one time step. The loss of a longer sequence would be an
            expectation over all the ways to stop along it.

    Source: Banino, Balaguer and Blundell 2021, section 2.
    """

    layer: PonderNet

    def forward(
        self, inputs: Float[Tensor, "time batch features"], state: Any = None
    ) -> tuple[Tensor | Guesses, Answer]:
        if not self.training:
            return super().forward(inputs, state)
        if len(inputs) != 1:
            raise ValueError(f"The inputs have {len(inputs)} time steps; the expected loss is of one.")
        inputs = self.encoder(inputs)
        cell, made = self.layer.start(inputs, state)
        (first,), (again,) = self.layer.cell.drives(inputs)
        thought = self.layer.think(first, again, cell, exact(first).new_full(first.shape[:1], self.layer.tail))
        guesses = Guesses(self.read_out(thought.states.hidden), thought.probabilities)
        return guesses, self.layer.answer([thought], made + 1)


def expected(task: Task) -> Task:
    """A task to train a `PonderNetwork` on: the same, but for its loss, the expected one, Σ_n p_n L(ŷ_n, y)."""

    def loss(predictions: Tensor | Guesses, targets: Tensor) -> Tensor:
        if not isinstance(predictions, Guesses):
            return task.loss(predictions, targets)
        guesses, p = predictions
        repeated = targets.repeat(*[1] * (targets.dim() - 1), len(p))  # the last axis of targets is the batch
        return (p * task.loss(guesses.flatten(0, 1), repeated).view_as(p)).sum(0)

    pondered = copy(task)
    pondered.loss = loss
    return pondered
