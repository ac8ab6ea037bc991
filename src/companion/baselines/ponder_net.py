"""PonderNet (Banino et al. 2021): the number of steps is drawn, and the network is trained on the expected loss.

As in adaptive computation a cell is applied again and again to the same input, and a unit looks at each state. Here
the unit says with which probability to stop now, if nothing has stopped before:

    (P1)  λ_n = σ(W_h s^n + b_h)
    (P2)  p_n = λ_n Π_{j<n} (1 − λ_j),  p_N = Π_{j<N} (1 − λ_j)     the halting distribution; it sums to one
    (P3)  N = min{n : Π_{j≤n} (1 − λ_j) ≤ tail}, at most M           in training; the last step gets all that is left
    (P4)  L̂ = Σ_n p_n L(ŷ_n, y) + β KL(p ‖ g)                        ŷ_n: the answer at step n
    (P5)  g_n = λ_p (1 − λ_p)^{n−1} / (1 − (1 − λ_p)^M)              the prior, a geometric distribution cut at M

Nothing is averaged but losses: every ŷ_n must be an answer of its own. When the network is used, N is drawn from p, up
to M. That is (P3) with a number u, uniform in (0, 1), for `tail`: the chance that u lies below a product of 1 − λ_j is
that product, which is the chance that nothing has stopped yet.

The paper says that its prior is truncated; whether the cut mass is lost, goes to the last step or is shared out, we
could not tell. Here it is shared out, so that g sums to one. The first choice has the same gradient.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from companion import checks
from companion.answer import Answer
from companion.mechanisms.cell import Cell


class Thought(NamedTuple):
    """The inner steps on one input.

    Attributes:
        states: each part of the state, (steps, batch, hidden); h comes first.
        probabilities: p in training, (steps, batch).
        divergence: KL(p ‖ g) in nats, (batch,).
        steps: where each example stopped, (batch,).
    """

    states: tuple[Tensor, ...]
    probabilities: Tensor
    divergence: Tensor
    steps: Tensor

    @property
    def state(self) -> tuple[Tensor, ...]:
        """The state at which each example stopped, each part (batch, hidden)."""
        rows = torch.arange(len(self.steps), device=self.steps.device)
        return tuple(part[self.steps - 1, rows] for part in self.states)


def stopped(log_left: Float[Tensor, "steps batch"], until: Float[Tensor, "*batch"]) -> Int[Tensor, " batch"]:
    """The first step after which no more than `until` of the mass is left, or the last step there is (P3)."""
    return (1 + (log_left > until.log()).sum(0)).clamp(max=len(log_left))


def log_halting(logits: Float[Tensor, "steps batch"], tail: float) -> Float[Tensor, "steps batch"]:
    """log p, from the logits of λ (P1 to P3). After an example's N there is no mass: log p is −∞."""
    log_left = logsigmoid(-logits).cumsum(0)
    steps = stopped(log_left.detach(), logits.new_tensor(tail))
    before = torch.cat([torch.zeros_like(log_left[:1]), log_left[:-1]])
    index = torch.arange(1, len(logits) + 1, device=logits.device).unsqueeze(1)
    log_p = torch.where(index < steps, before + logsigmoid(logits), before)
    return log_p.masked_fill(index > steps, -math.inf)


def divergence(log_p: Float[Tensor, "steps batch"], prior: float, max_steps: int) -> Float[Tensor, " batch"]:
    """KL(p ‖ g) in nats, of p against the geometric prior cut at `max_steps` (P4, P5)."""
    index = torch.arange(len(log_p), device=log_p.device, dtype=log_p.dtype).unsqueeze(1)
    log_g = math.log(prior) + index * math.log1p(-prior) - math.log1p(-((1 - prior) ** max_steps))
    # Where p is 0 its term is 0; with log p = −∞ it would be NaN.
    return (log_p.exp() * (log_p.masked_fill(log_p == -math.inf, 0.0) - log_g)).sum(0)


