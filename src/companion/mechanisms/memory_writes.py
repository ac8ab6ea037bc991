"""Two more writes of a fast memory, from the work that came after Ba et al. 2016: a gate, and a normaliser.

    gate        A(t) = λ(t) A(t−1) + η h(t) h(t)ᵀ        λ(t) = σ(w · h(t) + b), one number a step
    normaliser  read: A(t) q / (z(t) · q + 10⁻⁶)         z(t) = λ z(t−1) + η h(t)

With the gate the network decides at each step how much is forgotten (Yang et al. 2023 have a gate for each entry of the
key, a column of A, and compute it from the input). With the normaliser a read is a mean of past states, not a sum: its
length does not grow with what is stored (Katharopoulos et al. 2020), and η cancels. States are never negative, so no
weight is. The delta rule is in `delta_rule`, the rest in `fast_weights`.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from companion import checks, state
from companion.mechanisms.fast_weights import FastWeights, MatrixMemory
from companion.precision import exact

SMALL = 1e-6  # added to z · q, which is 0 where nothing is stored


class GatedMemory(NamedTuple):
    """A(t−1), (batch, R, R), and η. The step after writes h(t), which is in the state beside it, with its gate."""

    matrix: Tensor
    rate: float
    detach, rows = state.detach, state.rows
    read = MatrixMemory.read

    def check(self, inputs: Tensor, layer: FastWeights) -> None:
        if self.rate != layer.rate:
            raise ValueError(f"The state's memory has rate {self.rate}; this layer has {layer.rate}.")
        checks.tensor("The state's matrix", self.matrix, inputs, (inputs.shape[1], *[layer.hidden_size] * 2))

    def write(self, hidden: Float[Tensor, "batch hidden"], keep: Float[Tensor, "batch 1"]) -> "GatedMemory":
        hidden = exact(hidden)
        outer = hidden.unsqueeze(2) * hidden.unsqueeze(1)
        return self._replace(matrix=exact(keep).unsqueeze(2) * self.matrix + self.rate * outer)


class GatedFastWeights(FastWeights):
    """Fast weights whose decay is a unit of the network, σ(w · h + b), one number at each step.

    It takes what `FastWeights` takes, and answers as it does. `decay` is what the unit says at the start, when w is 0.
    The form is "matrix", or "auto", which is the same here.

    Raises:
        ValueError: as `FastWeights`, for the form "attention", and for a decay of 0 or 1, which no unit says.

    Source: Yang et al. 2023, with one gate for the whole matrix.
    """

    memories = (GatedMemory,)

    def __init__(self, input_size: int, hidden_size: int, *arguments, **options):
        super().__init__(input_size, hidden_size, *arguments, **options)
        without_attention(self)
        if self.decay in (0, 1):
            raise ValueError(f"decay is {self.decay}; a gate starts between 0 and 1.")
        weight = self.recurrent.weight
        self.gate = nn.Linear(hidden_size, 1, device=weight.device, dtype=weight.dtype)
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, math.log(self.decay / (1 - self.decay)))

    def step(self, hidden, memory, drive):
        memory = memory.write(hidden, torch.sigmoid(self.gate(hidden)))  # the last state, before the first read
        boundary = self.recurrent(hidden) + drive
        settled = relu(boundary)
        for _ in range(self.inner_steps):
            settled = relu(self.norm(boundary + memory.read(settled)))
        return settled, memory

    def empty(self, inputs: Float[Tensor, "time batch features"]) -> GatedMemory:
        return GatedMemory(exact(inputs).new_zeros(inputs.shape[1], *[self.hidden_size] * 2), self.rate)


class NormalisedMemory(NamedTuple):
    """A, (batch, R, R), and z, (batch, R), with the λ and η that both are written by."""

    matrix: Tensor
    total: Tensor
    decay: float
    rate: float
    detach, rows = state.detach, state.rows

    def check(self, inputs: Tensor, layer: FastWeights) -> None:
        MatrixMemory.check(self, inputs, layer)
        checks.tensor("The state's total", self.total, inputs, (inputs.shape[1], layer.hidden_size))

    def write(self, hidden: Float[Tensor, "batch hidden"]) -> "NormalisedMemory":
        hidden = exact(hidden)
        outer = hidden.unsqueeze(2) * hidden.unsqueeze(1)
        return self._replace(
            matrix=self.decay * self.matrix + self.rate * outer, total=self.decay * self.total + self.rate * hidden
        )

    def read(self, query: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden"]:
        weights = (self.total * query).sum(1, keepdim=True)
        return (MatrixMemory.read(self, exact(query)) / (weights + SMALL)).to(query.dtype)


class NormalisedFastWeights(FastWeights):
    """Fast weights that read a mean of past states, each weighted by its product with the query.

    It takes what `FastWeights` takes, and answers as it does. The form is "matrix", or "auto", which is the same here.

    Raises:
        ValueError: as `FastWeights`, and for the form "attention".

    Source: Katharopoulos et al. 2020, with a decay; the states are their own features, since a ReLU made them.
    """

    memories = (NormalisedMemory,)

    def __init__(self, input_size: int, hidden_size: int, *arguments, **options):
        super().__init__(input_size, hidden_size, *arguments, **options)
        without_attention(self)

    def empty(self, inputs: Float[Tensor, "time batch features"]) -> NormalisedMemory:
        zeros = exact(inputs).new_zeros
        batch, size = inputs.shape[1], self.hidden_size
        return NormalisedMemory(zeros(batch, size, size), zeros(batch, size), self.decay, self.rate)


def without_attention(layer: FastWeights) -> None:
    """Refuse the form that keeps past states.

    Raises:
        ValueError: the layer was given the form "attention".
    """
    if layer.form == "attention":
        raise ValueError('form is "attention"; this memory has no such form, so it must be "matrix" or "auto".')
