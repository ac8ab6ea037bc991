"""Equation S3: from scores to attention weights of which only a few are not zero."""

import torch
from jaxtyping import Float
from torch import Tensor

from companion import checks
from companion.precision import exact

NORMALISERS = ("subtract", "softmax")
TIED = 1e-30  # a sum of differences below this is 0


def sparsify(
    scores: Float[Tensor, "batch memories"], top_k: int | None, normaliser: str = "subtract", temperature: float = 1.0
) -> Float[Tensor, "batch memories"]:
    """Turn scores into attention weights of which `top_k` are not zero (equation S3).

    Each example is treated by itself. While there are `top_k` memories or fewer, or with `top_k=None`, the weights
    are a softmax over all of them. If the best `top_k + 1` scores are all equal, (S3) is 0/0; the selected ones then
    share the weight equally.

    Args:
        scores: one score for each memory, (batch, memories).
        top_k: how many memories keep a weight; None for dense attention.
        normaliser: "subtract", the paper's rule (subtract the (top_k + 1)-th score, clip at zero, divide by the
            sum), or "softmax", a softmax over the selected ones.
        temperature: by which the scores are divided; the paper's rule does not change with it, a softmax does.

    Returns:
        Weights, (batch, memories), that sum to one for each example.

    Raises:
        ValueError: `top_k` is no whole number from 1 on, the normaliser is unknown, or the temperature is not above 0.

    Source: Ke et al. 2018, the sparsification of the attention weights.
    """
    if normaliser not in NORMALISERS:
        raise ValueError(f"normaliser is {normaliser!r}; it must be one of {', '.join(NORMALISERS)}.")
    if top_k is not None:
        checks.whole(top_k=top_k)
    checks.finite(temperature=temperature)
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}; it must be above 0.")
    exactly = exact(scores) / temperature
    if top_k is None or scores.shape[1] <= top_k:
        return exactly.softmax(dim=1).to(scores.dtype)
    best, where = exactly.topk(top_k + 1, dim=1)
    kept = weigh(best) if normaliser == "subtract" else best[:, :top_k].softmax(dim=1)
    return torch.zeros_like(exactly).scatter(1, where[:, :top_k], kept).to(scores.dtype)


def weigh(best: Float[Tensor, "batch selected"]) -> Float[Tensor, "batch kept"]:
    """The paper's weights of the best `top_k`, given the best `top_k + 1` scores, best first."""
    above = best[:, :-1] - best[:, -1:]
    total = above.sum(dim=1, keepdim=True)
    tied = total < TIED
    return torch.where(tied, torch.full_like(above, 1 / above.shape[1]), above / torch.where(tied, 1, total))


def weigh_slope(best: Float[Tensor, "batch selected"]) -> Float[Tensor, "batch 1"]:
    """1/Z, with Z the sum of the differences in `weigh`; 0 where they are all equal, and the weights constant."""
    total = (best[:, :-1] - best[:, -1:]).sum(dim=1, keepdim=True)
    return torch.where(total < TIED, 0, 1 / total)
