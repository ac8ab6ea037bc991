"""What a task is, and how its random examples are drawn."""

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from companion import checks

SPLITS = ("train", "validation", "test")
SEEDS_PER_SPLIT = 1_000_000_000


class Batch(NamedTuple):
    """Examples of a task: inputs (time, batch, features), floats; targets as the task says."""

    inputs: Tensor
    targets: Tensor

    def to(self, device: str | torch.device) -> "Batch":
        return Batch(self.inputs.to(device), self.targets.to(device))


# Takes a batch; gives the predictions, and N at each step, (time, batch), or None of a layer that does not ponder.
Follow = Callable[[Batch], tuple[Tensor, Tensor | None]]


class Task:
    """What every task tells the training: its examples, its loss, its metrics, and how well one may score by guessing.

    Nothing in a task knows a mechanism.

    Attributes:
        input_size, output_size: widths of the inputs and of the predictions.
        answers_at_end: whether only the last step's prediction counts.
        chance: the metrics of a uniform guess, in closed form.
        blind_guess: the metrics of the best guess without what the mechanism is for, in closed form.
        names: its metrics, and how figures name them.
        judged_by: the metric that the search over candidates makes small.
    """

    input_size: int
    output_size: int
    answers_at_end: bool
    chance: dict[str, float]
    blind_guess: dict[str, float]
    names: ClassVar[dict[str, str]]
    judged_by: str = "loss"

    @property
    def plateau(self) -> float:
        """What `judged_by` is of a network that has learned nothing yet: the best blind guess.

        A search over candidates does not end before one of them is well below it.
        """
        return self.blind_guess[self.judged_by]

    def batch(self, generator: torch.Generator, size: int) -> Batch:
        """Draw `size` training examples, all of one length."""
        raise NotImplementedError

    def held_out(self, split: str) -> Batch | list[Batch]:
        """The fixed examples of "validation" or "test", the same for every run; one batch for each length."""
        raise NotImplementedError

    def play(self, network: nn.Module, batch: Batch) -> Batch:
        """The inputs and targets that the examples become once the network meets them.

        Those of the batch itself, unless what the network sees depends on what it did before.
        """
        return batch

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """The training loss of each example, in nats, (batch,)."""
        raise NotImplementedError

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """What is reported of each example, (batch,) each; a metric of many examples is the mean."""
        raise NotImplementedError

    def details(self, evaluate: Callable[..., dict[str, float]]) -> dict[str, list]:
        """More to record of a trained network, such as its error by difficulty; nothing by default.

        `evaluate` takes a batch, and optionally as `chunk` how many examples to look at together.
        """
        return {}

    def along(self, follow: Follow) -> dict[str, list]:
        """More to record that goes by the time step, such as N at each; nothing by default.

        `follow` takes a batch. It gives the predictions, and N at each step, (time, batch), or None if the layer does
        not ponder.
        """
        return {}


def seeded(split: str, seed: int) -> torch.Generator:
    """A random generator for one split; training, validation and test take their seeds from disjoint ranges.

    Raises:
        ValueError: an unknown split, or a seed outside [0, 10⁹).
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; it must be one of {', '.join(SPLITS)}.")
    checks.whole(0, SEEDS_PER_SPLIT - 1, seed=seed)
    return torch.Generator().manual_seed(SPLITS.index(split) * SEEDS_PER_SPLIT + seed)
