"""Addition: numbers come one at a time, and each is added to the sum of those before.

    input     123     045     99               three numbers of up to three digits
    target     ·      168·    267·             · is "past the end"; the first number has no target

A number has D digits, D uniform from 1 to `max_digits`, each uniform from 0 to 9; so some begin with zeros. Its digits
come at once, in one vector, the leading one first. From the second number on the running sum is asked for: its leading
digit in the first slot, and in the slots behind its last digit the class "past the end". There are as many slots as the
largest sum has digits.

The **best blind guess** sees no number and only knows which step it is. It says the most frequent sums; where slots are
judged one by one, the most frequent class of each. A stricter line, for the error alone, is `error_without_carrying`:
that of whoever adds up every column of digits and never carries.

Source: Graves 2016, section 3.3 (1 to 5 numbers of up to 5 digits). A sequence of one number has no target. Here the
length is uniform from 2.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from companion import checks
from companion.tasks.task import Batch, Follow, Task, seeded

CLASSES = 11  # ten digits, and
PAST_THE_END = 10
MOST_DIGITS = 5  # the blind guess looks at each possible sum


class Addition(Task):
    """Keep the running sum of a sequence of numbers.

    Args:
        max_numbers: T, the numbers in a sequence, is uniform from 2 to this.
        max_digits: D, the digits of a number, is uniform from 1 to this.
        held_out_each: sequences of each length in the validation set and in the test set.

    Inputs are (T, batch, 10 · max_digits): the digits one-hot, side by side, and zeros behind the last. Targets are (T,
    slots, batch), integers; those of the first step are there and do not count. Predictions are (T, batch, slots · 11).
    The loss is the sum of the cross-entropies over steps and slots. Metrics: `error`, the share of sequences with a
    wrong class anywhere; `digit_error`, the share of wrong slots; `loss`. A held-out set is a batch for each length.

    Raises:
        ValueError: fewer than two numbers, no digit or more than five, or no held-out sequence.
    """

    answers_at_end = False
    names = {
        "error": "sequence error rate",
        "digit_error": "error rate of a slot",
        "loss": "cross-entropy (nats a sequence)",
        "ponder_steps": "mean N",
    }

    def __init__(self, max_numbers: int = 5, max_digits: int = 5, held_out_each: int = 500):
        checks.whole(2, max_numbers=max_numbers)
        checks.whole(1, MOST_DIGITS, max_digits=max_digits)
        checks.whole(held_out_each=held_out_each)
        self.max_numbers, self.max_digits, self.held_out_each = max_numbers, max_digits, held_out_each
        self.lengths = range(2, max_numbers + 1)
        self.largest = max_numbers * (10**max_digits - 1)
        self.slots = len(str(self.largest))
        self.input_size, self.output_size = 10 * max_digits, CLASSES * self.slots
        uniform = (1 - 1 / CLASSES, self.slots * math.log(CLASSES))
        one_step = CLASSES**-self.slots
        self.chance = self.scored([uniform] * len(self.lengths), one_step, one_step)
        self.blind_guess = self.scored(*self.blind_steps())

    def scored(self, steps: list[tuple[float, float]], second: float, later: float) -> dict[str, float]:
        """The metrics of whoever has these digit errors and losses at steps 2, 3, …

        `second` is the chance that all of step 2 is right, `later` that of each step after it, given those before.
        """
        count = len(self.lengths)
        wrong, losses = ([sum(part[: length - 1]) for length in self.lengths] for part in zip(*steps, strict=True))
        return {
            "error": 1 - sum(second * later ** (length - 2) for length in self.lengths) / count,
            "digit_error": sum(each / (length - 1) for each, length in zip(wrong, self.lengths, strict=True)) / count,
            "loss": sum(losses) / count,
        }

    def blind_steps(self) -> tuple[list[tuple[float, float]], float, float]:
        """What `scored` needs of the best blind guess, from the distribution of the sum at each step."""
        numbers = self.one_more(torch.ones(1, dtype=torch.float64))
        classes, likely, steps = self.write(torch.arange(self.largest + 1)), numbers, []
        for _ in self.lengths:
            likely = self.one_more(likely)
            shares = [torch.bincount(slot[: len(likely)], likely, CLASSES) for slot in classes.unbind(1)]
            loss = sum(-torch.xlogy(share, share).sum().item() for share in shares)
            steps.append((1 - sum(share.max().item() for share in shares) / self.slots, loss))
        # Guesses that were right stay so if the next number is their difference; the best bet on the most frequent one.
        return steps, self.one_more(numbers).max().item(), numbers.max().item()

    def one_more(self, likely: Float[Tensor, " sums"]) -> Float[Tensor, " more"]:
        """The distribution of a sum, from 0 up, after one more number."""
        most = len(likely) - 1 + 10**self.max_digits
        below = torch.cat([likely.new_zeros(1), likely.cumsum(0)])
        index = torch.arange(1, most + 1)
        added = torch.zeros(most, dtype=likely.dtype)
        for digits in range(1, self.max_digits + 1):  # uniform over 10^digits numbers
            window = below[index.clamp(max=len(likely))] - below[(index - 10**digits).clamp(0, len(likely))]
            added += window / 10**digits
        return added / self.max_digits

    @property
    def error_without_carrying(self) -> float:
        """The `error` of whoever adds up each column of digits and never carries, in closed form.

        Such a sequence is right if no column adds up to more than 9. Of the 10ⁿ ways to fill a column of n digits,
        C(n + 9, n) do not.
        """

        def right(count: int, column: int) -> float:
            """The chance that no column overflows from this one on, which `count` numbers reach."""
            if not count:
                return 1.0
            reach = 1 - 1 / (self.max_digits - column)  # of those that have this column, those that have the next
            return (math.comb(count + 9, count) / 10**count) * sum(
                math.comb(count, more) * reach**more * (1 - reach) ** (count - more) * right(more, column + 1)
                for more in range(count + 1 if reach else 1)
            )

        return 1 - sum(right(length, 0) for length in self.lengths) / len(self.lengths)

    def write(self, sums: Int[Tensor, "*any"]) -> Int[Tensor, "*any slots"]:
        """Sums as classes, the leading digit first."""
        powers = 10 ** torch.arange(self.slots)
        digits = 1 + (sums.unsqueeze(-1) >= powers[1:]).sum(-1, keepdim=True)
        place = digits - 1 - torch.arange(self.slots)
        return (sums.unsqueeze(-1) // powers[place.clamp(min=0)] % 10).where(place >= 0, PAST_THE_END)

    def batch(
        self, generator: torch.Generator, size: int, length: int | None = None, digits: int | None = None
    ) -> Batch:
        """Draw sequences of one length, drawn too if it is not given; with `digits`, each number has that many.

        Raises:
            ValueError: `length` lies outside 2 to `max_numbers`, or `digits` outside 1 to `max_digits`.
        """
        if length is None:
            length = torch.randint(2, self.max_numbers + 1, (), generator=generator).item()
        checks.whole(2, self.max_numbers, length=length)
        count = torch.randint(1, self.max_digits + 1, (length, size, 1), generator=generator)
        if digits is not None:
            checks.whole(1, self.max_digits, digits=digits)
            count = torch.full_like(count, digits)
        drawn = torch.randint(10, (length, size, self.max_digits), generator=generator)
        place = count - 1 - torch.arange(self.max_digits)
        values = (drawn * 10 ** place.clamp(min=0) * (place >= 0)).sum(2)
        symbols = drawn.where(place >= 0, PAST_THE_END)
        inputs = functional.one_hot(symbols, CLASSES)[..., :PAST_THE_END].flatten(2).float()
        return Batch(inputs, self.write(values.cumsum(0)).transpose(1, 2).contiguous())

    def held_out(self, split: str) -> list[Batch]:
        generator = seeded(split, 0)
        return [self.batch(generator, self.held_out_each, length) for length in self.lengths]

    def film(self) -> Batch:
        """Three test sequences of the greatest length, along which N is recorded."""
        return self.batch(seeded("test", 2), 3, self.max_numbers)

    def details(self, evaluate: Callable[[Batch], dict[str, float]]) -> dict[str, list[float]]:
        """`error_by_digits` and, if the layer ponders, `ponder_steps_by_digits`.

        For D from 1 to `max_digits`: 1,000 sequences of three numbers (two, if there are no more), all of D digits.
        """
        generator, length = seeded("test", 1), min(3, self.max_numbers)
        points = [evaluate(self.batch(generator, 1000, length, digits)) for digits in range(1, self.max_digits + 1)]
        names = [name for name in ("error", "ponder_steps") if name in points[0]]
        return {f"{name}_by_digits": [point[name] for point in points] for name in names}

    def along(self, follow: Follow) -> dict[str, list]:
        """`film`, if the layer ponders: N at each step of each sequence of `film()`."""
        _, steps = follow(self.film())
        return {} if steps is None else {"film": steps.T.tolist()}

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        scores = predictions[1:].unflatten(2, (self.slots, CLASSES)).movedim(3, 1)
        return functional.cross_entropy(scores, targets[1:].transpose(1, 2), reduction="none").sum((0, 2))

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        said = predictions[1:].unflatten(2, (self.slots, CLASSES)).argmax(3).transpose(1, 2)
        wrong = (said != targets[1:]).flatten(0, 1)
        digit_error = wrong.float().sum(0) / max(len(wrong), 1)
        return {"error": wrong.any(0).float(), "digit_error": digit_error, "loss": self.loss(predictions, targets)}

    @staticmethod
    def spell(inputs: Float[Tensor, "time features"], targets: Int[Tensor, "time slots"]) -> list[tuple[str, str]]:
        """One sequence as text: at each step the number that comes, as it is written, and the sum so far."""
        numbers = ["".join(str(digit) for digit in x.view(-1, 10).nonzero()[:, 1].tolist()) for x in inputs]
        sums = ["".join(str(digit) for digit in y.tolist() if digit != PAST_THE_END) for y in targets]
        return list(zip(numbers, sums, strict=True))
