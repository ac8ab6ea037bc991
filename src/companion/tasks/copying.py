"""Copying: remember ten symbols over a long silence.

With delay T, one example is T + 20 steps long (here T = 5, four symbols instead of ten):

    input    3 7 1 5 · · · · 9 · · · ·        · is 0, a blank; 9 says "now"
    target   · · · · · · · · · 3 7 1 5

Symbols are drawn uniformly from 1 to 8. There are T − 1 blanks before the marker. Inputs are one-hot, or the symbol
itself as one number, which is what the authors' released code feeds.

Source: the released code of Ke et al. 2018; the task is Hochreiter and Schmidhuber's (1997), in the form of Arjovsky et
al. (2016).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from companion import checks
from companion.tasks.task import Batch, Task, seeded

SYMBOLS, MARKER, VALUES, COPIED = 8, 9, 10, 10


class Copying(Task):
    """Copy ten symbols after `delay` steps.

    Args:
        delay: T, the steps from the last symbol to the marker; at least 1. The answers begin one step later.
        encoding: "one-hot", or "scalar" for the symbol as one number.
        held_out_size: examples in the validation set and in the test set.

    Targets are (T + 20, batch), integers. The loss is the mean cross-entropy over all T + 20 steps, as in the released
    code. Metrics: `accuracy` and `loss` of the last ten steps, `loss_overall` of all.

    Raises:
        ValueError: a delay below 1, no held-out example, or an unknown encoding.
    """

    answers_at_end = False
    output_size = VALUES
    names = {"accuracy": "accuracy on the last ten", "loss": "cross-entropy on the last ten (nats)"}

    def __init__(self, delay: int, encoding: str = "one-hot", held_out_size: int = 1000):
        checks.whole(delay=delay, held_out_size=held_out_size)
        if encoding not in ("one-hot", "scalar"):
            raise ValueError(f"encoding is {encoding!r}; it must be 'one-hot' or 'scalar'.")
        self.delay, self.encoding, self.held_out_size = delay, encoding, held_out_size
        self.input_size = VALUES if encoding == "one-hot" else 1
        self.length = delay + 2 * COPIED
        uniform = math.log(VALUES)
        self.chance = {"accuracy": 1 / VALUES, "loss": uniform, "loss_overall": uniform}
        # Without memory: blanks are certain, and each of the last ten is one of eight.
        blind = math.log(SYMBOLS)
        self.blind_guess = {"accuracy": 1 / SYMBOLS, "loss": blind, "loss_overall": blind * COPIED / self.length}

    def batch(self, generator: torch.Generator, size: int) -> Batch:
        symbols = torch.randint(1, SYMBOLS + 1, (COPIED, size), generator=generator)
        inputs, targets = torch.zeros(2, self.length, size, dtype=torch.long)
        inputs[:COPIED] = symbols
        inputs[COPIED + self.delay - 1] = MARKER
        targets[-COPIED:] = symbols
        if self.encoding == "one-hot":
            return Batch(functional.one_hot(inputs, VALUES).float(), targets)
        return Batch(inputs.unsqueeze(2).float(), targets)

    def held_out(self, split: str) -> Batch:
        return self.batch(seeded(split, 0), self.held_out_size)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(predictions.movedim(2, 1), targets, reduction="none").mean(0)

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        right = predictions[-COPIED:].argmax(2) == targets[-COPIED:]
        last_ten = self.loss(predictions[-COPIED:], targets[-COPIED:])
        overall = self.loss(predictions, targets)
        return {"accuracy": right.float().mean(0), "loss": last_ten, "loss_overall": overall}


class CopyingTransfer(Copying):
    """Copying, learnt at one delay and tested at others, without more training.

    Args:
        delay, encoding, held_out_size: of what is learnt, as for `Copying`.
        test_delays: the delays to test at.
        test_size: sequences for each of them.

    A record's details are `test_delay` and, of the same length, `accuracy_by_delay`: the accuracy on the last ten, or
    None where the memory of the machine did not suffice.

    Raises:
        ValueError: a delay below 1, no example to test, or an unknown encoding.
    """

    together = 50_000  # time steps that are tested at once, over all sequences

    def __init__(
        self,
        delay: int,
        test_delays: list[int],
        encoding: str = "one-hot",
        held_out_size: int = 1000,
        test_size: int = 200,
    ):
        super().__init__(delay, encoding, held_out_size)
        checks.whole(test_size=test_size)
        self.others = [Copying(each, encoding, test_size) for each in test_delays]

    def details(self, evaluate: Callable[..., dict[str, float]]) -> dict[str, list]:
        accuracy = []
        for task in self.others:
            try:
                looked = evaluate(task.held_out("test"), chunk=max(self.together // task.length, 1))
            except RuntimeError as error:  # torch.OutOfMemoryError is one; on a CPU it has no class of its own
                if "memory" not in str(error):
                    raise
                looked = {"accuracy": None}
            accuracy.append(looked["accuracy"])
        return {"test_delay": [task.delay for task in self.others], "accuracy_by_delay": accuracy}
