"""LSTMs: plain, with truncated backpropagation, and with full self-attention over their own past."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.answer import Answer
from companion.mechanisms.sparse_attentive_backtracking import SparseAttentiveBacktracking


class LSTM(nn.Module):
    """`torch.nn.LSTM` with one layer, trained by full or truncated backpropagation through time.

    Args:
        input_size, hidden_size: widths of the input and of the state.
        truncation: steps between two cuts of the hand-over, on the same fixed grid as the mechanism's; None never cuts.
        forget_bias: added to the forget gate's bias at the start.

    Call it with inputs (time, batch, input_size) and optionally the state of an earlier call; its outputs are
    (time, batch, hidden_size). The grid starts afresh with every call.

    Raises:
        ValueError: `truncation` is below one.

    Source: Hochreiter and Schmidhuber 1997; the forget bias as in Le et al. 2015.
    """

    def __init__(self, input_size: int, hidden_size: int, truncation: int | None = None, forget_bias: float = 1.0):
        super().__init__()
        if truncation is not None and truncation < 1:
            raise ValueError(f"truncation is {truncation}; it must be at least 1.")
        self.hidden_size = self.output_size = hidden_size
        self.truncation = truncation
        self.lstm = nn.LSTM(input_size, hidden_size)
        with torch.no_grad():
            self.lstm.bias_hh_l0[hidden_size : 2 * hidden_size] += forget_bias

    def forward(
        self, inputs: Float[Tensor, "time batch features"], state: tuple[Tensor, Tensor] | None = None
    ) -> Answer:
        outputs = []
        for window in inputs.split(self.truncation or len(inputs)):
            state = None if state is None else (state[0].detach(), state[1].detach()) if self.truncation else state
            spoken, state = self.lstm(window, state)
            outputs.append(spoken)
        return Answer(torch.cat(outputs), state, inputs.new_zeros(inputs.shape[1]), {})


class SelfAttentiveLSTM(SparseAttentiveBacktracking):
    """An LSTM that attends to every one of its past states, trained by full backpropagation through time.

    It is the mechanism of (S1) to (S5) with everything sparse taken out: all states stored, all of them read by a
    softmax, no cut.

    Args:
        input_size, hidden_size: widths of the input and of the state.

    Source: the "LSTM with full self-attention" of Ke et al. 2018.
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__(input_size, hidden_size, top_k=None, truncation=None, memory_every=1)
