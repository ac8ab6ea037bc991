"""Name a picture that is read pixel by pixel: what pixel MNIST and pixel CIFAR-10 have in common."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from companion import checks
from companion.tasks.task import Batch, Task, seeded

CLASSES = 10


def lines(pictures: Tensor, pool: int) -> Float[Tensor, "time pictures colours"]:
    """Pictures (pictures, colours, side, side), levels 0 to 255, as lines of pixels, row after row, values in [0, 1].

    `pool` is the side of the square of pixels that is averaged into one.
    """
    return functional.avg_pool2d(pictures.float() / 255, pool).flatten(2).permute(2, 0, 1).contiguous()


class PixelByPixel(Task):
    """Name a picture of one of ten classes after reading its pixels one by one.

    Nothing says how far back a pixel matters; a network whose credit travels only a few steps can still learn to carry
    evidence forward, so the best blind guess is that of a network with no memory at all: chance.

    Args:
        read: what gives the pictures (n, colours, side, side) and classes (n,) of the split "train" or "test".
        side: of the pictures.
        pool: side of the square of pixels that is averaged into one.
        validation_size: pictures taken off the end of the training set for validation.
        permuted: whether the pixels come in one fixed random order.

    Raises:
        ValueError: a pool that does not divide the side, or too many validation pictures.
    """

    answers_at_end = True
    output_size = CLASSES
    chance = {"accuracy": 1 / CLASSES, "loss": math.log(CLASSES)}
    blind_guess = chance
    names = {"accuracy": "accuracy", "loss": "cross-entropy (nats)"}

    def __init__(
        self,
        read: Callable[[str], tuple[Tensor, Tensor]],
        side: int,
        pool: int,
        validation_size: int,
        permuted: bool = False,
    ):
        checks.whole(pool=pool)
        if side % pool:
            raise ValueError(f"pool is {pool}; it must divide {side}.")
        self.pool, self.length = pool, (side // pool) ** 2
        self.order = torch.arange(self.length)
        if permuted:
            self.order = torch.randperm(self.length, generator=seeded("train", 0))
        pixels, classes = self.line_up(*read("train"))
        checks.whole(1, len(classes) - 1, validation_size=validation_size)
        cut = len(classes) - validation_size
        self.splits = {
            "train": Batch(pixels[:, :cut], classes[:cut]),
            "validation": Batch(pixels[:, cut:], classes[cut:]),
            "test": self.line_up(*read("test")),
        }

    def line_up(self, pictures: Tensor, classes: Tensor) -> Batch:
        return Batch(lines(pictures, self.pool)[self.order], classes)

    def batch(self, generator: torch.Generator, size: int) -> Batch:
        pixels, classes = self.splits["train"]
        chosen = torch.randint(len(classes), (size,), generator=generator)
        return Batch(pixels[:, chosen], classes[chosen])

    def held_out(self, split: str) -> Batch:
        if split not in self.splits:
            raise ValueError(f"split is {split!r}; it must be one of {', '.join(self.splits)}.")
        return self.splits[split]

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(predictions, targets, reduction="none")

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        right = predictions.argmax(1) == targets
        return {"accuracy": right.float(), "loss": self.loss(predictions, targets)}
