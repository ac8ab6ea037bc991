"""LSTMs: plain, with truncated backpropagation, and with full self-attention over their own past."""

from contextlib import nullcontext

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion import checks
from companion.answer import Answer
from companion.layer import Layer
from companion.mechanisms.sparse_attentive_backtracking import SparseAttentiveBacktracking
from companion.precision import exact, uncast
from companion.state import LSTMState


class LSTM(Layer):
    """`torch.nn.LSTM` with one layer, trained by full or truncated backpropagation through time.

    Args:
        input_size, hidden_size: widths of the input and of the state.
        truncation: steps between two cuts of the hand-over, on the same fixed grid as the mechanism's; None never cuts.
        forget_bias: added to the forget gate's bias at the start.
        device, dtype: of the weights, as torch's own layers take them.

    Call it with inputs (time, batch, input_size) and optionally the state of an earlier call; its outputs are
    (time, batch, hidden_size). The grid starts afresh with every call.

    Raises:
        ValueError: a size or `truncation` is no whole number from 1 on, or `forget_bias` is not finite; in a call,
            inputs of another shape, or a state that is not this layer's or of another batch.

    Source: Hochreiter and Schmidhuber 1997; the forget bias as in Le et al. 2015.
    """

    settings = ("truncation",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        truncation: int | None = None,
        forget_bias: float = 1.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        checks.whole(input_size=input_size, hidden_size=hidden_size)
        if truncation is not None:
            checks.whole(truncation=truncation)
        checks.finite(forget_bias=forget_bias)
        self.hidden_size = self.output_size = hidden_size
        self.truncation = truncation
        self.lstm = nn.LSTM(int(input_size), int(hidden_size), device=device, dtype=dtype)
        with torch.no_grad():
            self.lstm.bias_hh_l0[hidden_size : 2 * hidden_size] += forget_bias

    def forward(self, inputs: Float[Tensor, "time batch features"], state: LSTMState | None = None) -> Answer:
        checks.sequence(inputs, self.lstm.input_size)
        if state is not None:
            shape = inputs.shape[1], self.hidden_size
            state = checks.state(state, LSTMState, inputs, hidden=shape, cell=shape)
        outputs = []
        # Under autocast torch's LSTM runs on a GPU; on a processor without half precision it finds no kernel.
        with uncast(inputs) if inputs.device.type == "cpu" else nullcontext():
            for window in inputs.split(self.truncation or len(inputs)):
                state = state.detach() if self.truncation and state is not None else state
                spoken, parts = self.lstm(window, state and tuple(part.unsqueeze(0) for part in state))
                state = LSTMState(*(part.squeeze(0) for part in parts))
                outputs.append(spoken)
        return Answer(torch.cat(outputs), state, exact(inputs).new_zeros(inputs.shape[1]), {})


class SelfAttentiveLSTM(SparseAttentiveBacktracking):
    """An LSTM that attends to every one of its past states, trained by full backpropagation through time.

    It is the mechanism of (S1) to (S5) with everything sparse taken out: all states stored, all of them read by a
    softmax, no cut.

    Args:
        input_size, hidden_size: widths of the input and of the state.
        options: more of `SparseAttentiveBacktracking`, such as a device.

    Source: the "LSTM with full self-attention" of Ke et al. 2018.
    """

    def __init__(self, input_size: int, hidden_size: int, **options):
        super().__init__(input_size, hidden_size, top_k=None, truncation=None, memory_every=1, **options)
