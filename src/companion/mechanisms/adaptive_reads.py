"""Two of the mechanisms in one layer: fast weights that learn how often to read (Ba et al. 2016, Graves 2016).

Fast weights settle in S inner steps, the same for every input. Here a halting unit looks at each inner state and says
when to stop, as in adaptive computation. With A(t) held while the state settles:

    h_n(t+1) = f(LN[W h(t) + C x(t) + A(t) h_{n−1}(t+1)])     n = 1 … N, h₀ as in (F2)
    p_n from the units σ(w · h_n + b), N from their sum       (A2) to (A5)
    h(t+1) = Σ_n p_n h_n(t+1)                                 (A6), and this one is written, once

The input is in the bracket at each inner step, so no flag tells the first. The price is that of (A7).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from companion import checks
from companion.answer import Answer
from companion.mechanisms.fast_weights import FastWeights, FastWeightsState
from companion.mechanisms.halting import Halting, halting_distribution, halting_logit, mean_field, pondering
from companion.precision import exact
from companion.surroundings import fresh


class AdaptiveFastWeights(FastWeights):
    """Fast weights that decide, at each time step and for each example, how often to read their memory.

    Args:
        input_size, hidden_size, decay, rate, form: as in `FastWeights`; more is passed on to it.
        time_penalty: τ, the price of one read, in nats.
        epsilon, max_steps, halting_bias: ε, M and b at the start, as in `AdaptiveComputation`; but M is 20 by default.

    It is called as `FastWeights` is. The answer's cost is τ · Σ_t (N + R), (batch,); its trace holds "ponder_steps",
    N, (time, batch), and "halting", p, (time, steps, batch). Under vmap it cannot run, since N decides what
    is computed.

    Raises:
        ValueError: as `FastWeights` and `AdaptiveComputation`, and for `inner_steps`, which are learned here.
    """

    settings = ("decay", "rate", "form", "time_penalty", "epsilon", "max_steps")
    decisive = ("decay", "rate", "epsilon", "max_steps")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        decay: float = 0.9,
        rate: float = 0.5,
        *,
        time_penalty: float = 1e-2,
        epsilon: float = 0.01,
        max_steps: int = 20,
        halting_bias: float = 1.0,
        **options,
    ):
        if "inner_steps" in options:
            raise ValueError("inner_steps is learned here; max_steps limits it.")
        checks.whole(max_steps=max_steps)
        checks.finite(time_penalty=time_penalty, halting_bias=halting_bias)
        if time_penalty < 0:
            raise ValueError(f"time_penalty is {time_penalty}; it must not be negative.")
        halting_distribution(torch.zeros(1, 1), epsilon)
        super().__init__(input_size, hidden_size, decay, rate, **options)
        self.time_penalty, self.epsilon, self.max_steps = time_penalty, epsilon, max_steps
        self.halt = nn.Linear(hidden_size, 1, device=options.get("device"), dtype=options.get("dtype"))
        nn.init.constant_(self.halt.bias, halting_bias)

    def ponder(
        self, hidden: Float[Tensor, "batch hidden"], memory: tuple, drive: Float[Tensor, "batch hidden"]
    ) -> tuple[Float[Tensor, "batch hidden"], Halting]:
        """One time step: read until every example has halted, then average. `drive` is C x(t)."""
        halt, boundary = fresh(self.halt), self.recurrent(hidden) + drive
        settled, states, units = relu(boundary), [], []
        spent = exact(hidden).new_zeros(len(hidden))
        while len(states) < self.max_steps and bool((spent < 1 - self.epsilon).any()):
            settled = relu(self.norm(boundary + memory.read(settled)))
            states.append(settled)
            units.append(torch.sigmoid(halting_logit(halt, settled)))
            spent = spent + units[-1].detach()
        halting = halting_distribution(torch.stack(units), self.epsilon)
        return mean_field(halting.probabilities, torch.stack(states)), halting

    def forward(self, inputs: Float[Tensor, "time batch features"], state: FastWeightsState | None = None) -> Answer:
        checks.sequence(inputs, self.input.in_features)
        hidden, memory = self.start(inputs) if state is None else self.resume(inputs, state)
        outputs, spent = [], []
        for drive in self.input(inputs):
            hidden, halting = self.ponder(hidden, memory, drive)
            memory = memory.write(hidden)
            outputs.append(hidden)
            spent.append(halting)
        cost = self.time_penalty * sum(halting.steps + halting.remainder for halting in spent)
        trace = pondering([each.steps for each in spent], [each.probabilities for each in spent])
        return Answer(torch.stack(outputs), FastWeightsState(hidden, memory), cost, trace)