class PonderNet(nn.Module):
    """A recurrent cell that after each application stops with a learned probability.

    Args:
        input_size, hidden_size: widths of the input and of the state.
        cell: "rnn" (tanh), "gru" or "lstm".
        prior: λ_p, the chance to stop at each step under the prior; it pulls N towards 1 / λ_p, or less where M cuts.
        weight: β, the price of a nat of divergence from the prior.
        max_steps: M, the cap on inner steps.
        tail: the mass that may be left when training stops unrolling.
        seed: of the draws in evaluation mode.

    Call it with inputs (time, batch, input_size) and optionally the state of an earlier call. N is drawn for each input
    and example; outputs are h after N steps, (time, batch, hidden_size), and that state goes to the next input. The
    cost is β KL(p ‖ g), summed over time, (batch,). The trace holds "ponder_steps", the N drawn, (time, batch), and
    "halting", p, (time, steps, batch).

    In evaluation mode every call draws the same numbers, so that the same inputs get the same answer; in training mode
    torch's own generator draws. The gradient of drawn steps is not that of (P4): train it in a
    `companion.expected_loss.PonderNetwork`.

    Raises:
        ValueError: an unknown cell, `prior` or `tail` outside (0, 1), a `weight` that is negative or not finite, or
            `max_steps` that is no whole number from 1 on; in a call, inputs of another shape, or a state of other parts
            or another batch.

    Source: Banino, Balaguer and Blundell 2021, section 2.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        cell: str = "lstm",
        prior: float = 0.1,
        weight: float = 0.01,
        max_steps: int = 20,
        tail: float = 0.05,
        seed: int = 0,
    ):
        super().__init__()
        for name, value in (("prior", prior), ("tail", tail)):
            if not 0 < value < 1:
                raise ValueError(f"{name} is {value}; it must be between 0 and 1.")
        checks.finite(weight=weight)
        if weight < 0:
            raise ValueError(f"weight is {weight}; it must be 0 or more.")
        checks.whole(max_steps=max_steps)
        self.hidden_size = self.output_size = hidden_size
        self.prior, self.weight, self.max_steps, self.tail, self.seed = prior, weight, max_steps, tail, seed
        self.cell = Cell(cell, input_size, hidden_size)
        self.halt = nn.Linear(hidden_size, 1)

    def think(
        self,
        first: Float[Tensor, "batch sums"],
        again: Float[Tensor, "batch sums"],
        state: tuple[Tensor, ...],
        until: Float[Tensor, " batch"],
    ) -> Thought:
        """One time step: apply the cell until each example has no more than `until` and no more than `tail` left.

        `first` and `again` are what the input gives to the cell's sums, with the flag and without. The whole batch
        steps together; what an example does after it has stopped counts for nothing.
        """
        states, logits = [], []
        log_left, enough = torch.zeros_like(until), until.clamp(max=self.tail).log()
        while len(states) < self.max_steps and bool((log_left > enough).any()):
            state = self.cell(again if states else first, state)
            states.append(state)
            logits.append(self.halt(state[0]).squeeze(1))
            log_left = log_left + logsigmoid(-logits[-1].detach())
        logits = torch.stack(logits)
        log_p = log_halting(logits, self.tail)
        parts = tuple(torch.stack(part) for part in zip(*states, strict=True))
        steps = stopped(logsigmoid(-logits.detach()).cumsum(0), until)
        return Thought(parts, log_p.exp(), divergence(log_p, self.prior, self.max_steps), steps)

    def answer(self, thoughts: list[Thought]) -> Answer:
        """What the layer says after one thought for each time step."""
        longest = max(len(thought.probabilities) for thought in thoughts)
        spread = [thought.probabilities.detach() for thought in thoughts]
        trace = {
            "ponder_steps": torch.stack([thought.steps for thought in thoughts]),
            "halting": torch.stack([nn.functional.pad(p, (0, 0, 0, longest - len(p))) for p in spread]),
        }
        outputs = torch.stack([thought.state[0] for thought in thoughts])
        cost = self.weight * sum(thought.divergence for thought in thoughts)
        return Answer(outputs, thoughts[-1].state, cost, trace)

    def forward(self, inputs: Float[Tensor, "time batch features"], state: tuple[Tensor, ...] | None = None) -> Answer:
        state = self.cell.start(inputs, state)
        generator = None if self.training else torch.Generator().manual_seed(self.seed)
        drawn = torch.rand(inputs.shape[:2], generator=generator).to(inputs)
        thoughts = []
        for first, again, until in zip(*self.cell.drives(inputs), drawn, strict=True):
            thoughts.append(self.think(first, again, state, until))
            state = thoughts[-1].state
        return self.answer(thoughts)
