"""A cell that thinks the same number of steps about every input."""

import torch
from jaxtyping import Float
from torch import Tensor

from companion import checks
from companion.answer import Answer
from companion.layer import Layer
from companion.mechanisms.cell import Cell
from companion.precision import exact
from companion.state import HiddenState, LSTMState


class FixedRepeats(Layer):
    """A recurrent cell that takes the same number of steps on every input: the control for adaptive computation.

    The last state counts; nothing halts and nothing is averaged. With one repeat it is the plain cell.

    Args:
        input_size, hidden_size: widths of the input and of the state.
        cell: "rnn" (tanh), "gru" or "lstm".
        repeats: inner steps for each input.
        device, dtype: of the weights, as torch's own layers take them.

    Call it with inputs (time, batch, input_size) and optionally the state of an earlier call. Outputs are h, (time,
    batch, hidden_size); the trace holds "ponder_steps", (time, batch), all equal to `repeats`.

    Raises:
        ValueError: an unknown cell, or `repeats` that is no whole number from 1 on; in a call, inputs of another shape,
            or a state that is not this layer's or of another batch.

    Source: Fojo, Campos and Giró-i-Nieto 2018, whose input flag is that of Graves 2016.
    """

    settings = decisive = ("repeats",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        cell: str = "lstm",
        repeats: int = 2,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        checks.whole(repeats=repeats)
        self.hidden_size = self.output_size = hidden_size
        self.repeats = repeats
        self.cell = Cell(cell, input_size, hidden_size, device, dtype)

    def forward(
        self, inputs: Float[Tensor, "time batch features"], state: HiddenState | LSTMState | None = None
    ) -> Answer:
        state = self.cell.start(inputs, state)
        outputs = []
        for first, again in zip(*self.cell.drives(inputs), strict=True):
            for step in range(self.repeats):
                state = self.cell(again if step else first, state)
            outputs.append(state.hidden)
        time, batch, _ = inputs.shape
        trace = {"ponder_steps": torch.full((time, batch), self.repeats, device=inputs.device)}
        return Answer(torch.stack(outputs), state, exact(inputs).new_zeros(batch), trace)
