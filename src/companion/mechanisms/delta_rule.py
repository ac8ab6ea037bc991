"""Fast weights with the delta rule (Schlag et al. 2021): what is written replaces what stood there.

(F1) adds to the matrix; two states that share a key are then read as their sum. The delta rule, named by Widrow and
Hoff, first takes away what the memory says under the key:

    (F1Δ)  A(t) = λ A(t−1) + η [h(t) − λ A(t−1) k(t)] k(t)ᵀ              k(t) = h(t) / ‖h(t)‖

Value and key are the same state here, as in (F1): the change is the bracket, and the key's length of one, without which
η would not be a share. The rest is `companion.mechanisms.fast_weights`.
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from companion import checks, state
from companion.mechanisms.fast_weights import FastWeights, same_fading
from companion.mechanisms.memory_writes import without_attention
from companion.precision import exact


def delta_write(
    matrix: Float[Tensor, "batch values keys"],
    key: Float[Tensor, "batch keys"],
    value: Float[Tensor, "batch values"],
    decay: float = 1.0,
    rate: float = 1.0,
) -> Float[Tensor, "batch values keys"]:
    """Write a value under a key in the place of what stands there (equation F1Δ).

    Args:
        matrix: A(t−1).
        key: of length one, or zero to write nothing.
        value: what a read with the key gives afterwards, if the rate is 1.
        decay, rate: λ, and η, the share of the old value that is replaced; without unit.

    Returns:
        A(t), (batch, values, keys).

    Source: Schlag et al. 2021, with a decay.
    """
    kept = decay * matrix
    known = (kept * key.unsqueeze(1)).sum(2)  # what A says under the key
    return kept + rate * (value - known).unsqueeze(2) * key.unsqueeze(1)


class DeltaMemory(NamedTuple):
    """A, (batch, R, R), with the λ and η that it is written by."""

    matrix: Tensor
    decay: float
    rate: float
    detach, rows = state.detach, state.rows

    def check(self, inputs: Tensor, layer: FastWeights) -> None:
        same_fading(self, layer)
        checks.tensor("The state's matrix", self.matrix, inputs, (inputs.shape[1], *[layer.hidden_size] * 2))

    def write(self, hidden: Float[Tensor, "batch hidden"]) -> "DeltaMemory":
        value = exact(hidden)
        return self._replace(matrix=delta_write(self.matrix, normalize(value, dim=1), value, self.decay, self.rate))

    def read(self, query: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden"]:
        return (self.matrix * query.unsqueeze(1)).sum(2).to(query.dtype)


class DeltaFastWeights(FastWeights):
    """Fast weights that overwrite: `FastWeights` with (F1Δ) in the place of (F1).

    Example::

        import torch
        from companion import DeltaFastWeights

        layer = DeltaFastWeights(3, 8, decay=1.0, rate=0.5)
        answer = layer(torch.randn(20, 4, 3))  # (time, batch, features)
        answer.state.memory.matrix  # (batch, R, R)

    It takes what `FastWeights` takes and answers as it does. `form` is "matrix", or "auto", which is the same here:
    what is written depends on what stands there, so no sum over past states gives it.

    Raises:
        ValueError: as `FastWeights`, and for the form "attention".

    Source: Schlag et al. 2021; the states are those of Ba et al. 2016.
    """

    memories = (DeltaMemory,)

    def __init__(self, input_size: int, hidden_size: int, *arguments, **options):
        super().__init__(input_size, hidden_size, *arguments, **options)
        without_attention(self)

    def empty(self, inputs: Float[Tensor, "time batch features"]) -> DeltaMemory:
        matrix = exact(inputs).new_zeros(inputs.shape[1], self.hidden_size, self.hidden_size)
        return DeltaMemory(matrix, self.decay, self.rate)
