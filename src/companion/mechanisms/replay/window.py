"""The LSTM of one window, replayed: its gates are computed once more, and credit goes back through them step by step.

With i, f, g, o the gates' values, c_t = f c_{t−1} + i g and ĥ_t = o tanh(c_t), the usual backward step of an LSTM is

    c'_t += ĥ'_t o (1 − tanh²),   gates' = (c'_t g, c'_t c_{t−1}, c'_t i, ĥ'_t tanh) times their slopes
    c'_{t−1} = c'_t f,            h'_{t−1} = W_hhᵀ gates'
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def tanh(x: Tensor) -> Tensor:
    """As 2 σ(2x) − 1: on a CPU torch computes σ several times faster than tanh."""
    return (2 * x).sigmoid_().mul_(2).sub_(1)


class Window:
    """Some steps of an LSTM, replayed from the state before the first.

    Args:
        weights: of the LSTM: weight_ih, weight_hh, bias_ih, bias_hh.
        inputs: of the steps, (steps, batch, features).
        before: the hidden state before each step, (steps, batch, hidden).
        cell: the cell state before the first step, (batch, hidden).

    Attributes:
        provisional: ĥ, (steps, batch, hidden).
    """

    def __init__(self, weights: Sequence[Tensor], inputs: Tensor, before: Tensor, cell: Tensor):
        self.weight_ih, self.weight_hh, *biases = weights
        self.inputs, self.before = inputs, before
        sums = functional.linear(inputs, self.weight_ih, sum(biases)) + functional.linear(before, self.weight_hh)
        i, f, g, o = sums.unflatten(2, (4, -1)).unbind(2)
        i, f, g, o = i.sigmoid(), f.sigmoid(), tanh(g), o.sigmoid()
        cells = [cell]
        for forget, new in zip(f, i * g, strict=True):
            cells.append(torch.addcmul(new, forget, cells[-1]))
        past, squashed = torch.stack(cells[:-1]), tanh(torch.stack(cells[1:]))
        self.forget, self.provisional = f, o * squashed
        self.through = o * (1 - squashed * squashed)  # ∂ĥ/∂c
        # What the sum of each gate changes: those of i, f and g change c, that of o changes ĥ.
        slopes = [g * i * (1 - i), past * f * (1 - f), i * (1 - g * g), squashed * o * (1 - o)]
        self.gates = torch.stack(slopes, 2)  # (steps, batch, 4, hidden); `back` makes them the gradient of the sums

    def back(
        self, t: int, to_provisional: Tensor, to_cell: Tensor, stopping: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """From the gradients of ĥ_t and c_t to those of h_{t−1} and c_{t−1}; from the last step to the first.

        `stopping` is credit of ĥ_t that goes to the weights and to the input of step t, and no further.
        """
        gates = self.gates[t]
        if stopping is not None:
            own = gates * torch.stack([stopping * self.through[t]] * 3 + [stopping], 1)
        to_cell = torch.addcmul(to_cell, to_provisional, self.through[t])
        gates[:, :3] *= to_cell.unsqueeze(1)
        gates[:, 3] *= to_provisional
        to_hidden = gates.flatten(1) @ self.weight_hh
        if stopping is not None:
            gates += own
        return to_hidden, to_cell * self.forget[t]

    def to_inputs(self) -> Tensor:
        """The gradient of the inputs, once all steps are done."""
        return self.gates.flatten(2) @ self.weight_ih

    def add_to(self, weights: Tensor) -> None:
        """Add the gradient of [W_ih, W_hh, b], side by side and transposed: one product for all three."""
        seen = torch.cat([self.inputs, self.before, self.before.new_ones(*self.before.shape[:2], 1)], 2)
        weights.addmm_(seen.flatten(0, 1).T, self.gates.flatten(2).flatten(0, 1))
