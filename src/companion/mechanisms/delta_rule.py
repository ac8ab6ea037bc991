"""Fast weights with the delta rule (Schlag et al. 2021): what is written replaces what stood there.

(F1) adds to the matrix; two states that share a key are then read as their sum. The delta rule, named by Widrow and
Hoff, first takes away what the memory says under the key:

    (F1Δ)  A(t) = λ A(t−1) + η [h(t) − λ A(t−1) k(t)] k(t)ᵀ              k(t) = h(t) / ‖h(t)‖

Value and key are the same state here, as in (F1). So what is taken away is what similar states, with overlapping keys,
say under this one. The change is the bracket, and the key's length of one, without which η would not be a share: it is
meant for 0 to 1, and above 2 the memory grows without bound. Let d(t) be the bracket, what a step has to change.
Unrolled, with the read beside it:

    (F3Δ)  A(t) = η Σ_{τ≤t} λ^{t−τ} d(τ) k(τ)ᵀ
    (F4Δ)  A(t) h_s = η Σ_{τ≤t} λ^{t−τ} d(τ) [k(τ)ᵀ h_s]

So this memory has two forms as well: A itself, or the pairs (k, d) written so far. The rest is
`companion.mechanisms.fast_weights`.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from companion import checks, state
from companion.mechanisms.fast_weights import FastWeights, FastWeightsState, MatrixMemory, fading, same_fading
from companion.precision import exact, uncast


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

    Source: the delta rule of Schlag et al. 2021, whose η is learned for each step; with a fixed one, and a decay as in
    Yang et al. 2024.
    """
    kept = decay * matrix
    known = (kept * key.unsqueeze(1)).sum(2)  # what A says under the key
    return kept + rate * (value - known).unsqueeze(2) * key.unsqueeze(1)


class DeltaMemory(NamedTuple):
    """The memory as A, (batch, R, R), with the λ and η that it is written by (F1Δ)."""

    matrix: Tensor
    decay: float
    rate: float
    detach, rows = state.detach, state.rows
    check, read = MatrixMemory.check, MatrixMemory.read

    def write(self, hidden: Float[Tensor, "batch hidden"]) -> "DeltaMemory":
        value = exact(hidden)
        return self._replace(matrix=delta_write(self.matrix, normalize(value, dim=1), value, self.decay, self.rate))


class DeltaHistory(NamedTuple):
    """The memory as the keys and changes so far, each (batch, R), oldest first: a read is an attention (F4Δ)."""

    keys: tuple[Tensor, ...]
    changes: tuple[Tensor, ...]
    decay: float
    rate: float
    detach, rows = state.detach, state.rows

    def check(self, inputs: Tensor, layer: FastWeights) -> None:
        same_fading(self, layer)
        if len(self.keys) != len(self.changes):
            raise ValueError(f"The state's memory has {len(self.keys)} keys and {len(self.changes)} changes.")
        for stored in (*self.keys, *self.changes):
            checks.tensor("A state in the memory", stored, inputs, (inputs.shape[1], layer.hidden_size))

    def write(self, hidden: Float[Tensor, "batch hidden"]) -> "DeltaHistory":
        value = exact(hidden)
        key = normalize(value, dim=1)
        change = value - self.decay * self.read(key)
        return self._replace(keys=(*self.keys, key), changes=(*self.changes, change))

    def read(self, query: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden"]:
        if not self.keys:
            return torch.zeros_like(query)
        keys, changes = ([exact(stored) for stored in each] for each in (self.keys, self.changes))
        weights = (torch.stack(keys) * exact(query)).sum(2)
        weights = weights * fading(len(keys), self.decay, self.rate, weights).unsqueeze(1)
        return (weights.unsqueeze(2) * torch.stack(changes)).sum(0).to(query.dtype)

    def folded(self) -> DeltaMemory:
        """The same memory as a matrix (F3Δ)."""
        keys, changes = (exact(torch.stack(each, 1)) for each in (self.keys, self.changes))
        weights = fading(len(self.keys), self.decay, self.rate, keys)
        with uncast(keys):
            matrix = (weights.unsqueeze(1) * changes).mT @ keys
        return DeltaMemory(matrix, self.decay, self.rate)


class DeltaFastWeights(FastWeights):
    """Fast weights that overwrite: `FastWeights` with (F1Δ) in the place of (F1).

    Example::

        import torch
        from companion import DeltaFastWeights

        layer = DeltaFastWeights(3, 8, decay=1.0, rate=0.5)
        answer = layer(torch.randn(20, 4, 3))  # (time, batch, features)
        answer.state.memory.matrix  # (batch, R, R)

    It takes what `FastWeights` takes and answers as it does; the form "attention" keeps the keys and the changes.
    A write reads, too; "auto" counts as for `FastWeights`, which does not.

    Raises:
        ValueError: as `FastWeights`.

    Source: Schlag et al. 2021, see `delta_write`; the states are those of Ba et al. 2016.
    """

    memories = (DeltaMemory, DeltaHistory)

    def empty(self, inputs: Float[Tensor, "time batch features"]) -> DeltaMemory | DeltaHistory:
        if self.form_for(len(inputs)) == "attention":
            return DeltaHistory((), (), self.decay, self.rate)
        matrix = exact(inputs).new_zeros(inputs.shape[1], self.hidden_size, self.hidden_size)
        return DeltaMemory(matrix, self.decay, self.rate)

    def resume(self, inputs: Float[Tensor, "time batch features"], state: FastWeightsState) -> FastWeightsState:
        hidden, memory = super().resume(inputs, state)
        if isinstance(memory, DeltaHistory) and memory.keys and self.form == "auto":
            if self.form_for(len(memory.keys) + len(inputs)) == "matrix":
                memory = memory.folded()
        return FastWeightsState(hidden, memory)
