"""Sparse Attentive Backtracking (Ke et al. 2018): credit reaches the distant past through a few attended memories.

An LSTM keeps every `memory_every`-th of its states in a memory. At each step it scores all memories against its
present state, reads the best `top_k`, and adds what it read to its hidden state:

    (S1)  ĥ_t, c_t = LSTM(x_t, h_{t-1}, c_{t-1})           a provisional state
    (S2)  a_ti = w₃ · tanh(W₁ m_i + W₂ ĥ_t + b)            one score for each memory m_i
    (S3)  α_ti = max(0, a_ti − θ_t) / Σ_j max(0, a_tj − θ_t)       θ_t: the (top_k + 1)-th largest score
    (S4)  s_t = Σ_i α_ti m_i,   h_t = ĥ_t + s_t            the summary is added to h, never to c
    (S5)  output [h_t ; s_t];  every memory_every steps h_t joins the memory

Backwards, the hand-over (h_{t-1}, c_{t-1}) is cut every `truncation` steps, on a fixed grid. The memories are never
cut. So credit jumps from t to the moments it attends to, and from each of them back to the start of its window.

This file keeps the whole graph and is the definition; the folder `replay` computes the same with far less time and
memory, and is what runs unless asked otherwise. What the authors' released code computes instead is in `released`. What
the paper does while there are `top_k` memories or fewer we have not seen; we take a softmax over them. The memory
starts empty.
"""

from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from companion import checks, state
from companion.answer import Answer
from companion.layer import Layer
from companion.mechanisms.replay import Rule, SparseReplay
from companion.mechanisms.replay.scorers import MLPReplay, SumReplay
from companion.mechanisms.selection import sparsify
from companion.precision import exact, uncast
from companion.surroundings import fresh, listened_to, transformed

CELLS = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}
FORMS = ("auto", "replay", "graph")


class Memories(NamedTuple):
    """The remembered states and what each scorer precomputes of them, both (batch, memories, hidden)."""

    states: Tensor
    keys: Tensor

    def joined_by(self, state: Float[Tensor, "batch hidden"], key: Float[Tensor, "batch hidden"]) -> "Memories":
        new = (each.unsqueeze(1) for each in (state, key))
        return Memories(*(torch.cat(both, dim=1) for both in zip(self, new, strict=True)))


class SABState(NamedTuple):
    """What one call hands to the next.

    Attributes:
        hidden, cell: of the LSTM, (batch, hidden); another cell has no `cell`: None.
        memories: so far, (memories, batch, hidden).
        steps: made so far; the grid of cuts and of memories goes on from there.
    """

    hidden: Tensor
    cell: Tensor | None
    memories: Tensor
    steps: int
    batch_axes = {"memories": 1}
    detach, rows = state.detach, state.rows


class MLPScorer(nn.Module):
    """a_i = w₃ · tanh(W₁ m_i + W₂ ĥ + b) (equation S2). W₁ m_i is computed once, when m_i is stored."""

    replayed_by = MLPReplay, SumReplay  # the second where the first finds numbers too large

    def __init__(self, hidden_size: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None):
        super().__init__()
        where = {"device": device, "dtype": dtype}
        self.memory = nn.Linear(hidden_size, hidden_size, bias=False, **where)  # W₁
        self.query = nn.Linear(hidden_size, hidden_size, **where)  # W₂
        self.score = nn.Linear(hidden_size, 1, bias=False, **where)  # w₃

    def key(self, memory: Float[Tensor, "*batch hidden"]) -> Float[Tensor, "*batch hidden"]:
        return self.memory(memory)

    def forward(
        self, keys: Float[Tensor, "batch memories hidden"], provisional: Float[Tensor, "batch hidden"]
    ) -> Float[Tensor, "batch memories"]:
        return self.score(torch.tanh(keys + self.query(provisional).unsqueeze(1))).squeeze(2)

    def weights(self) -> list[tuple[nn.Module, str]]:
        """Where the weights are that the replay takes, in its order."""
        return [(self.memory, "weight"), (self.query, "weight"), (self.query, "bias"), (self.score, "weight")]


