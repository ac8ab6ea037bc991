"""Rectified recurrent networks: what the fast weights are when there is no fast memory."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, relu

from companion import checks, state
from companion.answer import Answer
from companion.layer import Layer
from companion.mechanisms.fast_weights import FastWeights
from companion.precision import exact
from companion.state import HiddenState


class IRNN(Layer):
    """A plain ReLU network whose W starts as a multiple of the identity: h_t = ReLU(W h_{t−1} + V x_t + b).

    Args:
        input_size, hidden_size: widths of the input and of the state.
        recurrent_init: the multiple; Ba et al. 2016 take 0.5, Le et al. 2015 take 1.
        device, dtype: of the weights, as torch's own layers take them.

    Call it with inputs (time, batch, input_size) and optionally the state of an earlier call; its outputs are
    (time, batch, hidden_size).

    Raises:
        ValueError: a size is no whole number from 1 on, or `recurrent_init` is not finite; in a call, inputs of another
            shape, or a state that is not this layer's or of another batch.

    Source: Le, Jaitly and Hinton 2015.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        recurrent_init: float = 0.5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        checks.whole(input_size=input_size, hidden_size=hidden_size)
        checks.finite(recurrent_init=recurrent_init)
        self.hidden_size = self.output_size = hidden_size
        self.rnn = nn.RNN(int(input_size), int(hidden_size), nonlinearity="relu", device=device, dtype=dtype)
        with torch.no_grad():
            self.rnn.weight_hh_l0.copy_(recurrent_init * torch.eye(hidden_size))
            self.rnn.bias_hh_l0.zero_()
            self.rnn.bias_ih_l0.zero_()

    def forward(self, inputs: Float[Tensor, "time batch features"], state: HiddenState | None = None) -> Answer:
        checks.sequence(inputs, self.rnn.input_size)
        if state is not None:
            state = checks.state(state, HiddenState, inputs, hidden=(inputs.shape[1], self.hidden_size))
        outputs, hidden = self.rnn(inputs, state and state.hidden.unsqueeze(0))
        cost = exact(inputs).new_zeros(inputs.shape[1])
        return Answer(outputs, HiddenState(hidden.squeeze(0)), cost, {})


class NoMemory(NamedTuple):
    """In the place of a fast memory: nothing."""

    detach, rows = state.detach, state.rows

    def check(self, inputs: Tensor, layer: FastWeights) -> None:
        pass


class WithoutMemory(FastWeights):
    """Fast weights whose memory stays empty."""

    memories = (NoMemory,)

    def empty(self, inputs: Float[Tensor, "time batch features"]) -> NoMemory:
        return NoMemory()


class LayerNormRNN(WithoutMemory):
    """The control for memory: fast weights whose memory stays empty, h(t+1) = ReLU(LN[W h(t) + C x(t)]).

    It computes what rate 0 does. Ba et al. 2016 lack this control: it has their layer normalisation and none of their
    memory. Its `recurrent_init` deserves to be tuned, since the 0.05 of the fast weights forgets almost everything in
    one step.

    Args:
        input_size, hidden_size: widths of the input and of the state.
        recurrent_init: the c of W = c·I at the start.
        device, dtype: of the weights, as torch's own layers take them.

    Call it as `FastWeights`: inputs (time, batch, input_size) and optionally a state; outputs (time, batch,
    hidden_size).

    Raises:
        ValueError: as `FastWeights`.

    Source: ours; Ba et al. 2016, equation 5, without A.
    """

    settings = decisive = ()

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        recurrent_init: float = 0.5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__(input_size, hidden_size, rate=0.0, recurrent_init=recurrent_init, device=device, dtype=dtype)

    def step(self, hidden, memory, drive):
        return relu(self.norm(self.recurrent(hidden) + drive)), memory


class SettlingRNN(WithoutMemory):
    """The control for depth: as many layers between two steps as the fast weights have, and no memory.

    h₀ = ReLU(W h(t) + C x(t)), then S times h_{s+1} = ReLU(LN[W h(t) + C x(t) + V h_s]): the same layer normalisation,
    and a learned matrix V in the place of A. Ba et al. 2016 have no such control; critics of the paper missed it.

    Args:
        input_size, hidden_size: widths of the input and of the state.
        inner_steps: S.
        recurrent_init: the c of W = c·I at the start. V starts at 0, as A does.
        device, dtype: of the weights, as torch's own layers take them.

    Call it as `FastWeights`: inputs (time, batch, input_size) and optionally a state; outputs (time, batch,
    hidden_size).

    Raises:
        ValueError: as `FastWeights`.

    Source: ours; Ba et al. 2016, equation 5, with V for A.
    """

    settings = decisive = ("inner_steps",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        inner_steps: int = 1,
        recurrent_init: float = 0.5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        where = {"device": device, "dtype": dtype}
        super().__init__(input_size, hidden_size, inner_steps=inner_steps, recurrent_init=recurrent_init, **where)
        self.settling = nn.Parameter(torch.zeros(hidden_size, hidden_size, **where))  # V

    def step(self, hidden, memory, drive):
        boundary = self.recurrent(hidden) + drive
        settled = relu(boundary)
        for _ in range(self.inner_steps):
            settled = relu(self.norm(boundary + linear(settled, self.settling)))
        return settled, memory
