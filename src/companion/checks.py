"""What a layer is made of and called with, checked: whatever is wrong is refused in one sentence."""

import math
from numbers import Integral, Real
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

DOUBLE = (torch.float64, torch.complex128)


def whole(least: int = 1, most: int | None = None, /, **numbers: Integral) -> None:
    """Refuse what is no whole number from `least` on, and up to `most`: whole(inner_steps=inner_steps).

    Raises:
        ValueError: one of them is not.
    """
    for name, value in numbers.items():
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}; it must be a whole number.")
        if most is not None and not least <= value <= most:
            raise ValueError(f"{name} is {value}; it must lie between {least} and {most}.")
        if value < least:
            raise ValueError(f"{name} is {value}; it must be at least {least}.")


def finite(**numbers: Real) -> None:
    """Refuse what is not a number, or infinite.

    Raises:
        ValueError: one of them is.
    """
    for name, value in numbers.items():
        if not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(f"{name} is {value!r}; it must be a finite number.")


def sequence(inputs: Float[Tensor, "time batch features"], width: int) -> None:
    """Refuse inputs that are no sequences of vectors of this width, (time, batch, width), or are empty.

    Raises:
        ValueError: another shape.
    """
    if inputs.dim() != 3 or inputs.shape[2] != width or not inputs.numel():
        shape = ", ".join(map(str, inputs.shape))
        raise ValueError(f"The inputs have the shape ({shape}); it must be (time, batch, {width}), and none of them 0.")


def state(state: Any, kind: type, inputs: Tensor, **shapes: tuple[int | None, ...]) -> Any:
    """Refuse what is no state of a layer, or of other sequences than the inputs.

    Args:
        state: as an earlier call answered with it, or a plain tuple of its parts, as `torch.nn.LSTM` has it.
        kind: the named tuple that it must be.
        inputs: that it goes with, (time, batch, features).
        shapes: of its tensors, by name; None is any size.

    Returns:
        The state, as a `kind`.

    Raises:
        ValueError: it is something else, or a part of it has another shape, is on another device, or is in double
            precision where the inputs are not.
    """
    if type(state) in (tuple, list) and len(state) == len(kind._fields):
        state = kind(*state)
    if not isinstance(state, kind):
        raise ValueError(f"The state is a {type(state).__name__}; it must be a {kind.__name__}, as this layer answers.")
    for name, shape in shapes.items():
        tensor(f"The state's {name}", getattr(state, name), inputs, shape)
    return state


def tensor(what: str, part: Any, inputs: Tensor, shape: tuple[int | None, ...]) -> None:
    """Refuse what is no tensor of this shape that can be computed with together with the inputs.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(part, Tensor):
        raise ValueError(f"{what} is a {type(part).__name__}; it must be a tensor.")
    if len(part.shape) != len(shape) or any(size not in (None, n) for n, size in zip(part.shape, shape, strict=True)):
        found, wanted = (", ".join("any" if n is None else str(n) for n in each) for each in (part.shape, shape))
        raise ValueError(f"{what} has the shape ({found}); it must be ({wanted}).")
    if part.device != inputs.device:
        raise ValueError(f"{what} is on {part.device}; it must be on {inputs.device}, as the inputs are.")
    if (part.dtype in DOUBLE) != (inputs.dtype in DOUBLE):
        raise ValueError(f"{what} is of {part.dtype}; the inputs are of {inputs.dtype}.")
