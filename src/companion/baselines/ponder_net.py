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

from companion import checks, state
from companion.answer import Answer
from companion.layer import Layer
from companion.mechanisms.cell import Cell
from companion.mechanisms.halting import halting_logit, pondering
from companion.precision import exact
from companion.state import HiddenState, LSTMState
from companion.surroundings import fresh


class Thought(NamedTuple):
    """The inner steps on one input.

    Attributes:
        states: each part of the state, (steps, batch, hidden); h comes first.
        probabilities: p in training, (steps, batch).
        divergence: KL(p ‖ g) in nats, (batch,).
        steps: where each example stopped, (batch,).
    """

    states: HiddenState | LSTMState
    probabilities: Tensor
    divergence: Tensor
    steps: Tensor

    @property
    def state(self) -> HiddenState | LSTMState:
        """The state at which each example stopped, each part (batch, hidden)."""
        rows = torch.arange(len(self.steps), device=self.steps.device)
        return type(self.states)(*(part[self.steps - 1, rows] for part in self.states))


class PonderState(NamedTuple):
    """What one call hands to the next: the cell's state, and how many time steps were made so far."""

    cell: HiddenState | LSTMState
    made: int
    detach, rows = state.detach, state.rows


def drawn_by(inputs: Float[Tensor, "time batch features"], made: int, seed: int) -> Float[Tensor, "time batch"]:
    """Numbers in (0, 1), uniform over inputs, that go by what an example is shown and when.

    So the same example gets the same answer in another batch, at another place, or in a call of its own. It is a hash:
    the bits of the input and the time step, each times an odd number drawn by the seed, then mixed.

    Args:
        inputs: of the call.
        made: time steps before this call.
        seed: of the hash.

    Source: the mixing is that of SplitMix64 (Steele, Lea and Flood 2014).
    """
    time, _, features = inputs.shape
    odd = torch.randint(2**62, (features + 1,), generator=torch.Generator().manual_seed(seed)) * 2 + 1
    odd = odd.to(inputs.device)
    bits = (inputs.detach().float() + 0.0).view(torch.int32).long()  # −0 is 0
    when = torch.arange(made, made + time, device=inputs.device).unsqueeze(1) * odd[-1]
    mixed = (bits * odd[:-1]).sum(2) + when
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15), (31, 1)):
        mixed = (mixed ^ ((mixed >> shift) & (2 ** (64 - shift) - 1))) * factor
    return between(mixed)


def between(bits: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """A number in (0, 1), without its ends, from the lowest 24 bits but one: single precision has no room for more."""
    return (((bits >> 1) & (2**23 - 1)).float() + 0.5) / 2**23


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


class PonderNet(Layer):
    """A recurrent cell that after each application stops with a learned probability.

    Example::

        import torch
        from companion import PonderNet

        layer = PonderNet(3, 8, cell="gru", prior=0.2).eval()
        answer = layer(torch.randn(20, 4, 3))  # (time, batch, features)
        answer.trace["ponder_steps"]  # as drawn, (time, batch)

    Args:
        input_size, hidden_size: widths of the input and of the state.
        cell: "rnn" (tanh), "gru" or "lstm".
        prior: λ_p, the chance to stop at each step under the prior; it pulls N towards 1 / λ_p, or less where M cuts.
        weight: β, the price of a nat of divergence from the prior.
        max_steps: M, the cap on inner steps.
        tail: the mass that may be left when training stops unrolling.
        seed: of the draws in evaluation mode.
        device, dtype: of the weights, as torch's own layers take them; halting is in single precision at least.

    Call it with inputs (time, batch, input_size) and optionally the state of an earlier call. N is drawn for each input
    and example; outputs are h after N steps, (time, batch, hidden_size), and that state goes to the next input. The
    cost is β KL(p ‖ g), summed over time, (batch,). The trace holds "ponder_steps", the N drawn, (time, batch), and
    "halting", p, (time, steps, batch).

    In evaluation mode an example's draws go by its inputs, so that it gets the same answer in every batch and call; in
    training mode torch's own generator draws. The gradient of drawn steps is not that of (P4): train it in a
    `companion.expected_loss.PonderNetwork`.

    Raises:
        ValueError: an unknown cell, `prior` or `tail` outside (0, 1), a `weight` that is negative or not finite, or
            `max_steps` that is no whole number from 1 on; in a call, inputs of another shape, or a state that is not
            this layer's or of another batch.

    Source: Banino, Balaguer and Blundell 2021, section 2.
    """

    settings = ("prior", "weight", "max_steps", "tail", "seed")
    decisive = ("max_steps",)

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
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        checks.finite(prior=prior, tail=tail, weight=weight)
        for name, value in (("prior", prior), ("tail", tail)):
            if not 0 < value < 1:
                raise ValueError(f"{name} is {value}; it must be between 0 and 1.")
        if weight < 0:
            raise ValueError(f"weight is {weight}; it must be 0 or more.")
        checks.whole(max_steps=max_steps)
        self.hidden_size = self.output_size = hidden_size
        self.prior, self.weight, self.max_steps, self.tail, self.seed = prior, weight, max_steps, tail, seed
        self.cell = Cell(cell, input_size, hidden_size, device, dtype)
        self.halt = nn.Linear(hidden_size, 1, device=device, dtype=dtype)

    def think(
        self,
        first: Float[Tensor, "batch sums"],
        again: Float[Tensor, "batch sums"],
        state: HiddenState | LSTMState,
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
            logits.append(halting_logit(self.halt, state.hidden))
            log_left = log_left + logsigmoid(-logits[-1].detach())
        logits = torch.stack(logits)
        log_p = log_halting(logits, self.tail)
        parts = self.cell.state(*(torch.stack(part) for part in zip(*states, strict=True)))
        steps = stopped(logsigmoid(-logits.detach()).cumsum(0), until)
        return Thought(parts, log_p.exp(), divergence(log_p, self.prior, self.max_steps), steps)

    def start(self, inputs: Float[Tensor, "time batch features"], state: PonderState | None = None) -> PonderState:
        """The state given, checked, or that before the first step."""
        if state is None:
            return PonderState(self.cell.start(inputs), 0)
        state = checks.state(state, PonderState, inputs)
        return state._replace(cell=self.cell.start(inputs, state.cell))

    def answer(self, thoughts: list[Thought], made: int) -> Answer:
        """What the layer says after one thought for each time step, of which so many were made with these."""
        outputs = torch.stack([thought.state.hidden for thought in thoughts])
        cost = self.weight * sum(thought.divergence for thought in thoughts)
        trace = pondering([each.steps for each in thoughts], [each.probabilities for each in thoughts])
        return Answer(outputs, PonderState(thoughts[-1].state, made), cost, trace)

    def forward(self, inputs: Float[Tensor, "time batch features"], state: PonderState | None = None) -> Answer:
        (cell, made), _ = self.start(inputs, state), fresh(self.halt)
        drawn = torch.rand_like(exact(inputs[:, :, 0])) if self.training else drawn_by(inputs, made, self.seed)
        thoughts = []
        for first, again, until in zip(*self.cell.drives(inputs), drawn, strict=True):
            thoughts.append(self.think(first, again, cell, until))
            cell = thoughts[-1].state
        return self.answer(thoughts, made + len(inputs))
