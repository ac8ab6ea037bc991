"""What every layer of the book answers with."""

from typing import Any, NamedTuple

from torch import Tensor


class Answer(NamedTuple):
    """The result of one call of a mechanism or a baseline.

    Attributes:
        outputs: what the layer says at every step, (time, batch, layer.output_size).
        state: what to hand to the next call, so that two calls on two halves equal one call on the whole.
        cost: a price to add to the loss of each example, (batch,); zeros unless the layer ponders.
        trace: detached tensors for plots, by name.
    """

    outputs: Tensor
    state: Any
    cost: Tensor
    trace: dict[str, Tensor]
