"""Adaptive Computation Time (Graves 2016): the network learns how long to think about each input.

At every time step t the cell S is applied again and again to the same input, until a halting unit says stop:

    (A1)  s_t^n = S(s_t^{n−1}, x_t^n),  s_t^0 = s_{t−1}        x_t^n: x_t with a flag that is 1 at n = 1, else 0
    (A2)  h_t^n = σ(W_h s_t^n + b_h)                           the halting unit, b_h = 1 at the start
    (A3)  N(t) = min{n : h_t^1 + … + h_t^n ≥ 1 − ε}, at most M
    (A4)  R(t) = 1 − Σ_{n<N(t)} h_t^n                          the remainder
    (A5)  p_t^n = h_t^n for n < N(t),  p_t^{N(t)} = R(t)       the halting distribution; it sums to one
    (A6)  s_t = Σ_n p_t^n s_t^n                                the mean-field state, which goes to t + 1
    (A7)  ρ_t = N(t) + R(t),  L̂ = L + τ Σ_t ρ_t                the ponder cost and the loss it is added to

N(t) is a constant for the gradient; R(t) is differentiated. The paper averages the outputs like the states. An affine
read-out of the averaged state is the average of the read-outs, since p sums to one, so the layer answers with s_t.

The paper's numbers: (A1) its 3, (A2) 5, (A3) 7 and 13, (A4) 8, (A5) 6, (A6) 9, (A7) 10 to 12. The paper does not say
whether the halting unit of an LSTM sees the cell state; here it sees h alone.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.answer import Answer

CELLS = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}


class Halting(NamedTuple):
    """How the mass of one is spread over the inner steps: p (steps, batch), N (batch,), R (batch,)."""

    probabilities: Tensor
    steps: Tensor
    remainder: Tensor


def halting_distribution(halting: Float[Tensor, "steps batch"], epsilon: float) -> Halting:
    """Turn halting units into the halting distribution (equations A3 to A5).

    The number of rows is the cap M: an example that has not halted before the last row halts there, with all the mass
    that is left.

    Args:
        halting: the units h^1 … h^M, each in (0, 1), (steps, batch).
        epsilon: ε, the mass that need not be spent before halting, in (0, 1).

    Returns:
        probabilities p, (steps, batch), which sum to one; steps N, integers, (batch,); remainder R, (batch,).

    Raises:
        ValueError: `epsilon` lies outside (0, 1).

    Source: Graves 2016, equations 6 to 8 and 13. N carries no gradient; R and p do (equations 14 and 18).
    """
    if not 0 < epsilon < 1:
        raise ValueError(f"epsilon is {epsilon}; it must lie between 0 and 1.")
    count = len(halting)
    running = halting.detach().cumsum(0) < 1 - epsilon
    steps = (1 + running.sum(0)).clamp(max=count)
    index = torch.arange(1, count + 1, device=halting.device).unsqueeze(1)
    before = halting * (index < steps)
    remainder = 1 - before.sum(0)
    return Halting(before + remainder * (index == steps), steps, remainder)


class Cell(nn.Module):
    """A recurrent cell whose state is one tuple of tensors, and which is told whether its input is new (A1)."""

    def __init__(self, kind: str, input_size: int, hidden_size: int):
        super().__init__()
        if kind not in CELLS:
            raise ValueError(f"cell is {kind!r}; it must be one of {', '.join(CELLS)}.")
        self.hidden_size, self.parts = hidden_size, 2 if kind == "lstm" else 1
        self.cell = CELLS[kind](input_size + 1, hidden_size)

    def start(self, inputs: Float[Tensor, "time batch features"]) -> tuple[Tensor, ...]:
        """A state of zeros: (h,), or (h, c) for an LSTM, each (batch, hidden)."""
        return (inputs.new_zeros(inputs.shape[1], self.hidden_size),) * self.parts

    def flagged(self, x: Float[Tensor, "batch features"]) -> tuple[Tensor, Tensor]:
        """The input of the first inner step, and that of all the others, both (batch, features + 1)."""
        return torch.cat([x, torch.ones_like(x[:, :1])], 1), torch.cat([x, torch.zeros_like(x[:, :1])], 1)

    def forward(self, x: Float[Tensor, "batch features"], state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return self.cell(x, state) if self.parts == 2 else (self.cell(x, state[0]),)


class AdaptiveComputation(nn.Module):
    """A recurrent cell that decides, at each time step and for each example, how often to apply itself.

    Args:
        input_size, hidden_size: widths of the input and of the state.
        cell: "rnn" (tanh), "gru" or "lstm".
        time_penalty: τ, the price of one inner step, in nats.
        epsilon: ε of (A3).
        max_steps: M, the cap on inner steps.
        halting_bias: b_h at the start. The paper's 1 begins with two steps.

    Call it with inputs (time, batch, input_size) and optionally the state of an earlier call. The answer's outputs are
    the mean-field h, (time, batch, hidden_size); its cost is τ · Σ_t ρ_t, (batch,); its trace holds "ponder_steps", N
    itself, (time, batch), and "halting", the distribution p, (time, steps, batch).

    Raises:
        ValueError: an unknown cell, `max_steps` below one, `epsilon` outside (0, 1), or a negative `time_penalty`.

    Source: Graves 2016, section 2.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        cell: str = "lstm",
        time_penalty: float = 1e-2,
        epsilon: float = 0.01,
        max_steps: int = 100,
        halting_bias: float = 1.0,
    ):
        super().__init__()
        if max_steps < 1:
            raise ValueError(f"max_steps is {max_steps}; it must be at least 1.")
        if time_penalty < 0:
            raise ValueError(f"time_penalty is {time_penalty}; it must not be negative.")
        halting_distribution(torch.zeros(1, 1), epsilon)
        self.hidden_size = self.output_size = hidden_size
        self.time_penalty, self.epsilon, self.max_steps = time_penalty, epsilon, max_steps
        self.cell = Cell(cell, input_size, hidden_size)
        self.halt = nn.Linear(hidden_size, 1)
        nn.init.constant_(self.halt.bias, halting_bias)

    def ponder(
        self, x: Float[Tensor, "batch features"], state: tuple[Tensor, ...]
    ) -> tuple[tuple[Tensor, ...], Halting]:
        """One time step: apply the cell until every example has halted, then average (A1 to A6).

        The whole batch steps together. An example that has halted keeps stepping with the others; its later states
        have no weight, so neither its answer nor its gradient knows of them.
        """
        first, again = self.cell.flagged(x)
        states, units = [], []
        spent = x.new_zeros(len(x))
        while len(states) < self.max_steps and bool((spent < 1 - self.epsilon).any()):
            state = self.cell(again if states else first, state)  # (A1)
            states.append(state)
            units.append(torch.sigmoid(self.halt(state[0])).squeeze(1))  # (A2)
            spent = spent + units[-1].detach()
        halting = halting_distribution(torch.stack(units), self.epsilon)
        mean_field = tuple(
            torch.einsum("nb,nbh->bh", halting.probabilities, torch.stack(part)) for part in zip(*states, strict=True)
        )
        return mean_field, halting

    def forward(self, inputs: Float[Tensor, "time batch features"], state: tuple[Tensor, ...] | None = None) -> Answer:
        state = self.cell.start(inputs) if state is None else state
        outputs, ponderings = [], []
        for x in inputs:
            state, halting = self.ponder(x, state)
            outputs.append(state[0])
            ponderings.append(halting)
        steps = torch.stack([halting.steps for halting in ponderings])
        ponder = sum(halting.steps + halting.remainder for halting in ponderings)  # Σ_t ρ_t
        longest = int(steps.max())
        spread = [halting.probabilities.detach() for halting in ponderings]
        spread = [nn.functional.pad(p, (0, 0, 0, longest))[:longest] for p in spread]
        trace = {"ponder_steps": steps, "halting": torch.stack(spread)}
        return Answer(torch.stack(outputs), state, self.time_penalty * ponder, trace)
