"""Sort: read numbers one by one, then say in which order they go.

    number    0.3 −1.2  0.8   0    0    0
    last?      0    0    1    0    0    0
    target                    2    1    3          the smallest came second, the next first, the largest third

Each number comes from a standard normal distribution and is one step. A flag marks the last; then the input is zero
while the answer is read out, one position a step. So n numbers take 2n steps, and only the last n have a target.

The **best blind guess** does not look at the numbers. It counts them, and so knows which answers are possible at all.
Then every order is as likely as every other: one answer is right with probability 1/n!, one position with 1/n, and no
forecast of a position does better than log n nats. It does not help the loss to leave out a position that was named
before, since the network is not told whether that was right.

Two numbers that are almost equal are hard to tell apart. The paper blames such pairs for the errors that remain, and
suggests numbers with a gap between them, but has not run that. With `gap` this task does: the numbers are normal under
the condition that no two are nearer than `gap`. To draw until that happens would be exact, but slow: with fifteen
numbers and a gap of 0.1 about one draw in 830 is kept. `Spaced` draws from the same distribution at a fixed price.

Source: Graves 2016, section 3.4 (2 to 15 numbers). That there are as many output steps as numbers the text
does not say; public code does so, and the paper's Figure 16 seems to imply it.
"""

import math
from collections.abc import Callable
from statistics import mean

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from companion import checks
from companion.tasks.task import Batch, Follow, Task, seeded

WIDEST = 10  # standard deviations between the first and the last of the most numbers, at the least
EDGE, PARTS = 12.0, 24_000  # the grid goes from −EDGE to EDGE in so many parts
FOLLOWED = (5, 10, 15)  # the lengths along which N is recorded


class Spaced:
    """Normal numbers of which no two are nearer than `gap`.

    In rising order such numbers are a Markov chain. With φ the normal density, and W_m(x) the weight of all ways to
    place m numbers from x on, the first of which is y,

        W_m(x) = ∫_x^∞ φ(y) W_{m−1}(y + gap) dy,    W_0 = 1,

    so y has the distribution function 1 − W_m(y) / W_m(x), of which a uniform number is taken back. The integrals are
    trapezoids on a grid of 1/1000, and W is a straight line between its points.

    Args:
        count: the most numbers that will be asked for.
        gap: the least distance.
    """

    def __init__(self, count: int, gap: float):
        self.gap = gap
        self.grid = torch.linspace(-EDGE, EDGE, PARTS + 1, dtype=torch.float64)
        density = (-self.grid.square() / 2).exp() / math.sqrt(2 * math.pi)
        self.weights = [torch.ones_like(self.grid)]
        for _ in range(count):
            height = density * self.weight(len(self.weights) - 1, self.grid + gap)
            areas = (height[1:] + height[:-1]) * EDGE / PARTS
            self.weights.append(functional.pad(areas.flip(0).cumsum(0).flip(0), (0, 1)))
        self.negated = [-weights for weights in self.weights]  # rising, as a search wants it

    def weight(self, numbers: int, start: Tensor) -> Tensor:
        """W of so many numbers, at each start."""
        place = ((start + EDGE) * PARTS / (2 * EDGE)).clamp(0, PARTS)
        left = place.long().clamp(max=PARTS - 1)
        low, high = self.weights[numbers][left], self.weights[numbers][left + 1]
        return low + (place - left) * (high - low)

    def share(self, count: int) -> float:
        """How likely it is that so many normal numbers have the gap."""
        return math.factorial(count) * self.weights[count][0].item()

    def draw(self, generator: torch.Generator, count: int, size: int) -> Float[Tensor, "count size"]:
        """Numbers in rising order."""
        start, numbers = torch.full((size,), -EDGE, dtype=torch.float64), []
        for left in range(count, 0, -1):
            uniform = 1 - torch.rand(size, generator=generator, dtype=torch.float64)
            level, weights = uniform * self.weight(left, start), self.weights[left]
            right = torch.searchsorted(self.negated[left], -level, right=True).clamp(1, PARTS)  # the first that is less
            high, low = weights[right - 1], weights[right]
            numbers.append(self.grid[right - 1] + (high - level) / (high - low) * 2 * EDGE / PARTS)
            start = numbers[-1] + self.gap
        return torch.stack(numbers).float()


