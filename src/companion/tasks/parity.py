"""Parity: is the number of +1s in a vector odd?

    input    −1 +1 +1 −1 +1  0  0  0  →  1         three +1s: odd

One vector, one answer. With n bits, k is drawn uniformly from 1 to n; k entries are +1 or −1, the others 0. The answer
depends on every one of the k: whoever misses a single entry sees a fair coin. So the best blind guess is chance.

The paper does not say where the k entries sit. With `placement="prefix"` they are the first k, with "scattered" a
random k.

Source: Graves 2016, section 3.1 (n = 64).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from companion.tasks.task import Batch, Task, seeded


class Parity(Task):
    """The parity of the +1s in a vector of up to `bits` entries.

    Args:
        bits: n, the width of the vector; at least 1.
        placement: "prefix" or "scattered".
        held_out_size: examples in the validation set and in the test set.

    Inputs are (1, batch, bits): a single time step. Targets are (batch,), zeros and ones, floats. The loss is the
    binary cross-entropy of one logit. Metrics: `error` and `loss`.

    Raises:
        ValueError: fewer than one bit, or an unknown placement.
    """

    answers_at_end = True
    output_size = 1
    chance = {"error": 0.5, "loss": math.log(2)}
    blind_guess = chance
    names = {"error": "error rate", "loss": "cross-entropy (nats)", "ponder_steps": "mean N"}

    def __init__(self, bits: int = 64, placement: str = "prefix", held_out_size: int = 10_000):
        if bits < 1:
            raise ValueError(f"bits is {bits}; it must be at least 1.")
        if placement not in ("prefix", "scattered"):
            raise ValueError(f"placement is {placement!r}; it must be 'prefix' or 'scattered'.")
        self.input_size = self.bits = bits
        self.placement, self.held_out_size = placement, held_out_size

    def batch(self, generator: torch.Generator, size: int, filled: int | None = None) -> Batch:
        """Draw examples; with `filled`, each has that many entries that are not 0."""
        if filled is None:
            count = torch.randint(1, self.bits + 1, (size, 1), generator=generator)
        else:
            count = torch.full((size, 1), filled)
        signs = 2.0 * torch.randint(2, (size, self.bits), generator=generator) - 1
        place = torch.arange(self.bits).expand(size, -1)
        if self.placement == "scattered":
            place = torch.rand(size, self.bits, generator=generator).argsort(1)
        inputs = signs * (place < count)
        return Batch(inputs.unsqueeze(0), (inputs == 1).sum(1).remainder(2).float())

    def held_out(self, split: str) -> Batch:
        return self.batch(seeded(split, 0), self.held_out_size)

    def details(self, evaluate: Callable[[Batch], dict[str, float]]) -> dict[str, list[float]]:
        """`error_by_bits` and, if the layer ponders, `ponder_steps_by_bits`: 1,000 vectors for each k from 1 to n."""
        generator = seeded("test", 1)
        points = [evaluate(self.batch(generator, 1000, filled)) for filled in range(1, self.bits + 1)]
        names = [name for name in ("error", "ponder_steps") if name in points[0]]
        return {f"{name}_by_bits": [point[name] for point in points] for name in names}

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(predictions.squeeze(1), targets, reduction="none")

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        wrong = (predictions.squeeze(1) > 0).float() != targets
        return {"error": wrong.float(), "loss": self.loss(predictions, targets)}
