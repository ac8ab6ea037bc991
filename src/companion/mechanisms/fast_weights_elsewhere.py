"""What public code, and our ablations, compute in the place of fast weights: each class changes a line of the paper's.

The page "What public code computes" of the part Attend says who does which.
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from companion import checks, state
from companion.mechanisms.fast_weights import FastWeights, same_fading
from companion.precision import exact
from companion.surroundings import fresh


class PreliminaryWrite(FastWeights):
    """Fast weights that write h₀(t+1), not h(t), and read it at once: the query finds itself in the memory."""

    def step(self, hidden, memory, drive):
        boundary = self.recurrent(hidden) + drive
        settled = relu(boundary)
        memory = memory.write(settled)  # the change
        for _ in range(self.inner_steps):
            settled = relu(self.norm(boundary + memory.read(settled)))
        return settled, memory


class StaleWrite(FastWeights):
    """Fast weights that read a memory which lacks the newest state."""

    def step(self, hidden, memory, drive):
        settled, _ = super().step(hidden, memory, drive)
        return settled, memory.write(hidden)  # the change


class NormalisedEverywhere(FastWeights):
    """Fast weights with layer normalisation in (F2), too."""

    def step(self, hidden, memory, drive):
        boundary = self.recurrent(hidden) + drive
        settled = relu(self.norm(boundary))  # the change
        for _ in range(self.inner_steps):
            settled = relu(self.norm(boundary + memory.read(settled)))
        return settled, memory.write(settled)


class NormalisedOverBatch(FastWeights):
    """Fast weights normalised over the batch, of two examples at least, by the mean and variance of each unit.

    An example's outputs then depend on the others.
    """

    def __init__(self, input_size: int, hidden_size: int, **options):
        super().__init__(input_size, hidden_size, **options)
        where = {"device": self.norm.weight.device, "dtype": self.norm.weight.dtype}
        self.norm = nn.BatchNorm1d(hidden_size, track_running_stats=False, **where)  # the change


class NotNormalised(FastWeights):
    """Fast weights without layer normalisation: the paper's second equation."""

    def __init__(self, input_size: int, hidden_size: int, **options):
        super().__init__(input_size, hidden_size, **options)
        self.norm = nn.Identity()  # the change


class CutMemory(FastWeights):
    """Fast weights with no gradient through the memory to what was stored."""

    def step(self, hidden, memory, drive):
        settled, _ = super().step(hidden, memory, drive)
        return settled, memory.write(settled.detach())  # the change


class DiagonalMemory(NamedTuple):
    """The diagonal of A alone, (batch, R): each unit remembers its own square."""

    diagonal: Tensor
    decay: float
    rate: float
    detach, rows = state.detach, state.rows

    def check(self, inputs: Tensor, layer: FastWeights) -> None:
        same_fading(self, layer)
        checks.tensor("The state's diagonal", self.diagonal, inputs, (inputs.shape[1], layer.hidden_size))

    def write(self, hidden: Float[Tensor, "batch hidden"]) -> "DiagonalMemory":
        return self._replace(diagonal=self.decay * self.diagonal + self.rate * exact(hidden).square())

    def read(self, query: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden"]:
        return (self.diagonal * query).to(query.dtype)


class DiagonalProduct(FastWeights):
    """Fast weights that take W and A for their diagonals, as an einsum over a repeated index does.

    Units do not see each other.
    """

    memories = (DiagonalMemory,)

    def step(self, hidden, memory, drive):
        boundary = hidden * fresh(self.recurrent).weight.diagonal() + drive  # the change
        settled = relu(boundary)
        for _ in range(self.inner_steps):
            settled = relu(self.norm(boundary + memory.read(settled)))
        return settled, memory.write(settled)

    def empty(self, inputs: Float[Tensor, "time batch features"]) -> DiagonalMemory:
        diagonal = exact(inputs).new_zeros(inputs.shape[1], self.hidden_size)
        return DiagonalMemory(diagonal, self.decay, self.rate)
