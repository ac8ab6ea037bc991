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

The memory exists in two forms that compute the same. The matrix form keeps A, R² numbers a sequence (F1); the attention
form keeps the past states, t·R numbers, and never builds A (F4). The shorter the sequence, the cheaper the second. What
public code computes instead is in `fast_weights_elsewhere`. The equations are numbered as in the paper, but (F2), which
has no number there; the paper's second equation is (F5) without LN.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from companion import checks, state
from companion.answer import Answer
from companion.layer import Layer
from companion.precision import exact, uncast
from companion.surroundings import transformed

FORMS = ("auto", "matrix", "attention")
FEW = 64  # states of which autograd may keep a copy at each step; that is faster, but grows with the square


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
    weights = fading(history.shape[1], decay, rate, history)
    return attend(exact(history).transpose(0, 1), exact(query), weights).to(query.dtype)


def fading(steps: int, decay: float, rate: float, like: Tensor) -> Float[Tensor, " time"]:
    """η λ^age of so many states, oldest first: the newest has age 0."""
    return rate * decay ** torch.arange(steps - 1, -1, -1, device=like.device, dtype=exact(like).dtype)


def attend(
    history: Float[Tensor, "time batch hidden"], query: Float[Tensor, "batch hidden"], fading: Float[Tensor, " time"]
) -> Float[Tensor, "batch hidden"]:
    """Σ_τ fading_τ h(τ) [h(τ)ᵀ query]; on a CPU faster than batched products."""
    weights = (history * query).sum(2) * fading.unsqueeze(1)
    return (weights.unsqueeze(2) * history).sum(0)


class AttentionRead(torch.autograd.Function):
    """`attend` of (query, decay, rate, *states), which keeps the states for the way back, and no stack of them."""

    generate_vmap_rule = True

    @staticmethod
    def forward(query, decay, rate, *states):
        return attend(torch.stack(states), query, fading(len(states), decay, rate, query))

    @staticmethod
    def setup_context(ctx, inputs, output):
        query, ctx.decay, ctx.rate, *states = inputs
        ctx.save_for_backward(query, *states)

    @staticmethod
    def backward(ctx, to_read):
        query, *states = ctx.saved_tensors
        history, weight = torch.stack(states), fading(len(states), ctx.decay, ctx.rate, query).unsqueeze(1)
        weights = ((history * query).sum(2) * weight).unsqueeze(2)
        to_scores = ((history * to_read).sum(2) * weight).unsqueeze(2)
        to_states = weights * to_read + to_scores * query
        return (to_scores * history).sum(0), None, None, *to_states


def same_fading(memory: tuple, layer: "FastWeights") -> None:
    """Refuse a memory that fades otherwise than the layer's.

    Raises:
        ValueError: another decay or rate.
    """
    if (memory.decay, memory.rate) != (layer.decay, layer.rate):
        theirs, ours = (f"decay {each.decay} and rate {each.rate}" for each in (memory, layer))
        raise ValueError(f"The state's memory has {theirs}; this layer has {ours}.")


