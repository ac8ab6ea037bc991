"""Adding: the sum of two numbers that were marked along the way.

    value    0.3 0.9 0.1 0.7 0.5 0.2        target  0.9 + 0.5 = 1.4
    mark      0   1   0   0   1   0

Values are uniform in [0, 1]. One mark lies in the first half of the sequence, one in the second, each anywhere in it.
The sum is asked for after the last step. Whoever sees no mark does best to say 1, the mean, and errs by 1/6: twice the
variance of a value.

Source: Ke et al. 2018, the adding experiment; the task is Hochreiter and Schmidhuber's (1997), in the form of Arjovsky
et al. (2016).
"""

import torch
from torch import Tensor

from companion import checks
from companion.tasks.task import Batch, Task, seeded

CLOSE = 0.04  # an answer less than this off counts as right


class Adding(Task):
    """Add the two marked values in a sequence of `length` steps.

    Args:
        length: T, the time steps; at least 2.
        held_out_size: examples in the validation set and in the test set.

    Inputs are (T, batch, 2), value and mark; targets are (batch,). The loss is the squared error of one number.
    Metrics: `squared_error`, and `accuracy`, the share of answers that are less than 0.04 off.

    Raises:
        ValueError: fewer than two steps, or no held-out example.
    """

    answers_at_end = True
    input_size, output_size = 2, 1
    judged_by = "squared_error"
    # The sum is 1 − |sum − 1| likely. Chance draws uniformly from 0 to 2, and that adds its own variance, 2²/12.
    chance = {"squared_error": 1 / 6 + 1 / 3, "accuracy": CLOSE - CLOSE**3 / 6}
    blind_guess = {"squared_error": 1 / 6, "accuracy": 2 * CLOSE - CLOSE**2}
    names = {"squared_error": "squared error", "accuracy": "less than 0.04 off"}

    def __init__(self, length: int, held_out_size: int = 1000):
        checks.whole(2, length=length)
        checks.whole(held_out_size=held_out_size)
        self.length, self.held_out_size = length, held_out_size

    def batch(self, generator: torch.Generator, size: int) -> Batch:
        half = self.length // 2
        values = torch.rand(self.length, size, generator=generator)
        first = torch.randint(0, half, (1, size), generator=generator)
        second = torch.randint(half, self.length, (1, size), generator=generator)
        marks = torch.zeros_like(values).scatter(0, torch.cat([first, second]), 1)
        return Batch(torch.stack([values, marks], 2), (values * marks).sum(0))

    def held_out(self, split: str) -> Batch:
        return self.batch(seeded(split, 0), self.held_out_size)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return (predictions.squeeze(1) - targets).square()

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        error = self.loss(predictions, targets)
        return {"squared_error": error, "accuracy": (error < CLOSE**2).float()}
