"""The halting distribution of adaptive computation (Graves 2016): how a mass of one is spread over inner steps."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Halting(NamedTuple):
    """How the mass of one is spread over the inner steps: p (steps, batch), N (batch,), R (batch,)."""

    probabilities: Tensor
    steps: Tensor
    remainder: Tensor


def halting_distribution(halting: Float[Tensor, "steps batch"], epsilon: float) -> Halting:
    """Turn halting units into the halting distribution (equations A3 to A5).

    The number of rows is the cap M: an example that has not halted before the last row halts there, with all the mass
    that is left.

    Args:
        halting: the units h^1 … h^M, each in (0, 1), (steps, batch).
        epsilon: ε, the mass that need not be spent before halting, in (0, 1).

    Returns:
        probabilities p, (steps, batch), which sum to one; steps N, integers, (batch,); remainder R, (batch,).

    Raises:
        ValueError: `epsilon` lies outside (0, 1).

    Source: Graves 2016, equations 6 to 8 and 13. N carries no gradient; R and p do (equations 14 and 18).
    """
    if not 0 < epsilon < 1:
        raise ValueError(f"epsilon is {epsilon}; it must lie between 0 and 1.")
    running = halting.detach().cumsum(0) < 1 - epsilon
    return spread(halting, (1 + running.sum(0)).clamp(max=len(halting)))  # (A3)


def spread(halting: Float[Tensor, "steps batch"], steps: Int[Tensor, " batch"]) -> Halting:
    """The halting distribution for a known N, (batch,): equations A4 and A5."""
    index = torch.arange(1, len(halting) + 1, device=halting.device).unsqueeze(1)
    before = halting * (index < steps)
    remainder = 1 - before.sum(0)
    return Halting(before + remainder * (index == steps), steps, remainder)
