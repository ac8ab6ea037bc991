"""Logic: a chain of gates, and at each step the bit at its end.

    bits      gates             the chain                        target
    b₀ b₁
    0  1      AND XOR           b₂ = 1 AND 0, b₃ = 0 XOR 1       b₃ = 1
    ·  0      NOR               b₂ = 0 NOR 1                     b₂ = 0       b₀ is the target before, and is not shown

A vector has two bits and the names of B gates. The chain is b_{i+1} = Tᵢ(bᵢ, b_{i−1}) for i = 1 … B, and the target is
b_{B+1}, at every step. B is drawn uniformly for each vector, the gates from ten: those functions of two bits that
depend on both. From the second step on b₀ is the target before, and the input says 0 in its place, so one slip spoils
what follows.

Each pair of bits makes five of the ten gates true. So the target is a fair coin to whoever misses the last gate of a
vector, whatever else is known. Not so to whoever sees that gate: of the four pairs it makes one, two or three true, and
the more frequent answer is right in seven cases of ten. That is the **best blind guess**: the last gate, and no bit.
`last_gates` says what two or more of the last gates are worth.

Source: Graves 2016, section 3.2 and its table 1 (up to 10 vectors of up to 10 gates).
"""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from companion import checks
from companion.tasks.task import Batch, Task, seeded

