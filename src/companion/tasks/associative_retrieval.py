"""Associative retrieval: read key-value pairs, then say the value of one key.

    c 9 k 8 j 3 f 1 ? ? c  →  9            four pairs, two marks, the key that is asked for

Keys are letters, all different within a sequence. Values are digits, which may repeat. Symbols come as one-hot vectors
of 26 letters, ten digits and the mark; only the last step's answer counts.

A network that has counted the digits but cannot tell which belongs to which key still scores above chance. That **best
blind guess** is the line to beat: with four pairs 61.65 % error and 1.187 nats, and no binding is learned above it.

Source: Ba et al. 2016, section 4.1. The paper does not state the number of pairs; its two printed examples have four,
and so have the scores of its failed models, which sit on the blind guess of four.
"""

import math
from numbers import Integral

import torch
from torch import Tensor
from torch.nn import functional

from companion import checks
from companion.tasks.task import Batch, Task, seeded

LETTERS, DIGITS = 26, 10
MARK, VOCABULARY = LETTERS + DIGITS, LETTERS + DIGITS + 1


def key_blind(pairs: int) -> tuple[float, float]:
    """The best error, and the least loss in nats, of a guess from the digits alone, without the keys.

    The answer is one of the digits with a probability that is its share among the values. So the loss is the mean
    entropy of those shares, and the error is one minus the mean of the largest.

    Args:
        pairs: K, at least 1.

    Raises:
        ValueError: fewer than one pair.

    Source: ours, from the task of Ba et al. 2016, section 4.1.
    """
    checks.whole(pairs=pairs)

    def at_most(most: int) -> float:
        """The probability that no digit occurs more than `most` times; ways[n] counts sequences of n digits."""
        ways = [1] + pairs * [0]
        for _ in range(DIGITS):
            ways = [sum(math.comb(n, c) * ways[n - c] for c in range(min(most, n) + 1)) for n in range(pairs + 1)]
        return ways[pairs] / DIGITS**pairs

    error = 1 - sum(1 - at_most(most) for most in range(pairs)) / pairs
    loss = 0.0
    for count in range(1, pairs + 1):
        chance = math.comb(pairs, count) * (DIGITS - 1) ** (pairs - count) / DIGITS**pairs
        loss -= DIGITS * chance * count / pairs * math.log(count / pairs)
    return error, loss


class AssociativeRetrieval(Task):
    """Say which digit followed the key that is asked for.

    Args:
        pairs: K, key-value pairs in a sequence, 1 to 26; the sequence has 2K + 3 steps.
        sizes: examples in the fixed training, validation and test sets; the paper has 100,000, 10,000 and 20,000.

    Inputs are (2K + 3, batch, 37), one-hot. Targets are (batch,), the digit. The loss is its cross-entropy. Metrics:
    `error` and `loss`. A training batch is drawn from the fixed training set with replacement.

    Raises:
        ValueError: `pairs` outside 1 to 26, or sizes that are not three whole numbers of at least 1.

    Source: Ba et al. 2016, section 4.1.
    """

    answers_at_end = True
    input_size, output_size = VOCABULARY, DIGITS
    names = {"error": "error rate", "loss": "cross-entropy (nats)"}

    def __init__(self, pairs: int = 4, sizes: tuple[int, ...] = (100_000, 10_000, 20_000)):
        checks.whole(1, LETTERS, pairs=pairs)
        if len(sizes) != 3 or not all(isinstance(size, Integral) and size >= 1 for size in sizes):
            raise ValueError(f"sizes is {sizes}; it must be three whole numbers, each at least 1.")
        self.pairs, self.length = pairs, 2 * pairs + 3
        self.sizes = dict(zip(("train", "validation", "test"), sizes, strict=True))
        self.chance = {"error": 1 - 1 / DIGITS, "loss": math.log(DIGITS)}
        error, loss = key_blind(pairs)
        self.blind_guess = {"error": error, "loss": loss}
        self.symbols, self.answers = self.draw(seeded("train", 0), self.sizes["train"])

    def draw(self, generator: torch.Generator, size: int) -> tuple[Tensor, Tensor]:
        """Symbols (length, size) as integers below 37, and the digits asked for, (size,)."""
        keys = torch.rand(size, LETTERS, generator=generator).argsort(1)[:, : self.pairs]
        values = torch.randint(DIGITS, (size, self.pairs), generator=generator)
        asked = torch.randint(self.pairs, (size, 1), generator=generator)
        shown = torch.stack([keys, values + LETTERS], dim=2).flatten(1)
        marks = torch.full((size, 2), MARK)
        return torch.cat([shown, marks, keys.gather(1, asked)], dim=1).T, values.gather(1, asked).squeeze(1)

    @staticmethod
    def encode(symbols: Tensor, answers: Tensor) -> Batch:
        return Batch(functional.one_hot(symbols, VOCABULARY).float(), answers)

    def batch(self, generator: torch.Generator, size: int) -> Batch:
        chosen = torch.randint(len(self.answers), (size,), generator=generator)
        return self.encode(self.symbols[:, chosen], self.answers[chosen])

    def held_out(self, split: str) -> Batch:
        return self.encode(*self.draw(seeded(split, 0), self.sizes[split]))

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(predictions, targets, reduction="none")

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        wrong = predictions.argmax(1) != targets
        return {"error": wrong.float(), "loss": self.loss(predictions, targets)}

    @staticmethod
    def spell(symbols: Tensor) -> str:
        """One sequence as text, such as "c9k8j3f1??c"."""
        return "".join("abcdefghijklmnopqrstuvwxyz0123456789?"[symbol] for symbol in symbols.tolist())
