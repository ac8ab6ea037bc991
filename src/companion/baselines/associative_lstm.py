"""Associative LSTM (Danihelka et al. 2016): an LSTM whose cell is a holographic memory.

The cell is a vector of complex numbers. A value is stored by multiplying it with a complex key and adding the product
to the cell; it is found again by multiplying the cell with the key that reads. Whatever else lies in the cell comes
along as noise, and several copies of the cell, each with the keys' components in another order, average it out:

    (H1)  f, i, o = σ(W_g x_t + U_g h_{t−1} + b_g)                   one number for each complex component
    (H2)  u, r_in, r_out = bound(W x_t + U h_{t−1} + b)              a value and two keys, complex
    (H3)  c_s(t) = f ∘ c_s(t−1) + (P_s r_in) ⊛ (i ∘ u)               for each copy s; ⊛: the complex product
    (H4)  h_t = o ∘ bound( (1/S) Σ_s (P_s r_out) ⊛ c_s(t) )          S: the number of copies

bound(z) divides each complex component by max(1, |z|). With several heads, each writes with a key of its own the same
value and reads with a key of its own. The writes are averaged, the reads side by side are h_t.

Sources: Danihelka, Wayne, Uria, Kalchbrenner and Graves 2016, as two public implementations have it, and for the heads
a third one: whether the authors' heads share the value and the gates, we could not confirm. A vector of R numbers is
R/2 complex components, its first half the real parts.
"""

from typing import NamedTuple

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from companion import checks, state
from companion.answer import Answer
from companion.layer import Layer
from companion.precision import exact


def bound(z: Complex[Tensor, "*rest"]) -> Complex[Tensor, "*rest"]:
    """z, with each component of a modulus above 1 brought back to 1."""
    return z * z.abs().clamp(min=1).reciprocal()


class AssociativeLSTMState(NamedTuple):
    """What one call hands to the next: h, (batch, output_size), and the cells, complex (copies, batch, hidden / 2)."""

    hidden: Tensor
    cells: Tensor
    batch_axes = {"cells": 1}
    detach, rows = state.detach, state.rows


class AssociativeLSTM(Layer):
    """An LSTM that stores and finds values by complex keys.

    Args:
        input_size, hidden_size: width of the input, and R, the real numbers in a cell, an even number.
        copies: of the cell, each with the keys' components in its own fixed random order.
        heads: that write and read.
        forget_bias: added to the forget gate's bias at the start.
        device, dtype: of the weights, as torch's own layers take them.

    Call it with inputs (time, batch, input_size) and optionally the state of an earlier call; its outputs are
    (time, batch, heads · hidden_size).

    Raises:
        ValueError: the hidden size is odd, a count is no whole number from 1 on, or `forget_bias` is not finite;
            in a call, inputs of another shape, or a state that is not this layer's or of another batch.

    Source: Danihelka et al. 2016; Ba et al. 2016 compare with 4 copies and 3 heads.
    """

    settings = decisive = ("copies", "heads")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        copies: int = 4,
        heads: int = 3,
        forget_bias: float = 1.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        checks.whole(input_size=input_size, copies=copies, heads=heads)
        checks.whole(2, hidden_size=hidden_size)
        checks.finite(forget_bias=forget_bias)
        if hidden_size % 2:
            raise ValueError(f"hidden_size is {hidden_size}; it must be an even number.")
        self.hidden_size, self.output_size = hidden_size, heads * hidden_size
        self.copies, self.heads = copies, heads
        half = hidden_size // 2
        self.sizes = [3 * half, hidden_size, heads * hidden_size, heads * hidden_size]  # gates, u, r_in, r_out
        where = {"device": device, "dtype": dtype}
        self.input = nn.Linear(input_size, sum(self.sizes), **where)
        self.recurrent = nn.Linear(self.output_size, sum(self.sizes), bias=False, **where)
        with torch.no_grad():
            self.input.bias[:half] += forget_bias
        self.register_buffer("orders", torch.stack([torch.randperm(half) for _ in range(copies)]).to(device))  # P_s

    def complex(self, numbers: Float[Tensor, "batch width"], heads: int = 1) -> Complex[Tensor, "heads batch half"]:
        """Real halves and imaginary halves, head by head, made one complex tensor."""
        real, imaginary = exact(numbers).unflatten(1, (heads, 2, -1)).transpose(0, 1).unbind(2)
        return torch.complex(real, imaginary)

    def forward(
        self, inputs: Float[Tensor, "time batch features"], state: AssociativeLSTMState | None = None
    ) -> Answer:
        checks.sequence(inputs, self.input.in_features)
        batch, half = inputs.shape[1], self.hidden_size // 2
        if state is None:
            cells = torch.zeros(self.copies, batch, half, dtype=exact(inputs).dtype.to_complex(), device=inputs.device)
            state = AssociativeLSTMState(inputs.new_zeros(batch, self.output_size), cells)
        shapes = {"hidden": (batch, self.output_size), "cells": (self.copies, batch, half)}
        state = checks.state(state, AssociativeLSTMState, inputs, **shapes)
        hidden, cells = state
        outputs = []
        for drive in self.input(inputs):
            gates, value, *keys = (drive + self.recurrent(hidden)).split(self.sizes, dim=1)
            forget, take, give = exact(gates).sigmoid().chunk(3, dim=1)  # (H1)
            value = bound(self.complex(value))  # (H2)
            key_in, key_out = (bound(self.complex(key, self.heads))[..., self.orders] for key in keys)
            # The keys are (heads, batch, copies, half) now; the cells come first.
            written = key_in.mean(0).transpose(0, 1) * (take * value)
            cells = forget * cells + written  # (H3)
            read = bound((key_out.transpose(1, 2) * cells).mean(1)) * give  # (H4)
            hidden = torch.view_as_real(read).movedim(0, 1).transpose(2, 3).flatten(1).to(inputs.dtype)
            outputs.append(hidden)
        return Answer(torch.stack(outputs), AssociativeLSTMState(hidden, cells), exact(inputs).new_zeros(batch), {})
