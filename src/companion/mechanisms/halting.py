"""The halting distribution of adaptive computation (Graves 2016): how a mass of one is spread over inner steps."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion import checks
from companion.precision import exact, uncast


class Halting(NamedTuple):
    """How the mass of one is spread over the inner steps: p (steps, batch), N (batch,), R (batch,)."""

    probabilities: Tensor
    steps: Tensor
    remainder: Tensor


def halting_logit(halt: nn.Linear, hidden: Float[Tensor, "batch hidden"]) -> Float[Tensor, " batch"]:
    """W_h h + b_h of each example, in single precision at least: in less, 1 − ε comes too early or never."""
    with uncast(hidden):
        return nn.functional.linear(exact(hidden), exact(halt.weight), exact(halt.bias)).squeeze(1)


def halting_distribution(halting: Float[Tensor, "steps batch"], epsilon: float) -> Halting:
    """Turn halting units into the halting distribution (equations A3 to A5).

    The number of rows is the cap M: an example that has not halted before the last row halts there, with all the mass
    that is left.

    Args:
        halting: the units h^1 … h^M, each in (0, 1), (steps, batch).
        epsilon: ε, the mass that need not be spent before halting, in (0, 1).

    Returns:
        probabilities p, (steps, batch), which sum to one; steps N, integers, (batch,); remainder R, (batch,). p and R
        are in single precision, or in double if the units are.

    Raises:
        ValueError: `epsilon` lies outside (0, 1).

    Source: Graves 2016, equations 6 to 8 and 13. N carries no gradient; R and p do (equations 14 and 18).
    """
    checks.finite(epsilon=epsilon)
    if not 0 < epsilon < 1:
        raise ValueError(f"epsilon is {epsilon}; it must lie between 0 and 1.")
    halting = exact(halting)
    running = halting.detach().cumsum(0) < 1 - epsilon
    return spread(halting, (1 + running.sum(0)).clamp(max=len(halting)))  # (A3)


def spread(halting: Float[Tensor, "steps batch"], steps: Int[Tensor, " batch"]) -> Halting:
    """The halting distribution for a known N, (batch,): equations A4 and A5."""
    index = torch.arange(1, len(halting) + 1, device=halting.device).unsqueeze(1)
    before = halting * (index < steps)
    remainder = 1 - before.sum(0)
    return Halting(before + remainder * (index == steps), steps, remainder)


def mean_field(
    probabilities: Float[Tensor, "steps batch"], states: Float[Tensor, "steps batch hidden"]
) -> Float[Tensor, "batch hidden"]:
    """The average of a state over the inner steps (A6), in the precision of the state."""
    return (probabilities.unsqueeze(2) * states).sum(0).to(states.dtype)


def pondering(
    steps: Sequence[Int[Tensor, " batch"]], probabilities: Sequence[Float[Tensor, "_ batch"]]
) -> dict[str, Tensor]:
    """For an answer's trace, N of each time step, (time, batch), and p, (time, steps, batch)."""
    longest = max(map(len, probabilities))
    padded = [nn.functional.pad(p.detach(), (0, 0, 0, longest - len(p))) for p in probabilities]
    return {"ponder_steps": torch.stack(list(steps)), "halting": torch.stack(padded)}
