"""Rectified recurrent networks: what the fast weights are when there is no fast memory."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.answer import Answer
from companion.mechanisms.fast_weights import FastWeights, FastWeightsState


class IRNN(nn.Module):
    """h_t = ReLU(W h_{t−1} + V x_t + b), with W a multiple of the identity at the start.

    Args:
        input_size, hidden_size: widths of the input and of the state.
        recurrent_init: the multiple; Ba et al. 2016 take 0.5, Le et al. 2015 take 1.

    Call it with inputs (time, batch, input_size) and optionally the state of an earlier call; its outputs are
    (time, batch, hidden_size).

    Source: Le, Jaitly and Hinton 2015.
    """

    def __init__(self, input_size: int, hidden_size: int, recurrent_init: float = 0.5):
        super().__init__()
        self.hidden_size = self.output_size = hidden_size
        self.rnn = nn.RNN(input_size, hidden_size, nonlinearity="relu")
        with torch.no_grad():
            self.rnn.weight_hh_l0.copy_(recurrent_init * torch.eye(hidden_size))
            self.rnn.bias_hh_l0.zero_()
            self.rnn.bias_ih_l0.zero_()

    def forward(self, inputs: Float[Tensor, "time batch features"], state: Tensor | None = None) -> Answer:
        outputs, state = self.rnn(inputs, state)
        return Answer(outputs, state, inputs.new_zeros(inputs.shape[1]), {})


class LayerNormRNN(FastWeights):
    """h(t+1) = ReLU(LN[W h(t) + C x(t)]): fast weights with rate 0, so the memory stays empty.

    The control that Ba et al. 2016 lack: it has their layer normalisation and none of their memory. Its
    `recurrent_init` deserves to be tuned, since the 0.05 of the fast weights forgets almost everything in one step.

    Args:
        input_size, hidden_size: widths of the input and of the state.
        recurrent_init: the c of W = c·I at the start.

    Call it as `FastWeights`: inputs (time, batch, input_size) and optionally a state; outputs (time, batch,
    hidden_size).

    Raises:
        ValueError: as `FastWeights`.

    Source: ours; Ba et al. 2016, equation 5, without A.
    """

    def __init__(self, input_size: int, hidden_size: int, recurrent_init: float = 0.5):
        super().__init__(input_size, hidden_size, rate=0.0, form="attention", recurrent_init=recurrent_init)


class SlowMatrix(NamedTuple):
    """A learned matrix V where the fast weights have A: read alike, never written."""

    matrix: Tensor

    def write(self, hidden: Float[Tensor, "batch hidden"]) -> "SlowMatrix":
        return self

    def read(self, query: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden"]:
        return query @ self.matrix.T


class SettlingRNN(FastWeights):
    """h₀ = ReLU(W h(t) + C x(t)), then S times h_{s+1} = ReLU(LN[W h(t) + C x(t) + V h_s]).

    The control for depth: as many layers between two steps as the fast weights have, the same layer normalisation,
    and a learned matrix V in the place of A. Ba et al. 2016 have no such control; critics of the paper missed it.

    Args:
        input_size, hidden_size: widths of the input and of the state.
        inner_steps: S.
        recurrent_init: the c of W = c·I at the start. V starts at 0, as A does.

    Call it as `FastWeights`: inputs (time, batch, input_size) and optionally a state; outputs (time, batch,
    hidden_size).

    Raises:
        ValueError: as `FastWeights`.

    Source: ours; Ba et al. 2016, equation 5, with V for A.
    """

    def __init__(self, input_size: int, hidden_size: int, inner_steps: int = 1, recurrent_init: float = 0.5):
        super().__init__(input_size, hidden_size, inner_steps=inner_steps, recurrent_init=recurrent_init)
        self.settling = nn.Parameter(torch.zeros(hidden_size, hidden_size))  # V

    def forward(self, inputs: Float[Tensor, "time batch features"], state: FastWeightsState | None = None) -> Answer:
        hidden = inputs.new_zeros(inputs.shape[1], self.hidden_size) if state is None else state.hidden
        return super().forward(inputs, FastWeightsState(hidden, SlowMatrix(self.settling)))