class Sort(Task):
    """Put numbers in order: read them one by one, then say their positions, the smallest first.

    Args:
        max_numbers: n is uniform from 2 to this.
        gap: the least distance of two numbers; 0 takes them as they come.
        held_out_each: sequences of each length in the validation set and in the test set.

    Inputs are (2n, batch, 2): the number, and 1 at the last. Targets are (n, batch): at the k-th output step the
    position, from 0, of the k-th smallest number. Predictions are (2n, batch, max_numbers), of which the last n count.
    The loss is the sum of their cross-entropies. Metrics: `error`, the share of sequences with a wrong position
    anywhere; `position_error`; `loss`. The sequences of a batch have one length; a held-out set is a batch for each.

    Raises:
        ValueError: fewer than two numbers, no held-out sequence, or a gap below 0 or so wide that `max_numbers` numbers
            would span more than ten standard deviations.
    """

    answers_at_end = False
    input_size = 2
    names = {
        "error": "sequence error rate",
        "position_error": "error rate of a position",
        "loss": "cross-entropy (nats a sequence)",
        "ponder_steps": "mean N",
    }

    def __init__(self, max_numbers: int = 15, gap: float = 0.0, held_out_each: int = 500):
        checks.whole(2, max_numbers=max_numbers)
        checks.whole(held_out_each=held_out_each)
        if not 0 <= gap * (max_numbers - 1) <= WIDEST:
            raise ValueError(f"gap is {gap}; it must lie between 0 and {WIDEST / (max_numbers - 1):.3g}.")
        self.max_numbers, self.gap, self.held_out_each = max_numbers, gap, held_out_each
        self.output_size = max_numbers
        self.lengths = range(2, max_numbers + 1)
        self.followed = sorted({max_numbers, *(length for length in FOLLOWED if length < max_numbers)})
        self.spaced = Spaced(max_numbers, gap) if gap else None
        self.chance = {
            "error": 1 - mean(max_numbers**-length for length in self.lengths),
            "position_error": 1 - 1 / max_numbers,
            "loss": mean(length * math.log(max_numbers) for length in self.lengths),
        }
        self.blind_guess = {
            "error": 1 - mean(1 / math.factorial(length) for length in self.lengths),
            "position_error": 1 - mean(1 / length for length in self.lengths),
            "loss": mean(length * math.log(length) for length in self.lengths),
        }

    def batch(self, generator: torch.Generator, size: int, length: int | None = None) -> Batch:
        """Draw sequences of one length, drawn too if it is not given.

        Raises:
            ValueError: `length` lies outside 2 to `max_numbers`.
        """
        if length is None:
            length = torch.randint(2, self.max_numbers + 1, (), generator=generator).item()
        checks.whole(2, self.max_numbers, length=length)
        if self.spaced:
            rising = self.spaced.draw(generator, length, size)
            numbers = rising.gather(0, torch.rand(length, size, generator=generator).argsort(0))
        else:
            numbers = torch.randn(length, size, generator=generator)
        inputs = torch.zeros(2 * length, size, 2)
        inputs[:length, :, 0], inputs[length - 1, :, 1] = numbers, 1
        return Batch(inputs, numbers.argsort(dim=0, stable=True))

    def held_out(self, split: str) -> list[Batch]:
        generator = seeded(split, 0)
        return [self.batch(generator, self.held_out_each, length) for length in self.lengths]

    def details(self, evaluate: Callable[[Batch], dict[str, float]]) -> dict[str, list[float]]:
        """`error_by_length`, `position_error_by_length` and, if the layer ponders, `ponder_steps_by_length`.

        1,000 sequences for each number of numbers, from 2 on.
        """
        generator = seeded("test", 1)
        points = [evaluate(self.batch(generator, 1000, length)) for length in self.lengths]
        names = [name for name in ("error", "position_error", "ponder_steps") if name in points[0]]
        return {f"{name}_by_length": [point[name] for point in points] for name in names}

    def along(self, follow: Follow) -> dict[str, list]:
        """`ponder_steps_along`, if the layer ponders: N at each of the 2n steps, the mean over 1,000 sequences.

        A list for each n of `followed`: those of 5, 10 and 15 that the task has, and `max_numbers`.
        """
        generator, found = seeded("test", 2), []
        for length in self.followed:
            _, steps = follow(self.batch(generator, 1000, length))
            if steps is None:
                return {}
            found.append(steps.float().mean(1).tolist())
        return {"ponder_steps_along": found}

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        answers = predictions[-len(targets) :].movedim(2, 1)
        return functional.cross_entropy(answers, targets, reduction="none").sum(0)

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        wrong = predictions[-len(targets) :].argmax(2) != targets
        loss = self.loss(predictions, targets)
        return {"error": wrong.any(0).float(), "position_error": wrong.float().mean(0), "loss": loss}
