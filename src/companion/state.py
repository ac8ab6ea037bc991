"""What a layer hands from one call to the next: a named tuple that knows where its batch is.

A part is a tensor, a tuple of tensors, another such state, None, or a number that all examples share. The batch is a
tensor's first axis, unless the state's `batch_axes` names another. Each state takes its two words from here:

    class LSTMState(NamedTuple):
        hidden: Tensor
        cell: Tensor
        detach, rows = state.detach, state.rows
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor


def detach(state: Any) -> Any:
    """The same state without its graph: no gradient goes back beyond it."""
    return each(state, lambda part, axis: part.detach())


def rows(state: Any, index: Tensor | Sequence[int]) -> Any:
    """The state of some of the examples.

    Args:
        index: which ones, in the order that is wanted: their places in the batch, or a mask of it.
    """
    chosen = torch.as_tensor(index)
    chosen = chosen.nonzero().flatten() if chosen.dtype == torch.bool else chosen.long()
    return each(state, lambda part, axis: part.index_select(axis, chosen.to(part.device)))


def each(state: Any, change: Callable[[Tensor, int], Tensor]) -> Any:
    """The state, with each of its tensors put through `change`, which is told the axis of the batch."""
    axes = getattr(state, "batch_axes", {})
    parts = ((name, getattr(state, name), axes.get(name, 0)) for name in state._fields)
    return state._replace(**{name: changed(part, axis, change) for name, part, axis in parts})


def changed(part: Any, axis: int, change: Callable[[Tensor, int], Tensor]) -> Any:
    if isinstance(part, Tensor):
        return change(part, axis)
    if hasattr(part, "_fields"):
        return each(part, change)
    return tuple(changed(one, axis, change) for one in part) if isinstance(part, tuple) else part


class HiddenState(NamedTuple):
    """The state of a plain recurrent network or a GRU: h, (batch, hidden)."""

    hidden: Tensor
    detach, rows = detach, rows


class LSTMState(NamedTuple):
    """The state of an LSTM: h and c, both (batch, hidden)."""

    hidden: Tensor
    cell: Tensor
    detach, rows = detach, rows
