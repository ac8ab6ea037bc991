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
from companion.layer import Layer
from companion.mechanisms.cell import Cell
from companion.mechanisms.fast_pondering import ponder_fast
from companion.mechanisms.halting import Halting, halting_distribution, halting_logit, mean_field, pondering
from companion.precision import exact
from companion.state import HiddenState, LSTMState
from companion.surroundings import fresh, transformed

FORMS = ("fast", "plain")


class AdaptiveComputation(Layer):
    """A recurrent cell that decides, at each time step and for each example, how often to apply itself.

    Example::

        import torch
        from companion import AdaptiveComputation

        layer = AdaptiveComputation(3, 8, cell="gru", time_penalty=1e-3)
        answer = layer(torch.randn(20, 4, 3))  # (time, batch, features)
        (answer.outputs.square().mean() + answer.cost.mean()).backward()

    Args:
        input_size, hidden_size: widths of the input and of the state.
        cell: "rnn" (tanh), "gru" or "lstm".
        time_penalty: τ, the price of one inner step, in nats.
        epsilon: ε of (A3).
        max_steps: M, the cap on inner steps.
        halting_bias: b_h at the start. The paper's 1 begins with two steps.
        form: "plain" is the definition, "fast" computes the same in less time, see `fast_pondering`. Under a transform
            of `torch.func` it is the plain form that runs; under vmap neither can, since N decides what is computed.
        device, dtype: of the weights, as torch's own layers take them; halting is in single precision at least.

    Call it with inputs (time, batch, input_size) and optionally the state of an earlier call, a `HiddenState`, or for
    an LSTM an `LSTMState`. The answer's outputs are the mean-field h, (time, batch, hidden_size); its cost is τ
    · Σ_t ρ_t, (batch,); its trace holds "ponder_steps", N itself, (time, batch), and "halting", the distribution p,
    (time, steps, batch).

    Raises:
        ValueError: an unknown cell or form, `max_steps` that is no whole number from 1 on, `epsilon` outside (0, 1), a
            `time_penalty` that is negative or not finite; in a call, inputs of another shape, or a state that is not
            this layer's or of another batch.

    Source: Graves 2016, section 2.
    """

    settings = ("time_penalty", "epsilon", "max_steps", "form")
    decisive = ("epsilon", "max_steps")

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
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
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
        self.cell = Cell(cell, input_size, hidden_size, device, dtype)
        self.halt = nn.Linear(hidden_size, 1, device=device, dtype=dtype)
        nn.init.constant_(self.halt.bias, halting_bias)

    def ponder(
        self,
        first: Float[Tensor, "batch sums"],
        again: Float[Tensor, "batch sums"],
        state: HiddenState | LSTMState,
    ) -> tuple[HiddenState | LSTMState, Halting]:
        """One time step: apply the cell until every example has halted, then average (A1 to A6).

        `first` and `again` are what the input gives to the cell's sums, with the flag and without. The whole batch
        steps together. An example that has halted keeps stepping with the others; its later states have no weight, so
        neither its answer nor its gradient knows of them.
        """
        states, units = [], []
        spent = exact(first).new_zeros(len(first))
        while len(states) < self.max_steps and bool((spent < 1 - self.epsilon).any()):
            state = self.cell(again if states else first, state)  # (A1)
            states.append(state)
            units.append(torch.sigmoid(halting_logit(self.halt, state.hidden)))  # (A2)
            spent = spent + units[-1].detach()
        halting = halting_distribution(torch.stack(units), self.epsilon)  # (A3) to (A5)
        parts = (mean_field(halting.probabilities, torch.stack(part)) for part in zip(*states, strict=True))
        return self.cell.state(*parts), halting

    def forward(
        self, inputs: Float[Tensor, "time batch features"], state: HiddenState | LSTMState | None = None
    ) -> Answer:
        state, halt = self.cell.start(inputs, state), fresh(self.halt)
        ponder = self.ponder
        if self.form == "fast" and not transformed():
            ponder = partial(ponder_fast, self.cell, halt, self.epsilon, self.max_steps)
        outputs, spent = [], []
        for first, again in zip(*self.cell.drives(inputs), strict=True):
            state, halting = ponder(first, again, state)
            outputs.append(state.hidden)
            spent.append(halting)
        cost = self.time_penalty * sum(halting.steps + halting.remainder for halting in spent)  # (A7)
        trace = pondering([each.steps for each in spent], [each.probabilities for each in spent])
        return Answer(torch.stack(outputs), state, cost, trace)
