"""Sums that must add up, in numbers that can hold them.

Half precision knows eleven bits of a number, bfloat16 eight: there a thousandth added to one is lost, and 258 follows
256. So what is summed up over steps (mass, ages, costs, a decaying memory) is kept in single precision, or in the
inputs' own if that is finer, whatever a layer's weights are in and whether or not `torch.autocast` is on.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

COARSE = (torch.float16, torch.bfloat16)


def exact(x: Tensor) -> Tensor:
    """x in single precision, if it is in less."""
    return x.float() if x.dtype in COARSE else x


def uncast(x: Tensor) -> AbstractContextManager:
    """A region in which autocast does nothing, on the device of x."""
    kind = x.device.type
    there = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if there else nullcontext()
