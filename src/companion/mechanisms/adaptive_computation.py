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

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion import checks
from companion.answer import Answer
from companion.mechanisms.cell import Cell
from companion.mechanisms.fast_pondering import ponder_fast
from companion.mechanisms.halting import Halting, halting_distribution

FORMS = ("fast", "plain")


class AdaptiveComputation(nn.Module):
    """A recurrent cell that decides, at each time step and for each example, how often to apply itself.

    Args:
        input_size, hidden_size: widths of the input and of the state.
        cell: "rnn" (tanh), "gru" or "lstm".
        time_penalty: τ, the price of one inner step, in nats.
        epsilon: ε of (A3).
        max_steps: M, the cap on inner steps.
        halting_bias: b_h at the start. The paper's 1 begins with two steps.
        form: "plain" is the definition, "fast" computes the same in less time, see `fast_pondering`.

    Call it with inputs (time, batch, input_size) and optionally the state of an earlier call: (h,), or for an LSTM (h,
    c), each (batch, hidden_size). The answer's outputs are the mean-field h, (time, batch, hidden_size); its cost is τ
    · Σ_t ρ_t, (batch,); its trace holds "ponder_steps", N itself, (time, batch), and "halting", the distribution p,
    (time, steps, batch).

    Raises:
        ValueError: an unknown cell or form, `max_steps` that is no whole number from 1 on, `epsilon` outside (0, 1), a
            `time_penalty` that is negative or not finite; in a call, inputs of another shape, or a state of other
            parts or another batch.

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
        form: str = "fast",
    ):
        super().__init__()
        checks.whole(max_steps=max_steps)
        checks.finite(time_penalty=time_penalty, halting_bias=halting_bias)
        if time_penalty < 0:
            raise ValueError(f"time_penalty is {time_penalty}; it must not be negative.")
        if form not in FORMS:
            raise ValueError(f"form is {form!r}; it must be one of {', '.join(FORMS)}.")
        halting_distribution(torch.zeros(1, 1), epsilon)
        self.hidden_size = self.output_size = hidden_size
        self.time_penalty, self.epsilon, self.max_steps = time_penalty, epsilon, max_steps
        self.form = form
        self.cell = Cell(cell, input_size, hidden_size)
        self.halt = nn.Linear(hidden_size, 1)
        nn.init.constant_(self.halt.bias, halting_bias)

    def ponder(
        self,
        first: Float[Tensor, "batch sums"],
        again: Float[Tensor, "batch sums"],
        state: tuple[Tensor, ...],
    ) -> tuple[tuple[Tensor, ...], Halting]:
        """One time step: apply the cell until every example has halted, then average (A1 to A6).

        `first` and `again` are what the input gives to the cell's sums, with the flag and without. The whole batch
        steps together. An example that has halted keeps stepping with the others; its later states have no weight, so
        neither its answer nor its gradient knows of them.
        """
        states, units = [], []
        spent = first.new_zeros(len(first))
        while len(states) < self.max_steps and bool((spent < 1 - self.epsilon).any()):
            state = self.cell(again if states else first, state)  # (A1)
            states.append(state)
            units.append(torch.sigmoid(self.halt(state[0])).squeeze(1))  # (A2)
            spent = spent + units[-1].detach()
        halting = halting_distribution(torch.stack(units), self.epsilon)  # (A3) to (A5)
        mean_field = tuple(
            (halting.probabilities.unsqueeze(2) * torch.stack(part)).sum(0) for part in zip(*states, strict=True)
        )  # (A6)
        return mean_field, halting

    def forward(self, inputs: Float[Tensor, "time batch features"], state: tuple[Tensor, ...] | None = None) -> Answer:
        state = self.cell.start(inputs, state)
        outputs, ponderings = [], []
        ponder = partial(ponder_fast, self) if self.form == "fast" else self.ponder
        for first, again in zip(*self.cell.drives(inputs), strict=True):
            state, halting = ponder(first, again, state)
            outputs.append(state[0])
            ponderings.append(halting)
        steps = torch.stack([halting.steps for halting in ponderings])
        ponder = sum(halting.steps + halting.remainder for halting in ponderings)  # Σ_t ρ_t
        longest = int(steps.max())
        spread = [halting.probabilities.detach() for halting in ponderings]
        spread = [p if len(p) == longest else nn.functional.pad(p, (0, 0, 0, longest - len(p))) for p in spread]
        trace = {"ponder_steps": steps, "halting": torch.stack(spread)}
        return Answer(torch.stack(outputs), state, self.time_penalty * ponder, trace)
