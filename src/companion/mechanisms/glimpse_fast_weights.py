"""Fast weights for glimpses (Ba et al. 2016, section 4.2): a memory that is written at the border of two levels.

A picture comes in groups of six glimpses, one group a quadrant: a coarse look x, four fine looks x₁ … x₄, and the same
coarse look x again. The slow weights of one network serve both scales; the fast weights carry what is known of the
whole picture over the fine looks, for which the state is wiped:

    (G1)  h¹ = f(LN[W h + C x])                               the coarse look; h: the integrated state so far
    (G2)  A ← λ A + η h¹ h¹ᵀ                                  stored, and the state is wiped: h = 0
    (G3)  hᶠ ← f(LN[W hᶠ + C xᵢ]),  i = 1 … 4                 fine looks from hᶠ = 0, with slow weights alone
    (G4)  h₀ = f(C x)                                         the coarse look again: a query for what was wiped
    (G5)  h_{s+1} = f(LN[Wᵢ hᶠ + C x + A h_s])                s = 0 … S−1, then h = h_S goes to the next quadrant

f is a ReLU, LN layer normalisation with one gain and bias for all of it, Wᵢ the paper's "integration transition
weights", a matrix of its own. Four quadrants make four writes, so the attention form of the memory (F4) is the cheap
one; gradients flow through it.

The paper gives the network a second input, a control signal that says when to store. Here it is the place of a glimpse
in its group of six, which the layer counts: it stores after each first, and integrates at each sixth.

What is read off Figure 3, without an equation in the text: the order of (G1) to (G5), the wipe, and that no W arrow
leads into (G4). What is left open, and our choice: whether C x stays in (G5), as it does in (F5) of the plain fast
weights; LN in (G1) and (G3); one LN for all; S = 1; λ = 0.95 and η = 0.5, the paper's values unless otherwise noted; W
and Wᵢ starting at 0.05 times the identity, which the paper says of W.

Since (G3) starts from nothing and reads no memory, the fine looks of all quadrants are taken side by side.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from companion import checks, state
from companion.answer import Answer
from companion.layer import Layer
from companion.mechanisms.fast_weights import HistoryMemory, MatrixMemory
from companion.precision import exact

GROUP = 6  # a coarse look, four fine ones, the coarse one again
FORMS = ("attention", "matrix")


def look(
    hidden: Float[Tensor, "*batch hidden"], drive: Float[Tensor, "*batch hidden"], slow: nn.Module, norm: nn.Module
) -> Float[Tensor, "*batch hidden"]:
    """One glimpse with slow weights alone, (G1) and each step of (G3).

    Args:
        hidden: the state before, h.
        drive: C x of the glimpse.
        slow, norm: W and LN.

    Returns:
        f(LN[W h + C x]), of the shape of `hidden`.

    Source: Ba et al. 2016, Figure 3.
    """
    return functional.relu(norm(slow(hidden) + drive))


def integrate(
    fine: Float[Tensor, "batch hidden"],
    drive: Float[Tensor, "batch hidden"],
    memory: HistoryMemory | MatrixMemory,
    transition: nn.Module,
    norm: nn.Module,
    inner_steps: int,
) -> Float[Tensor, "batch hidden"]:
    """The repeated coarse look, which brings the fine looks and the fast memory together, (G4) and (G5).

    Args:
        fine: the state after the four fine looks, hᶠ, (batch, R).
        drive: C x of the coarse look, (batch, R).
        memory: what `read` answers A h for.
        transition, norm: Wᵢ and LN.
        inner_steps: S.

    Returns:
        The integrated state h_S, (batch, R).

    Source: Ba et al. 2016, Figure 3, and equation 5 for the inner steps.
    """
    boundary = transition(fine) + drive
    settled = functional.relu(drive)  # (G4)
    for _ in range(inner_steps):
        settled = functional.relu(norm(boundary + memory.read(settled)))  # (G5)
    return settled


class GlimpseState(NamedTuple):
    """What one call hands to the next: the integrated state h, (batch, R), and the fast memory."""

    hidden: Tensor
    memory: HistoryMemory | MatrixMemory
    detach, rows = state.detach, state.rows


class GlimpseFastWeights(Layer):
    """Fast weights at two levels: coarse looks are stored, fine looks are not, and one step integrates both.

    Args:
        input_size, hidden_size: pixels of a glimpse, and width of the state (R).
        decay: λ, the share of A that is left after a write, in [0, 1]; a quadrant makes one write.
        rate: η, how strongly a coarse look is written; 0 leaves the memory empty, and with it all of the picture that
            came before the quadrant.
        inner_steps: S, how often the integration reads the memory.
        form: "attention" keeps the stored states, "matrix" keeps A; they compute the same.
        recurrent_init, integration_init: the c of W = c·I and of Wᵢ = c·I at the start; the paper takes 0.05 for W.
        device, dtype: of the weights, as torch's own layers take them.

    Call it with inputs (time, batch, input_size), where time is a multiple of six, and optionally the state of an
    earlier call. The answer's outputs are (time, batch, R): in each group h¹, then hᶠ after each fine look, then the
    integrated state.

    Raises:
        ValueError: an unknown form, a decay outside [0, 1], a size or number of inner steps that is no whole number
            from 1 on, a rate that is not finite; in a call, inputs of another shape, a state that is not this layer's
            or of another batch, or a number of glimpses that is no multiple of six.

    Source: Ba et al. 2016, section 4.2 and Figure 3.
    """

    settings = ("decay", "rate", "inner_steps", "form")
    decisive = ("decay", "rate", "inner_steps")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        decay: float = 0.95,
        rate: float = 0.5,
        inner_steps: int = 1,
        form: str = "attention",
        recurrent_init: float = 0.05,
        integration_init: float = 0.05,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        if form not in FORMS:
            raise ValueError(f"form is {form!r}; it must be one of {', '.join(FORMS)}.")
        checks.finite(decay=decay)
        if not 0 <= decay <= 1:
            raise ValueError(f"decay is {decay}; it must lie between 0 and 1.")
        checks.whole(input_size=input_size, hidden_size=hidden_size, inner_steps=inner_steps)
        checks.finite(rate=rate, recurrent_init=recurrent_init, integration_init=integration_init)
        self.hidden_size = self.output_size = hidden_size
        self.decay, self.rate, self.inner_steps, self.form = decay, rate, inner_steps, form
        where = {"device": device, "dtype": dtype}
        self.recurrent = nn.Linear(hidden_size, hidden_size, bias=False, **where)  # W
        self.integration = nn.Linear(hidden_size, hidden_size, bias=False, **where)  # Wᵢ
        self.input = nn.Linear(input_size, hidden_size, bias=False, **where)  # C; LN's bias makes one here superfluous
        self.norm = nn.LayerNorm(hidden_size, **where)
        nn.init.kaiming_uniform_(self.input.weight)  # of order one, as in FastWeights: h₀ has no LN
        with torch.no_grad():
            self.recurrent.weight.copy_(recurrent_init * torch.eye(hidden_size))
            self.integration.weight.copy_(integration_init * torch.eye(hidden_size))

    def start(self, inputs: Float[Tensor, "time batch pixels"]) -> GlimpseState:
        """Nothing seen and nothing stored."""
        batch, size = inputs.shape[1], self.hidden_size
        if self.form == "matrix":
            memory = MatrixMemory(exact(inputs).new_zeros(batch, size, size), self.decay, self.rate)
        else:
            memory = HistoryMemory((), self.decay, self.rate)
        return GlimpseState(inputs.new_zeros(batch, size), memory)

    def resume(self, inputs: Float[Tensor, "time batch pixels"], state: GlimpseState) -> GlimpseState:
        """The state of an earlier call, checked."""
        state = checks.state(state, GlimpseState, inputs, hidden=(inputs.shape[1], self.hidden_size))
        if not isinstance(state.memory, MatrixMemory | HistoryMemory):
            raise ValueError(f"The state's memory is a {type(state.memory).__name__}; it must be one of this layer.")
        state.memory.check(inputs, self)
        return state

    def forward(self, inputs: Float[Tensor, "time batch pixels"], state: GlimpseState | None = None) -> Answer:
        checks.sequence(inputs, self.input.in_features)
        if len(inputs) % GROUP:
            raise ValueError(
                f"The sequence has {len(inputs)} glimpses; it must be a multiple of six, a group a quadrant."
            )
        hidden, memory = self.start(inputs) if state is None else self.resume(inputs, state)
        drives = self.input(inputs).unflatten(0, (-1, GROUP))  # C x of all glimpses, (quadrants, 6, batch, R)
        fine, looks = torch.zeros_like(drives[:, 0]), []
        for drive in drives[:, 1:-1].unbind(1):  # (G3), all quadrants side by side
            fine = look(fine, drive, self.recurrent, self.norm)
            looks.append(fine)
        outputs = []
        for quadrant, coarse in enumerate(drives[:, 0]):
            hidden = look(hidden, coarse, self.recurrent, self.norm)  # (G1)
            memory = memory.write(hidden)  # (G2)
            outputs += [hidden, *(seen[quadrant] for seen in looks)]
            again = drives[quadrant, -1]
            hidden = integrate(fine[quadrant], again, memory, self.integration, self.norm, self.inner_steps)
            outputs.append(hidden)
        cost = exact(inputs).new_zeros(inputs.shape[1])
        return Answer(torch.stack(outputs), GlimpseState(hidden, memory), cost, {})
