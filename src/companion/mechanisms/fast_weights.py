"""Fast Weights (Ba et al. 2016): a fast Hebbian matrix attends to the recent past.

A recurrent network with two kinds of weights. The slow ones, W and C, are learned by gradient descent. The fast ones,
A, are written anew in every sequence, one outer product a step, and fade:

    (F1)  A(t) = λ A(t−1) + η h(t) h(t)ᵀ                                λ: decay, η: rate, A = 0 at the start
    (F2)  h₀(t+1) = f(W h(t) + C x(t))                                  a preliminary state
    (F3)  A(t) = η Σ_{τ≤t} λ^{t−τ} h(τ) h(τ)ᵀ                           (F1), unrolled
    (F4)  A(t) h_s = η Σ_{τ≤t} λ^{t−τ} h(τ) [h(τ)ᵀ h_s]                 so reading A is attention to past states
    (F5)  h_{s+1}(t+1) = f(LN[W h(t) + C x(t) + A(t) h_s(t+1)])         s = 0 … S−1, then h(t+1) = h_S(t+1)

f is a ReLU and LN layer normalisation with one gain and bias, shared by the S inner steps. The bracket W h + C x is
computed once and held. Gradients flow through A: what was stored is part of what is learned.

The memory, (F1) with (F4), exists in two forms. The matrix form keeps A, R² numbers a sequence; the attention form
keeps the past states, t·R numbers, and never builds A. They compute the same thing; the shorter the sequence, the
cheaper the second. The equations are numbered as in the paper, but (F2), which has no number there; the paper's second
equation is (F5) without LN.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from companion import checks
from companion.answer import Answer

FORMS = ("auto", "matrix", "attention")
WRITES = ("paper", "preliminary", "stale")
NORMALISED = ("loop", "everywhere", "batch", "none")
PRODUCTS = ("full", "diagonal")


def fast_memory_read(
    history: Float[Tensor, "batch time hidden"], query: Float[Tensor, "batch hidden"], decay: float, rate: float
) -> Float[Tensor, "batch hidden"]:
    """Read the fast memory without building it (equation F4).

    Args:
        history: the states stored so far, oldest first, (batch, t, R).
        query: the state that reads, (batch, R).
        decay, rate: the λ and η of (F1), without unit.

    Returns:
        A(t) · query, (batch, R).

    Source: Ba et al. 2016, equation 4.
    """
    age = torch.arange(history.shape[1] - 1, -1, -1, device=history.device, dtype=history.dtype)
    weights = (history * query.unsqueeze(1)).sum(2) * (rate * decay**age)  # on a CPU faster than batched products
    return (weights.unsqueeze(2) * history).sum(1)


class MatrixMemory(NamedTuple):
    """The fast memory as A, (batch, R, R): one read is one product, one write one outer product (F1)."""

    matrix: Tensor
    decay: float
    rate: float

    @classmethod
    def empty(cls, inputs: Tensor, layer: "FastWeights") -> "MatrixMemory":
        return cls(inputs.new_zeros(inputs.shape[1], layer.hidden_size, layer.hidden_size), layer.decay, layer.rate)

    def write(self, hidden: Float[Tensor, "batch hidden"]) -> "MatrixMemory":
        outer = hidden.unsqueeze(2) * hidden.unsqueeze(1)
        return self._replace(matrix=self.decay * self.matrix + self.rate * outer)

    def read(self, query: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden"]:
        return (self.matrix * query.unsqueeze(1)).sum(2)


class HistoryMemory(NamedTuple):
    """The fast memory as the states written so far, each (batch, R): one read is an attention (F4)."""

    history: tuple[Tensor, ...]
    decay: float
    rate: float

    @classmethod
    def empty(cls, inputs: Tensor, layer: "FastWeights") -> "HistoryMemory":
        return cls((), layer.decay, layer.rate)

    def write(self, hidden: Float[Tensor, "batch hidden"]) -> "HistoryMemory":
        return self._replace(history=(*self.history, hidden))

    def read(self, query: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden"]:
        if not self.history or not self.rate:
            return torch.zeros_like(query)
        return fast_memory_read(torch.stack(self.history, dim=1), query, self.decay, self.rate)


class DiagonalMemory(NamedTuple):
    """The diagonal of A alone, (batch, R): each unit remembers its own square. Not the paper's, see `product`."""

    diagonal: Tensor
    decay: float
    rate: float

    @classmethod
    def empty(cls, inputs: Tensor, layer: "FastWeights") -> "DiagonalMemory":
        return cls(inputs.new_zeros(inputs.shape[1], layer.hidden_size), layer.decay, layer.rate)

    def write(self, hidden: Float[Tensor, "batch hidden"]) -> "DiagonalMemory":
        return self._replace(diagonal=self.decay * self.diagonal + self.rate * hidden.square())

    def read(self, query: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden"]:
        return self.diagonal * query


class FastWeightsState(NamedTuple):
    """What one call hands to the next: h(t), (batch, R), and the fast memory."""

    hidden: Tensor
    memory: MatrixMemory | HistoryMemory | DiagonalMemory


class FastWeights(nn.Module):
    """A ReLU network whose state is completed by a fast memory of its own past states.

    Args:
        input_size, hidden_size: widths of the input and of the state (R).
        decay: λ, the share of A that is left after a step, in [0, 1].
        rate: η, how strongly a state is written; 0 leaves a layer-normalised RNN of one layer, for nothing reads h₀.
        inner_steps: S, how often each step reads the memory.
        form: "matrix" keeps A, "attention" keeps the states, "auto" takes the one with fewer multiplications.
        write: what is stored when. "paper" stores h(t) before it is read at step t+1, as in (F1). "preliminary" stores
            h₀ instead, "stale" reads a memory that lacks the newest state; both are found in public code.
        normalised: where LN is applied. "loop" is the paper's (F5), "everywhere" is (F2) too, "none" leaves it out.
            "batch" takes mean and variance of each unit over the batch, as much public code does; an example's outputs
            then depend on the others, of which there must be some.
        product: "full" is a matrix product. "diagonal" takes W and A for their diagonals, as an einsum over a repeated
            index does in public code; units then do not see each other.
        through_memory: whether gradients flow through A to what was stored, as in the paper.
        recurrent_init: the c of W = c·I at the start; the paper takes 0.05.

    Call it with inputs (time, batch, input_size) and optionally the state of an earlier call. The answer's outputs are
    h(t), (time, batch, R).

    Raises:
        ValueError: an unknown form, write order, normalisation or product, a decay outside [0, 1], a size or number
            of inner steps that is no whole number from 1 on, a rate that is not finite; in a call, inputs of another
            shape, or the state of another batch.

    Source: Ba et al. 2016, sections 3 and A.1.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        decay: float = 0.9,
        rate: float = 0.5,
        inner_steps: int = 1,
        form: str = "auto",
        write: str = "paper",
        normalised: str = "loop",
        product: str = "full",
        through_memory: bool = True,
        recurrent_init: float = 0.05,
    ):
        super().__init__()
        for name, value, known in (
            ("form", form, FORMS),
            ("write", write, WRITES),
            ("normalised", normalised, NORMALISED),
            ("product", product, PRODUCTS),
        ):
            if value not in known:
                raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(known)}.")
        if not 0 <= decay <= 1:
            raise ValueError(f"decay is {decay}; it must lie between 0 and 1.")
        checks.whole(input_size=input_size, hidden_size=hidden_size, inner_steps=inner_steps)
        checks.finite(rate=rate, recurrent_init=recurrent_init)
        self.hidden_size = self.output_size = hidden_size
        self.decay, self.rate, self.inner_steps = decay, rate, inner_steps
        self.form, self.write, self.normalised, self.product = form, write, normalised, product
        self.through_memory = through_memory
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False)  # W
        self.input = nn.Linear(input_size, hidden_size, bias=False)  # C; LN's bias makes one here superfluous
        self.norm = nn.LayerNorm(hidden_size)
        nn.init.kaiming_uniform_(self.input.weight)  # of order one: h₀ has no LN to make up for a small C x
        self.recurrent.weight.data = recurrent_init * torch.eye(hidden_size)

    def form_for(self, steps: int) -> str:
        """The form that "auto" takes: over a sequence, attention costs S·T²·R multiplications, a matrix (S+1)·T·R²."""
        if self.form != "auto":
            return self.form
        return "attention" if self.inner_steps * steps <= (self.inner_steps + 1) * self.hidden_size else "matrix"

    def empty_memory(
        self, inputs: Float[Tensor, "time batch features"]
    ) -> MatrixMemory | HistoryMemory | DiagonalMemory:
        """What is remembered before the first step: nothing."""
        if self.product == "diagonal":
            return DiagonalMemory.empty(inputs, self)
        return (MatrixMemory if self.form_for(len(inputs)) == "matrix" else HistoryMemory).empty(inputs, self)

    def slow(self, hidden: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden"]:
        """W h, or its diagonal's product with h."""
        return hidden * self.recurrent.weight.diagonal() if self.product == "diagonal" else self.recurrent(hidden)

    def stored(self, hidden: Tensor) -> Tensor:
        """What is written, with or without a way back for its gradient."""
        return hidden if self.through_memory else hidden.detach()

    def normalise(self, summed: Tensor) -> Tensor:
        """LN of (F5), or what the option `normalised` puts in its place."""
        if self.normalised == "none":
            return summed
        if self.normalised == "batch":
            return functional.batch_norm(summed, None, None, self.norm.weight, self.norm.bias, training=True)
        return self.norm(summed)

    def forward(self, inputs: Float[Tensor, "time batch features"], state: FastWeightsState | None = None) -> Answer:
        checks.sequence(inputs, self.input.in_features, None if state is None else state[:1])
        batch = inputs.shape[1]
        if state is None:
            state = FastWeightsState(inputs.new_zeros(batch, self.hidden_size), self.empty_memory(inputs))
        hidden, memory = state
        outputs = []
        for drive in self.input(inputs):  # C x(t), computed for all steps at once
            boundary = self.slow(hidden) + drive
            settled = functional.relu(self.normalise(boundary) if self.normalised == "everywhere" else boundary)  # (F2)
            if self.write == "preliminary":
                memory = memory.write(self.stored(settled))
            for _ in range(self.inner_steps):  # (F5)
                settled = functional.relu(self.normalise(boundary + memory.read(settled)))
            if self.write != "preliminary":
                memory = memory.write(self.stored(settled if self.write == "paper" else hidden))
            hidden = settled
            outputs.append(hidden)
        return Answer(torch.stack(outputs), FastWeightsState(hidden, memory), inputs.new_zeros(batch), {})
