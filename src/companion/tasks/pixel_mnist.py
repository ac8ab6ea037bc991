"""Pixel MNIST: read a digit one pixel at a time, then name it.

    input    0.00  0.00  0.37  0.99  …  0.00      784 steps of one pixel (196 when pooled to 14 × 14)
    target                                 5      one of ten classes, after the last

With `permuted=True` the pixels come in one fixed random order, the same for all digits and runs, so that neighbours in
time are not neighbours in the image. Nothing says how far back a pixel matters; a network whose credit travels only a
few steps can still learn to carry evidence forward, so the best blind guess is that of a network with no memory at all:
chance.

Source: Le, Jaitly and Hinton 2015; used by Ke et al. 2018.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from companion import data
from companion.tasks.task import Batch, Task, seeded

CLASSES, SIDE = 10, 28


class PixelMNIST(Task):
    """Name a digit after reading its pixels one by one.

    Args:
        pool: side of the square of pixels that is averaged into one; 1, 2, 4 or 7 (2 gives 14 × 14).
        permuted: whether the pixels come in one fixed random order.
        source: "excerpt", the committed 10,000 + 2,000 digits, or "full", all 60,000 + 10,000.
        validation_size: digits taken off the end of the training set for validation.

    Inputs are (time, batch, 1), grey values in [0, 1]. Targets are (batch,), the class. The loss is its cross-entropy.
    Metrics: `accuracy` and `loss`.

    Raises:
        ValueError: an unknown source, or a pool that does not divide the side.
        companion.data.DataError: the digits cannot be had; the message says why.
    """

    answers_at_end = True
    input_size, output_size = 1, CLASSES
    chance = {"accuracy": 1 / CLASSES, "loss": math.log(CLASSES)}
    blind_guess = chance
    names = {"accuracy": "accuracy", "loss": "cross-entropy (nats)"}

    def __init__(self, pool: int = 1, permuted: bool = True, source: str = "excerpt", validation_size: int = 1000):
        sources = {"excerpt": data.mnist_excerpt, "full": data.mnist}
        if source not in sources:
            raise ValueError(f"source is {source!r}; it must be 'excerpt' or 'full'.")
        if pool < 1 or SIDE % pool:
            raise ValueError(f"pool is {pool}; it must divide {SIDE}.")
        self.pool, self.length = pool, (SIDE // pool) ** 2
        self.order = torch.arange(self.length)
        if permuted:
            self.order = torch.randperm(self.length, generator=seeded("train", 0))
        pixels, labels = self.read(*sources[source]("train"))
        cut = len(labels) - validation_size
        if not 0 < cut < len(labels):
            raise ValueError(f"validation_size is {validation_size}; it must lie between 1 and {len(labels) - 1}.")
        self.splits = {"train": (pixels[:, :cut], labels[:cut]), "validation": (pixels[:, cut:], labels[cut:])}
        self.splits["test"] = self.read(*sources[source]("test"))

    def read(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Grey values in reading order, (time, digits), and the classes, (digits,)."""
        grey = functional.avg_pool2d(images.unsqueeze(1).float() / 255, self.pool)
        return grey.flatten(1).T[self.order].contiguous(), labels

    def batch(self, generator: torch.Generator, size: int) -> Batch:
        pixels, labels = self.splits["train"]
        chosen = torch.randint(len(labels), (size,), generator=generator)
        return Batch(pixels[:, chosen].unsqueeze(2), labels[chosen])

    def held_out(self, split: str) -> Batch:
        if split not in self.splits:
            raise ValueError(f"split is {split!r}; it must be one of {', '.join(self.splits)}.")
        pixels, labels = self.splits[split]
        return Batch(pixels.unsqueeze(2), labels)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(predictions, targets, reduction="none")

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        right = predictions.argmax(1) == targets
        return {"accuracy": right.float(), "loss": self.loss(predictions, targets)}