# Name → what the gate says of the pairs (P, Q) = FF, FT, TF, TT.
GATES = {
    "NOR": (1, 0, 0, 0),
    "Xq": (0, 1, 0, 0),
    "ABJ": (0, 0, 1, 0),
    "XOR": (0, 1, 1, 0),
    "NAND": (1, 1, 1, 0),
    "AND": (0, 0, 0, 1),
    "XNOR": (1, 0, 0, 1),
    "if/then": (1, 1, 0, 1),
    "then/if": (1, 0, 1, 1),
    "OR": (0, 1, 1, 1),
}
# A pair (bᵢ, b_{i−1}) as the number 2bᵢ + b_{i−1}, and the pair that each gate makes of it; the last row is no gate.
NEXT = [[2 * says + pair // 2 for pair, says in enumerate(gate)] for gate in GATES.values()] + [[0, 1, 2, 3]]


class Logic(Task):
    """Follow chains of logic gates, and say at each step the bit at the end.

    Args:
        max_length: T is uniform from 1 to this.
        max_gates: B is uniform from 1 to this, for each vector.
        held_out_each: sequences of each length in the validation set and in the test set.

    Inputs are (T, batch, 2 + 10 · max_gates): b₀, b₁, then the gates, one-hot, and zeros after the last. Targets are
    (T, batch), zeros and ones, floats. The loss is the sum of the steps' binary cross-entropies. Metrics: `error`, the
    share of sequences with a wrong bit anywhere; `step_error`; `loss`. A held-out set is a batch for each length.

    Raises:
        ValueError: an argument below 1.
    """

    answers_at_end = False
    output_size = 1
    names = {
        "error": "sequence error rate",
        "step_error": "error rate of a step",
        "loss": "cross-entropy (nats a sequence)",
        "ponder_steps": "mean N",
    }

    def __init__(self, max_length: int = 10, max_gates: int = 10, held_out_each: int = 500):
        checks.whole(max_length=max_length, max_gates=max_gates, held_out_each=held_out_each)
        self.max_length, self.max_gates, self.held_out_each = max_length, max_gates, held_out_each
        self.input_size = 2 + len(GATES) * max_gates
        lengths = range(1, max_length + 1)
        self.chance = self.scored(self.last_gates(0), lengths)
        self.blind_guess = self.scored(self.last_gates(1), lengths)

    @staticmethod
    def last_gates(count: int) -> dict[str, float]:
        """The `step_error` and `loss` of a step, for whoever sees the last `count` gates of its vector and no bit.

        The pair of bits before them is any of the four, each as likely: b₁ is fresh, b₀ fair, and each gate leaves both
        so. The gates that are seen merge some of the four, and the more frequent end is the guess.
        """
        maps = {(0, 1, 2, 3): 1.0}  # what becomes of each pair, and how likely that is
        for _ in range(count):
            after: dict[tuple[int, ...], float] = {}
            for pairs, likely in maps.items():
                for gate in NEXT[:-1]:
                    made = tuple(gate[pair] for pair in pairs)
                    after[made] = after.get(made, 0.0) + likely / len(GATES)
            maps = after
        error = loss = 0.0
        for pairs, likely in maps.items():
            rarer = sum(pair >= 2 for pair in pairs) / 4
            rarer = min(rarer, 1 - rarer)
            error += likely * rarer
            loss -= likely * sum(share * math.log(share) for share in (rarer, 1 - rarer) if share)
        return {"step_error": error, "loss": loss}

    @staticmethod
    def scored(step: dict[str, float], lengths: Sequence[int]) -> dict[str, float]:
        """The metrics of sequences, these lengths equally likely, whose steps go wrong independently of each other."""
        right = sum((1 - step["step_error"]) ** length for length in lengths) / len(lengths)
        loss = step["loss"] * sum(lengths) / len(lengths)
        return {"error": 1 - right, "step_error": step["step_error"], "loss": loss}

    def batch(
        self, generator: torch.Generator, size: int, length: int | None = None, gates: int | None = None
    ) -> Batch:
        """Draw sequences of one length, drawn too if it is not given; with `gates`, each vector has that many.

        Raises:
            ValueError: `length` is below 1, or `gates` lies outside 1 to `max_gates`.
        """
        if length is None:
            length = torch.randint(1, self.max_length + 1, (), generator=generator).item()
        checks.whole(length=length)
        count = torch.randint(1, self.max_gates + 1, (length, size, 1), generator=generator)
        if gates is not None:
            checks.whole(1, self.max_gates, gates=gates)
            count = torch.full_like(count, gates)
        names = torch.randint(len(GATES), (length, size, self.max_gates), generator=generator)
        names = names.where(torch.arange(self.max_gates) < count, len(GATES))
        first = torch.randint(2, (length, size), generator=generator)  # b₁
        before = torch.randint(2, (size,), generator=generator)  # b₀
        shown = torch.zeros(length, size, 2)
        shown[0, :, 0], shown[..., 1] = before, first
        inputs = torch.cat([shown, functional.one_hot(names, len(GATES) + 1)[..., :-1].flatten(2)], 2)
        return Batch(inputs, self.answers(names, first, before).float())

    @staticmethod
    def answers(names: Tensor, first: Tensor, before: Tensor) -> Tensor:
        """The targets, (time, batch): all vectors' chains together from each of the four pairs, then along time."""
        table = torch.tensor(NEXT).flatten()
        pairs = torch.arange(4).expand(*names.shape[:2], 4)
        for name in names.unbind(2):
            pairs = table[4 * name.unsqueeze(2) + pairs]
        targets = []
        for ends, bit in zip(pairs // 2, first, strict=True):
            before = ends.gather(1, (2 * bit + before).unsqueeze(1)).squeeze(1)
            targets.append(before)
        return torch.stack(targets)

    def held_out(self, split: str) -> list[Batch]:
        generator = seeded(split, 0)
        return [self.batch(generator, self.held_out_each, length) for length in range(1, self.max_length + 1)]

    def details(self, evaluate: Callable[[Batch], dict[str, float]]) -> dict[str, list[float]]:
        """`error_by_gates` and, if the layer ponders, `ponder_steps_by_gates`, for B from 1 to `max_gates`.

        Each is of 1,000 sequences of five steps, or of `max_length` if that is less, all of whose vectors have B gates.
        """
        generator, length = seeded("test", 1), min(5, self.max_length)
        points = [evaluate(self.batch(generator, 1000, length, gates)) for gates in range(1, self.max_gates + 1)]
        names = [name for name in ("error", "ponder_steps") if name in points[0]]
        return {f"{name}_by_gates": [point[name] for point in points] for name in names}

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(predictions.squeeze(2), targets, reduction="none").sum(0)

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        wrong = (predictions.squeeze(2) > 0).float() != targets
        loss = self.loss(predictions, targets)
        return {"error": wrong.any(0).float(), "step_error": wrong.float().mean(0), "loss": loss}

    @staticmethod
    def follow(vector: Float[Tensor, " features"], before: int) -> list[tuple[str, int]]:
        """The chain of one input vector whose b₀ is `before`: each gate's name, and the bit that it makes."""
        chain, older, newer = [], before, int(vector[1])
        for chunk in vector[2:].view(-1, len(GATES)):
            if chunk.any():
                name = list(GATES)[chunk.argmax()]
                older, newer = newer, GATES[name][2 * newer + older]
                chain.append((name, newer))
        return chain