class MatrixMemory(NamedTuple):
    """The fast memory as A, (batch, R, R): one read is one product, one write one outer product (F1)."""

    matrix: Tensor
    decay: float
    rate: float
    detach, rows = state.detach, state.rows

    def check(self, inputs: Tensor, layer: "FastWeights") -> None:
        same_fading(self, layer)
        checks.tensor("The state's matrix", self.matrix, inputs, (inputs.shape[1], *[layer.hidden_size] * 2))

    def write(self, hidden: Float[Tensor, "batch hidden"]) -> "MatrixMemory":
        hidden = exact(hidden)
        outer = hidden.unsqueeze(2) * hidden.unsqueeze(1)
        return self._replace(matrix=self.decay * self.matrix + self.rate * outer)

    def read(self, query: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden"]:
        return (self.matrix * query.unsqueeze(1)).sum(2).to(query.dtype)


class HistoryMemory(NamedTuple):
    """The fast memory as the states written so far, each (batch, R), oldest first: one read is an attention (F4)."""

    history: tuple[Tensor, ...]
    decay: float
    rate: float
    detach, rows = state.detach, state.rows

    def check(self, inputs: Tensor, layer: "FastWeights") -> None:
        same_fading(self, layer)
        for stored in self.history:
            checks.tensor("A state in the memory", stored, inputs, (inputs.shape[1], layer.hidden_size))

    def write(self, hidden: Float[Tensor, "batch hidden"]) -> "HistoryMemory":
        return self._replace(history=(*self.history, exact(hidden))) if self.rate else self

    def read(self, query: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden"]:
        if not self.history:
            return torch.zeros_like(query)
        history, asked = [exact(stored) for stored in self.history], exact(query)
        if len(history) <= FEW or transformed():
            weights = fading(len(history), self.decay, self.rate, asked)
            return attend(torch.stack(history), asked, weights).to(query.dtype)
        return AttentionRead.apply(asked, self.decay, self.rate, *history).to(query.dtype)

    def folded(self) -> MatrixMemory:
        """The same memory as a matrix (F3)."""
        history = exact(torch.stack(self.history, 1))
        weights = fading(len(self.history), self.decay, self.rate, history)
        with uncast(history):
            matrix = (weights.unsqueeze(1) * history).mT @ history
        return MatrixMemory(matrix, self.decay, self.rate)


class FastWeightsState(NamedTuple):
    """What one call hands to the next: h(t), (batch, R), and the fast memory."""

    hidden: Tensor
    memory: MatrixMemory | HistoryMemory
    detach, rows = state.detach, state.rows


class FastWeights(Layer):
    """A ReLU network whose state is completed by a fast memory of its own past states.

    Example::

        import torch
        from companion import FastWeights

        layer = FastWeights(3, 8, decay=0.9, rate=0.5)
        answer = layer(torch.randn(20, 4, 3))  # (time, batch, features)
        answer.state.memory  # what a next call reads on

    Args:
        input_size, hidden_size: widths of the input and of the state (R).
        decay: λ, the share of A that is left after a step, in [0, 1].
        rate: η, how strongly a state is written.
        inner_steps: S, how often each step reads the memory.
        form: "matrix" keeps A, "attention" keeps the states, "auto" takes the one with fewer multiplications, and goes
            over to the matrix when many calls have made a long sequence.
        recurrent_init: the c of W = c·I at the start; the paper takes 0.05.
        device, dtype: of the weights, as torch's own layers take them.

    Call it with inputs (time, batch, input_size) and optionally the state of an earlier call. The answer's outputs
    are the states, (time, batch, R): to x(t) it answers h(t+1).

    Raises:
        ValueError: an unknown form, a decay outside [0, 1], a size or number of inner steps that is no whole number
            from 1 on, a rate that is not finite; in a call, inputs of another shape, or a state that is not this
            layer's or of another batch.

    Source: Ba et al. 2016, sections 3 and A.1.
    """

    settings = ("decay", "rate", "inner_steps", "form")
    decisive = ("decay", "rate", "inner_steps")
    memories = (MatrixMemory, HistoryMemory)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        decay: float = 0.9,
        rate: float = 0.5,
        inner_steps: int = 1,
        form: str = "auto",
        recurrent_init: float = 0.05,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        if form not in FORMS:
            raise ValueError(f"form is {form!r}; it must be one of {', '.join(FORMS)}.")
        checks.finite(decay=decay, rate=rate, recurrent_init=recurrent_init)
        if not 0 <= decay <= 1:
            raise ValueError(f"decay is {decay}; it must lie between 0 and 1.")
        checks.whole(input_size=input_size, hidden_size=hidden_size, inner_steps=inner_steps)
        self.hidden_size = self.output_size = hidden_size
        self.decay, self.rate, self.inner_steps, self.form = decay, rate, inner_steps, form
        where = {"device": device, "dtype": dtype}
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False, **where)  # W
        self.input = nn.Linear(input_size, hidden_size, bias=False, **where)  # C; LN's bias makes one here superfluous
        self.norm = nn.LayerNorm(hidden_size, **where)
        nn.init.kaiming_uniform_(self.input.weight)  # of order one: h₀ has no LN to make up for a small C x
        with torch.no_grad():
            self.recurrent.weight.copy_(recurrent_init * torch.eye(hidden_size))

    def step(
        self, hidden: Float[Tensor, "batch hidden"], memory: tuple, drive: Float[Tensor, "batch hidden"]
    ) -> tuple[Float[Tensor, "batch hidden"], tuple]:
        """From h(t) and A(t) to h(t+1) and A(t+1); `drive` is C x(t)."""
        boundary = self.recurrent(hidden) + drive
        settled = relu(boundary)  # (F2)
        for _ in range(self.inner_steps):
            settled = relu(self.norm(boundary + memory.read(settled)))  # (F5)
        return settled, memory.write(settled)  # (F1)

    def forward(self, inputs: Float[Tensor, "time batch features"], state: FastWeightsState | None = None) -> Answer:
        checks.sequence(inputs, self.input.in_features)
        hidden, memory = self.start(inputs) if state is None else self.resume(inputs, state)
        outputs = []
        for drive in self.input(inputs):  # C x(t), computed for all steps at once
            hidden, memory = self.step(hidden, memory, drive)
            outputs.append(hidden)
        cost = exact(inputs).new_zeros(inputs.shape[1])
        return Answer(torch.stack(outputs), FastWeightsState(hidden, memory), cost, {})

    def start(self, inputs: Float[Tensor, "time batch features"]) -> FastWeightsState:
        """Before the first step h and A are 0."""
        return FastWeightsState(inputs.new_zeros(inputs.shape[1], self.hidden_size), self.empty(inputs))

    def empty(self, inputs: Float[Tensor, "time batch features"]) -> MatrixMemory | HistoryMemory:
        """A = 0, in the form that serves these inputs."""
        if self.form_for(len(inputs)) == "attention":
            return HistoryMemory((), self.decay, self.rate)
        matrix = exact(inputs).new_zeros(inputs.shape[1], self.hidden_size, self.hidden_size)
        return MatrixMemory(matrix, self.decay, self.rate)

    def resume(self, inputs: Float[Tensor, "time batch features"], state: FastWeightsState) -> FastWeightsState:
        """The state of an earlier call, checked; what has become long is folded to a matrix."""
        hidden, memory = checks.state(state, FastWeightsState, inputs, hidden=(inputs.shape[1], self.hidden_size))
        if not isinstance(memory, self.memories):
            raise ValueError(f"The state's memory is a {type(memory).__name__}; it must be one of this layer.")
        memory.check(inputs, self)
        if isinstance(memory, HistoryMemory) and memory.history and self.form == "auto":
            if self.form_for(len(memory.history) + len(inputs)) == "matrix":
                memory = memory.folded()
        return FastWeightsState(hidden, memory)

    def form_for(self, steps: int) -> str:
        """The form that "auto" takes: over a sequence, attention costs S·T²·R multiplications, a matrix (S+1)·T·R²."""
        if self.form != "auto":
            return self.form
        return "attention" if self.inner_steps * steps <= (self.inner_steps + 1) * self.hidden_size else "matrix"
