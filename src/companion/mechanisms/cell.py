"""A recurrent cell for many steps on one input.

The cell sees the input with one more number: a flag that is 1 at the first inner step on an input and 0 at all later
ones. So the part of its sums that comes from the input has two values only, whatever the number of inner steps. They
are computed once, for all inputs at once; a step adds what comes from the state.

Source: Graves 2016, section 2, equations 3 and 4 and the text between them.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from companion import checks
from companion.state import HiddenState, LSTMState
from companion.surroundings import fresh

CELLS = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}


class Cell(nn.Module):
    """A recurrent cell whose state is one tuple of tensors, and which is told whether its input is new.

    Args:
        kind: "rnn" (tanh), "gru" or "lstm".
        input_size, hidden_size: widths of the input, without the flag, and of the state.

    Raises:
        ValueError: an unknown kind, or a size that is no whole number from 1 on.
    """

    def __init__(
        self,
        kind: str,
        input_size: int,
        hidden_size: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        if kind not in CELLS:
            raise ValueError(f"cell is {kind!r}; it must be one of {', '.join(CELLS)}.")
        checks.whole(input_size=input_size, hidden_size=hidden_size)
        self.kind, self.hidden_size = kind, hidden_size
        self.state = LSTMState if kind == "lstm" else HiddenState
        self.cell = CELLS[kind](input_size + 1, hidden_size, device=device, dtype=dtype)

    def start(
        self, inputs: Float[Tensor, "time batch features"], state: HiddenState | LSTMState | None = None
    ) -> HiddenState | LSTMState:
        """The state given, checked, or one of zeros.

        Raises:
            ValueError: the inputs do not have the cell's width, or the state is not this cell's or not theirs.
        """
        checks.sequence(inputs, self.cell.input_size - 1)
        shape = inputs.shape[1], self.hidden_size
        if state is None:
            return self.state(*[inputs.new_zeros(shape)] * len(self.state._fields))
        return checks.state(state, self.state, inputs, **dict.fromkeys(self.state._fields, shape))

    def drives(
        self, inputs: Float[Tensor, "time batch features"]
    ) -> tuple[Float[Tensor, "time batch sums"], Float[Tensor, "time batch sums"]]:
        """What each input adds to the cell's sums: at its first inner step, and at all the others."""
        weight, bias = fresh(self.cell).weight_ih, self.cell.bias_ih
        if self.kind != "gru":  # which multiplies a part of what comes from the state, bias included
            bias = bias + self.cell.bias_hh
        again = functional.linear(inputs, weight[:, :-1], bias)
        return again + weight[:, -1], again

    def forward(self, drive: Float[Tensor, "batch sums"], state: HiddenState | LSTMState) -> HiddenState | LSTMState:
        """The next state, from a drive and the state before it. `drives` comes first: it makes the weights fresh."""
        hidden, weight = state.hidden, self.cell.weight_hh.t()
        if self.kind == "rnn":
            return HiddenState(torch.addmm(drive, hidden, weight).tanh())
        if self.kind == "gru":
            reset, update, new = drive.chunk(3, 1)
            from_reset, from_update, from_new = torch.addmm(self.cell.bias_hh, hidden, weight).chunk(3, 1)
            keep = (update + from_update).sigmoid()
            new = (new + (reset + from_reset).sigmoid() * from_new).tanh()
            return HiddenState(new + keep * (hidden - new))
        take, keep, new, give = torch.addmm(drive, hidden, weight).chunk(4, 1)
        cell = keep.sigmoid() * state.cell + take.sigmoid() * new.tanh()
        return LSTMState(give.sigmoid() * cell.tanh(), cell)
