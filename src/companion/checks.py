"""What a layer is made of and called with, checked: whatever is wrong is refused in one sentence."""

import math

from jaxtyping import Float
from torch import Tensor


def whole(least: int = 1, most: int | None = None, **numbers: int) -> None:
    """Refuse what is no whole number from `least` on, and up to `most`: whole(inner_steps=inner_steps).

    Raises:
        ValueError: one of them is not.
    """
    for name, value in numbers.items():
        if not isinstance(value, int):
            raise ValueError(f"{name} is {value!r}; it must be a whole number.")
        if most is not None and not least <= value <= most:
            raise ValueError(f"{name} is {value}; it must lie between {least} and {most}.")
        if value < least:
            raise ValueError(f"{name} is {value}; it must be at least {least}.")


def finite(**numbers: float) -> None:
    """Refuse what is not a number, or infinite.

    Raises:
        ValueError: one of them is.
    """
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}; it must be a finite number.")


def sequence(
    inputs: Float[Tensor, "time batch features"], width: int, state: tuple[Tensor, ...] | None = None, parts: int = 1
) -> None:
    """Refuse inputs that are no sequences of vectors of this width, or that a state does not belong to.

    Args:
        inputs: must be (time, batch, width), with at least one step and one example.
        state: must have these parts, each (batch, …); None is no state.
        parts: how many the state must have.

    Raises:
        ValueError: another shape.
    """
    if inputs.dim() != 3 or inputs.shape[2] != width or not inputs.numel():
        shape = ", ".join(map(str, inputs.shape))
        raise ValueError(f"The inputs have the shape ({shape}); it must be (time, batch, {width}), and none of them 0.")
    if state is None:
        return
    if len(state) != parts or any(not isinstance(part, Tensor) for part in state):
        raise ValueError(f"The state has {len(state)} parts; it must have {parts}, each a tensor.")
    if len(state[0]) != inputs.shape[1]:
        raise ValueError(f"The state is of {len(state[0])} sequences; the inputs are of {inputs.shape[1]}.")
