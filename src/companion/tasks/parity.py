"""Parity: is the number of +1s in a vector odd?

    input    −1 +1 +1 −1 +1  0  0  0  →  1         three +1s: odd

One vector, one answer. With n bits, k is drawn uniformly from 1 to n; k entries are +1 or −1, the others 0. The answer
depends on every one of the k: whoever misses a single entry sees a fair coin. So the best blind guess is chance.

The paper does not say where the k entries sit. With `placement="prefix"` they are the first k, with "scattered" a
random k.

With `most` below n the task asks for more than it teaches: training and validation fill 1 to `most` entries, the test
more than that.

Sources: Graves 2016, section 3.1 (n = 64); Banino et al. 2021, section 3 (`most` = 48 of 96).
"""

import math
from collections.abc import Callable
from statistics import fmean

import torch
from torch import Tensor
from torch.nn import functional

from companion import checks
from companion.tasks.task import Batch, Task, seeded


class Parity(Task):
    """Say whether the number of +1s in a vector of up to `bits` entries is odd.

    Args:
        bits: n, the width of the vector; at least 1.
        placement: "prefix" or "scattered".
        most: the largest number of filled entries in training and validation; the test set has the others. By default
            all sets have 1 to `bits`.
        held_out_size: examples in the validation set and in the test set.

    Inputs are (1, batch, bits): a single time step. Targets are (batch,), zeros and ones, floats. The loss is the
    binary cross-entropy of one logit. Metrics: `error` and `loss`.

    Raises:
        ValueError: fewer than one bit, an unknown placement, or `most` outside 1 to `bits`.
    """

    answers_at_end = True
    output_size = 1
    chance = {"error": 0.5, "loss": math.log(2)}
    blind_guess = chance
    names = {"error": "error rate", "loss": "cross-entropy (nats)", "ponder_steps": "mean N"}

    def __init__(self, bits: int = 64, placement: str = "prefix", held_out_size: int = 10_000, most: int | None = None):
        checks.whole(bits=bits, held_out_size=held_out_size)
        if placement not in ("prefix", "scattered"):
            raise ValueError(f"placement is {placement!r}; it must be 'prefix' or 'scattered'.")
        if most is not None:
            checks.whole(1, bits, most=most)
        self.input_size = self.bits = bits
        self.most = bits if most is None else most
        self.placement, self.held_out_size = placement, held_out_size

    def batch(self, generator: torch.Generator, size: int, filled: int | Tensor | None = None) -> Batch:
        """Draw examples with 1 to `most` entries that are not 0, or with `filled`: one number, or one for each.

        Raises:
            ValueError: `filled` lies outside 1 to `bits`.
        """
        if filled is None:
            filled = torch.randint(1, self.most + 1, (size,), generator=generator)
        count = torch.as_tensor(filled).reshape(-1, 1)
        checks.whole(1, self.bits, filled=count.min().item())
        checks.whole(1, self.bits, filled=count.max().item())
        signs = 2.0 * torch.randint(2, (size, self.bits), generator=generator) - 1
        place = torch.arange(self.bits).expand(size, -1)
        if self.placement == "scattered":
            place = torch.rand(size, self.bits, generator=generator).argsort(1)
        inputs = signs * (place < count)
        return Batch(inputs.unsqueeze(0), (inputs == 1).sum(1).remainder(2).float())

    def held_out(self, split: str) -> Batch:
        generator, filled = seeded(split, 0), None
        if split == "test" and self.most < self.bits:
            filled = torch.randint(self.most + 1, self.bits + 1, (self.held_out_size,), generator=generator)
        return self.batch(generator, self.held_out_size, filled)

    def details(self, evaluate: Callable[[Batch], dict[str, float]]) -> dict[str, float | list[float]]:
        """`error_by_bits` and, if the layer ponders, `ponder_steps_by_bits`: 1,000 vectors for each k from 1 to n.

        With `most` below n also `error_within` and `ponder_steps_within`, their means over the k that are trained on.
        """
        generator = seeded("test", 1)
        points = [evaluate(self.batch(generator, 1000, filled)) for filled in range(1, self.bits + 1)]
        names = [name for name in ("error", "ponder_steps") if name in points[0]]
        found = {f"{name}_by_bits": [point[name] for point in points] for name in names}
        if self.most < self.bits:
            found |= {f"{name}_within": fmean(found[f"{name}_by_bits"][: self.most]) for name in names}
        return found

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(predictions.squeeze(1), targets, reduction="none")

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        wrong = (predictions.squeeze(1) > 0).float() != targets
        return {"error": wrong.float(), "loss": self.loss(predictions, targets)}
