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
memory, and is what runs unless asked otherwise. What the paper does while there
are `top_k` memories or fewer we have not seen; we take a softmax over them. The memory starts empty.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion import checks
from companion.answer import Answer
from companion.mechanisms.replay import Rule, SparseReplay
from companion.mechanisms.selection import RELEASED, sparsify


class Memories(NamedTuple):
    """The remembered states and what each scorer precomputes of them, both (batch, memories, hidden)."""

    states: Tensor
    keys: Tensor


class SABState(NamedTuple):
    """What one call hands to the next.

    Attributes:
        hidden, cell: of the LSTM, (batch, hidden).
        memories: so far, (memories, batch, hidden).
        steps: made so far; the grid of cuts and of memories goes on from there.
    """

    hidden: Tensor
    cell: Tensor
    memories: Tensor
    steps: int


class MLPScorer(nn.Module):
    """a_i = w₃ · tanh(W₁ m_i + W₂ ĥ + b) (equation S2). W₁ m_i is computed once, when m_i is stored."""

    def __init__(self, hidden_size: int):
        super().__init__()
        self.memory = nn.Linear(hidden_size, hidden_size, bias=False)  # W₁
        self.query = nn.Linear(hidden_size, hidden_size)  # W₂
        self.score = nn.Linear(hidden_size, 1, bias=False)  # w₃

    def key(self, memory: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden"]:
        return self.memory(memory)

    def forward(
        self, keys: Float[Tensor, "batch memories hidden"], provisional: Float[Tensor, "batch hidden"]
    ) -> Float[Tensor, "batch memories"]:
        return self.score(torch.tanh(keys + self.query(provisional).unsqueeze(1))).squeeze(2)


class ReleasedScorer(nn.Module):
    """a_i = w · tanh([ĥ ; m_i]), the score of the authors' released code.

    It is a sum of a query part and a memory part. Equation S3 subtracts one of the scores from all others, the query
    part cancels, and the weights no longer depend on the present state.
    """

    def __init__(self, hidden_size: int):
        super().__init__()
        self.query_weight = nn.Parameter(0.01 * torch.randn(hidden_size))
        self.memory_weight = nn.Parameter(0.01 * torch.randn(hidden_size))

    def key(self, memory: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden"]:
        return torch.tanh(memory)

    def forward(
        self, keys: Float[Tensor, "batch memories hidden"], provisional: Float[Tensor, "batch hidden"]
    ) -> Float[Tensor, "batch memories"]:
        return keys @ self.memory_weight + (torch.tanh(provisional) @ self.query_weight).unsqueeze(1)


SCORERS = {"mlp": MLPScorer, "released": ReleasedScorer}


class SparseAttentiveBacktracking(nn.Module):
    """An LSTM that reminds itself of `top_k` of its past states, and sends credit to them.

    Args:
        input_size, hidden_size: widths of the input and of the LSTM.
        top_k: memories read at each step (the paper's k_top); None attends to all of them.
        truncation: steps between two cuts of the recurrent hand-over (k_trunc); None never cuts.
        memory_every: steps between two stored memories (k_att).
        scorer: "mlp", the paper's (S2), or "released", the authors' code, which ignores the present state.
        normaliser: "subtract", the paper's (S3), or "softmax" over the selected memories, or what the released code
            does: "released", or "released-mixed", see `released_weights`.
        mental_updates: whether credit that arrives at a memory goes on to the steps before it in its window. If not,
            it reaches the LSTM cell that made the memory and stops there.
        forget_bias: added to the forget gate's bias at the start, as in every LSTM of the book; the released code adds
            nothing.
        form: "replay", which keeps no graph and replays the windows that receive credit, or "graph", the definition, or
            "auto": replay, except with a released normaliser, which only the definition has.

    Call it with inputs (time, batch, input_size) and optionally the state of an earlier call. The answer's outputs
    are [h ; s], (time, batch, 2·hidden_size). Its trace holds "attention", a sparse tensor (time, batch, memories), and
    in the form "replay" also "replayed", (windows, batch): for each window and example whether it was; the backward
    pass fills it in.

    Raises:
        ValueError: a count is no whole number from 1 on, or a scorer, normaliser or form is unknown; in a call, inputs
            of another shape, or the state of another batch.

    Source: Ke et al. 2018, "SAB-augmented LSTM"; the concatenated output is that of the released code.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        top_k: int | None = 5,
        truncation: int | None = 5,
        memory_every: int = 2,
        scorer: str = "mlp",
        normaliser: str = "subtract",
        mental_updates: bool = True,
        forget_bias: float = 1.0,
        form: str = "auto",
    ):
        super().__init__()
        if form not in ("auto", "replay", "graph"):
            raise ValueError(f"form is {form!r}; it must be 'auto', 'replay' or 'graph'.")
        if form == "auto":
            form = "graph" if normaliser in RELEASED else "replay"
        elif form == "replay" and normaliser in RELEASED:
            raise ValueError(f"form is 'replay'; it must be 'graph' or 'auto' with the normaliser {normaliser!r}.")
        if scorer not in SCORERS:
            raise ValueError(f"scorer is {scorer!r}; it must be one of {', '.join(SCORERS)}.")
        checks.whole(input_size=input_size, hidden_size=hidden_size, memory_every=memory_every)
        if truncation is not None:
            checks.whole(truncation=truncation)
        sparsify(torch.zeros(1, 1), top_k, normaliser)  # refuses bad options
        self.hidden_size, self.output_size = hidden_size, 2 * hidden_size
        self.top_k, self.truncation, self.memory_every = top_k, truncation, memory_every
        self.normaliser, self.mental_updates, self.form = normaliser, mental_updates, form
        self.cell = nn.LSTMCell(input_size, hidden_size)
        with torch.no_grad():
            self.cell.bias_hh[hidden_size : 2 * hidden_size] += forget_bias
        self.scorer_name, self.scorer = scorer, SCORERS[scorer](hidden_size)

    def remind(
        self, provisional: Float[Tensor, "batch hidden"], memories: Memories | None
    ) -> tuple[Float[Tensor, "batch hidden"], Float[Tensor, "batch memories"]]:
        """Equations S2 to S4: the summary s_t and the weights α_t, for a provisional state and the memories."""
        if memories is None:
            return torch.zeros_like(provisional), provisional.new_zeros(len(provisional), 0)
        weights = sparsify(self.scorer(memories.keys, provisional), self.top_k, self.normaliser)
        return torch.bmm(weights.unsqueeze(1), memories.states).squeeze(1), weights

    def forward(self, inputs: Float[Tensor, "time batch features"], state: SABState | None = None) -> Answer:
        checks.sequence(inputs, self.cell.input_size, None if state is None else state[:1])
        if state is None:
            zeros = inputs.new_zeros(inputs.shape[1], self.hidden_size)
            state = SABState(zeros, zeros, zeros.unsqueeze(0)[:0], 0)
        outputs, hidden, cell, memories, trace = (self.replay if self.form == "replay" else self.graph)(inputs, *state)
        state = SABState(hidden, cell, memories, state.steps + len(inputs))
        return Answer(outputs, state, inputs.new_zeros(inputs.shape[1]), trace)

    def graph(self, inputs, hidden, cell, memories, start):
        """The definition, as (outputs, hidden, cell, memories, trace); all arguments but the inputs are a state's."""
        stored = list(memories)
        keys = [self.scorer.key(memory) for memory in stored]
        known = Memories(torch.stack(stored, 1), torch.stack(keys, 1)) if stored else None
        outputs, attention = [], []
        for step, x in enumerate(inputs, start):
            if self.truncation and step % self.truncation == 0:
                hidden, cell = hidden.detach(), cell.detach()
            previous = hidden.detach(), cell.detach()
            provisional, cell = self.cell(x, (hidden, cell))  # (S1)
            summary, weights = self.remind(provisional, known)  # (S2-S4)
            hidden = provisional + summary
            outputs.append(torch.cat([hidden, summary], dim=1))  # (S5)
            attention.append(weights.detach())
            if (step + 1) % self.memory_every == 0:
                remembered = hidden if self.mental_updates else self.cell(x, previous)[0] + summary.detach()
                stored.append(remembered)
                keys.append(self.scorer.key(remembered))
                known = Memories(torch.stack(stored, 1), torch.stack(keys, 1))
        padded = [nn.functional.pad(weights, (0, len(stored) - weights.shape[1])) for weights in attention]
        memories = torch.stack(stored) if stored else memories
        return torch.stack(outputs), hidden, cell, memories, {"attention": torch.stack(padded).to_sparse()}

    def replay(self, inputs, hidden, cell, memories, start):
        """The same, by sparse replay."""
        trace = {}
        options = self.top_k, self.truncation, self.memory_every, self.normaliser, self.mental_updates
        rule = Rule(self.scorer_name, *options, start, trace)
        weights = [*self.cell.parameters(), *self.scorer.parameters()]
        return *SparseReplay.apply(rule, inputs, hidden, cell, memories, *weights), trace