class SparseAttentiveBacktracking(Layer):
    """An LSTM that reminds itself of `top_k` of its past states, and sends credit to them.

    Example::

        import torch
        from companion import SparseAttentiveBacktracking

        layer = SparseAttentiveBacktracking(3, 8, top_k=2, truncation=5)
        answer = layer(torch.randn(20, 4, 3))  # (time, batch, features)
        answer.outputs.square().mean().backward()  # to what was remembered, too

    Args:
        input_size, hidden_size: widths of the input and of the LSTM.
        top_k: memories read at each step (the paper's k_top); None attends to all of them.
        truncation: steps between two cuts of the recurrent hand-over (k_trunc); None never cuts.
        memory_every: steps between two stored memories (k_att).
        normaliser: "subtract", the paper's (S3), or "softmax" over the selected memories.
        mental_updates: whether credit that arrives at a memory goes on to the steps before it in its window. If not,
            it reaches the LSTM cell that made the memory and stops there.
        forget_bias: added to the forget gate's bias at the start, as in every LSTM of the book; the released code adds
            nothing.
        form: "replay", which keeps no graph and replays the windows that receive credit, or "graph", the definition, or
            "auto": replay wherever it can, which is for an LSTM. Under a transform of `torch.func` it is the definition
            that runs, and for a second derivative, while a hook of yours waits for a part to be called, and in a
            subclass that changes `weigh`, `remind` or `advance`.
        cell: "lstm", or another recurrence in its place in (S1): "gru", or "rnn" (tanh).
        temperature: of the softmax; with "subtract" it matters only while memories are few.
        device, dtype: of the weights, as torch's own layers take them; the replay is in single precision at least.

    Call it with inputs (time, batch, input_size) and optionally the state of an earlier call. The answer's outputs
    are [h ; s], (time, batch, 2·hidden_size). Its trace holds "attention", (time, batch, memories), a sparse tensor but
    in the replay of full attention, and in the form "replay" also "replayed", (windows, batch): for each window and
    example whether it was; the backward pass fills it in.

    Raises:
        ValueError: a count is no whole number from 1 on, `forget_bias` or `temperature` is not finite, the temperature
            not above 0, or a normaliser, form or cell is unknown; in a call, inputs of another shape, or a state that
            is not this layer's or of another batch.

    Source: Ke et al. 2018, "SAB-augmented LSTM"; the concatenated output is that of the released code.
    """

    settings = ("top_k", "truncation", "memory_every", "normaliser", "mental_updates", "temperature", "form")
    decisive = ("top_k", "memory_every", "normaliser", "temperature")
    scorer_class = MLPScorer
    compiled = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        top_k: int | None = 5,
        truncation: int | None = 5,
        memory_every: int = 2,
        normaliser: str = "subtract",
        mental_updates: bool = True,
        forget_bias: float = 1.0,
        form: str = "auto",
        cell: str = "lstm",
        temperature: float = 1.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        if form not in FORMS:
            raise ValueError(f"form is {form!r}; it must be one of {', '.join(FORMS)}.")
        if cell not in CELLS:
            raise ValueError(f"cell is {cell!r}; it must be one of {', '.join(CELLS)}.")
        replayed = cell == "lstm" and self.is_defined_here()
        if form == "replay" and not replayed:
            raise ValueError("form is 'replay'; it must be 'graph' or 'auto' with another cell or another equation.")
        checks.whole(input_size=input_size, hidden_size=hidden_size, memory_every=memory_every)
        if truncation is not None:
            checks.whole(truncation=truncation)
        checks.finite(forget_bias=forget_bias)
        sparsify(torch.zeros(1, 1), top_k, normaliser, temperature)  # refuses bad options
        self.hidden_size, self.output_size = hidden_size, 2 * hidden_size
        self.top_k, self.truncation, self.memory_every = top_k, truncation, memory_every
        self.normaliser, self.temperature, self.mental_updates = normaliser, temperature, mental_updates
        self.form = ("replay" if replayed else "graph") if form == "auto" else form
        self.kind, self.cell = cell, CELLS[cell](input_size, hidden_size, device=device, dtype=dtype)
        if cell == "lstm":
            with torch.no_grad():
                self.cell.bias_hh[hidden_size : 2 * hidden_size] += forget_bias
        self.scorer = self.scorer_class(hidden_size, device=device, dtype=dtype)

    def weigh(self, scores: Float[Tensor, "batch memories"]) -> Float[Tensor, "batch memories"]:
        """Equation S3."""
        return sparsify(scores, self.top_k, self.normaliser, self.temperature)

    def remind(
        self, provisional: Float[Tensor, "batch hidden"], memories: Memories
    ) -> tuple[Float[Tensor, "batch hidden"], Float[Tensor, "batch memories"]]:
        """Equations S2 to S4: the summary s_t and the weights α_t, for a provisional state and the memories."""
        weights = self.weigh(self.scorer(memories.keys, provisional))
        return torch.bmm(weights.unsqueeze(1), memories.states).squeeze(1), weights

    def advance(
        self, x: Float[Tensor, "batch features"], hidden: Float[Tensor, "batch hidden"], cell: Tensor | None
    ) -> tuple[Float[Tensor, "batch hidden"], Tensor | None]:
        """Equation S1."""
        return self.cell(x, (hidden, cell)) if self.kind == "lstm" else (self.cell(x, hidden), None)

    def forward(self, inputs: Float[Tensor, "time batch features"], state: SABState | None = None) -> Answer:
        checks.sequence(inputs, self.cell.input_size)
        state = self.start(inputs) if state is None else self.resume(inputs, state)
        replayed = self.form == "replay" and not transformed() and not listened_to(self)
        run = self.replay if replayed else self.graph
        outputs, hidden, cell, memories, trace = run(inputs, *state)
        state = SABState(hidden, cell, memories, state.steps + len(inputs))
        return Answer(outputs, state, exact(inputs).new_zeros(inputs.shape[1]), trace)

    @classmethod
    def is_defined_here(cls) -> bool:
        """Whether the equations are those that the replay computes: a subclass may have another in their place."""
        equations = ("weigh", "remind", "advance")
        return all(getattr(cls, name) is getattr(SparseAttentiveBacktracking, name) for name in equations)

    def compile_scores(self) -> None:
        """Let torch compile what the replay does with all memories at each step; it needs a C++ compiler.

        The more memories, the more it saves. The first call takes half a minute longer. Sums are made in another order,
        so that results differ in the last digits.
        """
        self.compiled = True

    def start(self, inputs: Float[Tensor, "time batch features"]) -> SABState:
        """Nothing seen and nothing remembered."""
        zeros = inputs.new_zeros(inputs.shape[1], self.hidden_size)
        return SABState(zeros, zeros if self.kind == "lstm" else None, zeros.unsqueeze(0)[:0], 0)

    def resume(self, inputs: Float[Tensor, "time batch features"], state: SABState) -> SABState:
        """The state of an earlier call, checked."""
        shape = inputs.shape[1], self.hidden_size
        shapes = {"hidden": shape, "memories": (None, *shape)} | ({"cell": shape} if self.kind == "lstm" else {})
        state = checks.state(state, SABState, inputs, **shapes)
        checks.whole(0, steps=state.steps)
        return state

    def graph(self, inputs, hidden, cell, memories, start):
        """The definition, as (outputs, hidden, cell, memories, trace); all arguments but the inputs are a state's."""
        # In half precision a state of the replay is in single.
        hidden, cell, memories = (each if each is None else each.to(inputs.dtype) for each in (hidden, cell, memories))
        states = memories.transpose(0, 1)
        known = Memories(states, self.scorer.key(states))
        outputs, attention = [], []
        for step, x in enumerate(inputs, start):
            if self.truncation and step % self.truncation == 0:
                hidden, cell = hidden.detach(), None if cell is None else cell.detach()
            before = hidden.detach(), None if cell is None else cell.detach()
            provisional, cell = self.advance(x, hidden, cell)  # (S1)
            summary, weights = self.remind(provisional, known)  # (S2-S4)
            hidden = provisional + summary
            outputs.append(torch.cat([hidden, summary], dim=1))  # (S5)
            attention.append(weights.detach())
            if (step + 1) % self.memory_every == 0:
                remembered = hidden if self.mental_updates else self.advance(x, *before)[0] + summary.detach()
                known = known.joined_by(remembered, self.scorer.key(remembered))
        memories = known.states.transpose(0, 1)
        padded = [nn.functional.pad(weights, (0, len(memories) - weights.shape[1])) for weights in attention]
        trace = {} if transformed() else {"attention": torch.stack(padded).to_sparse()}
        return torch.stack(outputs), hidden, cell, memories, trace

    def places(self) -> list[tuple[nn.Module, str]]:
        """Where the weights are that the replay takes, in its order."""
        cell = [(self.cell, name) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        return [*cell, *self.scorer.weights()]

    def definition(self, start, inputs, hidden, cell, memories, *weights):
        """The form "graph" with the weights that the replay takes; the replay asks for it for a second derivative."""
        options = self.top_k, self.truncation, self.memory_every, self.normaliser, self.mental_updates
        sizes = self.cell.input_size, self.hidden_size
        plain = SparseAttentiveBacktracking(*sizes, *options, form="graph", device="meta")
        plain.scorer = self.scorer_class(self.hidden_size, device="meta")
        names = {part: name for name, part in plain.named_modules()}
        places = [f"{names[part]}.{name}" for part, name in plain.places()]
        given = dict(zip(places, weights, strict=True))
        answer = functional_call(plain, given, (inputs, SABState(hidden, cell, memories, start)))
        return answer.outputs, answer.state.hidden, answer.state.cell, answer.state.memories

    def replay(self, inputs, hidden, cell, memories, start):
        """The same, by sparse replay."""
        given = [exact(each) for each in (inputs, hidden, cell, memories)]
        for part in {part for part, _ in self.places()}:
            fresh(part)
        weights = [exact(getattr(part, name)) for part, name in self.places()]
        weights[-1] = weights[-1] / self.temperature
        for scorer in self.scorer_class.replayed_by:
            rule = Rule(
                partial(scorer, compiled=self.compiled),
                *(self.top_k, self.truncation, self.memory_every, self.normaliser, self.mental_updates, start),
                partial(self.definition, start),
                trace := {},
            )
            with uncast(inputs):
                outputs, *parts = SparseReplay.apply(rule, *given, *weights)
            if trace.pop("told_apart"):
                break
        return outputs.to(inputs.dtype), *parts, trace
