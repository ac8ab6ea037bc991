"""Equation S3: from scores to attention weights of which only a few are not zero."""

import torch
from jaxtyping import Float
from torch import Tensor

RELEASED = ("released", "released-mixed")
NORMALISERS = ("subtract", "softmax", *RELEASED)
TIED = 1e-30  # a sum of differences below this is 0


def sparsify(
    scores: Float[Tensor, "batch memories"], top_k: int | None, normaliser: str = "subtract"
) -> Float[Tensor, "batch memories"]:
    """Turn scores into attention weights of which `top_k` are not zero (equation S3).

    Each example is treated by itself. While there are `top_k` memories or fewer, or with `top_k=None`, the weights
    are a softmax over all of them. If the best `top_k + 1` scores are all equal, (S3) is 0/0; the selected ones then
    share the weight equally.

    Args:
        scores: one score for each memory, (batch, memories).
        top_k: how many memories keep a weight; None for dense attention.
        normaliser: "subtract", the paper's rule (subtract the (top_k + 1)-th score, clip at zero, divide by the
            sum), or "softmax", a softmax over the selected ones. "released" and "released-mixed" are what the authors'
            code does, see `released_weights`; they need a `top_k`.

    Returns:
        Weights, (batch, memories), that sum to one for each example, unless the normaliser is a released one.

    Raises:
        ValueError: `top_k` is below one, or the normaliser is unknown.

    Source: Ke et al. 2018, the sparsification of the attention weights.
    """
    if normaliser not in NORMALISERS:
        raise ValueError(f"normaliser is {normaliser!r}; it must be one of {', '.join(NORMALISERS)}.")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k is {top_k}; it must be at least 1, or None for dense attention.")
    if normaliser in RELEASED:
        if top_k is None:
            raise ValueError(f"top_k is None; it must be a number with the normaliser {normaliser!r}.")
        return released_weights(scores, top_k, mixed=normaliser == "released-mixed")
    if top_k is None or scores.shape[1] <= top_k:
        return scores.softmax(dim=1)
    best, where = scores.topk(top_k + 1, dim=1)
    kept = weigh(best) if normaliser == "subtract" else best[:, :top_k].softmax(dim=1)
    return torch.zeros_like(scores).scatter(1, where[:, :top_k], kept)


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


def released_weights(
    scores: Float[Tensor, "batch memories"], top_k: int, mixed: bool = False
) -> Float[Tensor, "batch memories"]:
    """The weights as the authors' released code makes them; nothing in the paper asks for this.

    * The threshold is the `top_k`-th score and a little more, so `top_k` − 1 memories keep a weight, and with `top_k=1`
      none does.
    * While there are `top_k` memories or fewer, the raw scores are the weights: not normalised, and maybe negative.

    Args:
        scores: one score for each memory, (batch, memories).
        top_k: as the released code counts it.
        mixed: whether the thresholds are subtracted as the PyTorch of 2017 did it. It treated two tensors of as many
            elements as flat, so that memory j of example b met the threshold of example (b · memories + j) mod batch.
            Then weights depend on the other examples. That the authors' runs did so is likely and not certain.

    Returns:
        Weights, (batch, memories); those of an example without any memory above the threshold are zero.

    Source: `layers_torch.py` of the code released with Ke et al. 2018.
    """
    batch, memories = scores.shape
    if memories <= top_k:
        return scores
    thresholds = scores.topk(top_k, dim=1).values[:, -1:] + 1e-7
    thresholds = thresholds.repeat(memories, 1).view(batch, memories) if mixed else thresholds
    above = (scores - thresholds).clamp(min=0)
    total = above.sum(dim=1, keepdim=True)
    return above / torch.where(total > 0, total, 1)
