"""What the code released with Sparse Attentive Backtracking computes, and the paper does not ask for.

The page "What the released code does" sets each point beside the paper.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion import checks
from companion.mechanisms.replay.scorers import ReleasedReplay
from companion.mechanisms.sparse_attentive_backtracking import SparseAttentiveBacktracking
from companion.precision import exact


def released_weights(
    scores: Float[Tensor, "batch memories"], top_k: int, mixed: bool = False
) -> Float[Tensor, "batch memories"]:
    """Turn scores into weights as the authors' released code does it; nothing in the paper asks for this.

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

    Raises:
        ValueError: `top_k` is no whole number from 1 on.

    Source: `layers_torch.py` of the code released with Ke et al. 2018.
    """
    checks.whole(top_k=top_k)
    batch, memories = scores.shape
    if memories <= top_k:
        return scores
    exactly = exact(scores)
    thresholds = exactly.topk(top_k, dim=1).values[:, -1:] + 1e-7
    thresholds = thresholds.repeat(memories, 1).view(batch, memories) if mixed else thresholds
    above = (exactly - thresholds).clamp(min=0)
    total = above.sum(dim=1, keepdim=True)
    return (above / torch.where(total > 0, total, 1)).to(scores.dtype)


class ReleasedScorer(nn.Module):
    """a_i = w · tanh([ĥ ; m_i]), the score of the authors' released code.

    It is a sum of a query part and a memory part. Equation S3 subtracts one of the scores from all others, the query
    part cancels, and the weights no longer depend on the present state.
    """

    replayed_by = (ReleasedReplay,)

    def __init__(self, hidden_size: int, device: torch.device | str | None = None, dtype: torch.dtype | None = None):
        super().__init__()
        self.query_weight = nn.Parameter(0.01 * torch.randn(hidden_size, device=device, dtype=dtype))
        self.memory_weight = nn.Parameter(0.01 * torch.randn(hidden_size, device=device, dtype=dtype))

    def key(self, memory: Float[Tensor, "*batch hidden"]) -> Float[Tensor, "*batch hidden"]:
        return torch.tanh(memory)

    def forward(
        self, keys: Float[Tensor, "batch memories hidden"], provisional: Float[Tensor, "batch hidden"]
    ) -> Float[Tensor, "batch memories"]:
        return keys @ self.memory_weight + (torch.tanh(provisional) @ self.query_weight).unsqueeze(1)

    def weights(self) -> list[tuple[nn.Module, str]]:
        """Where the weights are that the replay takes, in its order."""
        return [(self, "query_weight"), (self, "memory_weight")]


class ReleasedScores(SparseAttentiveBacktracking):
    """Sparse Attentive Backtracking with the released code's scores, which do not regard the present state."""

    scorer_class = ReleasedScorer


class ReleasedWeights(SparseAttentiveBacktracking):
    """Sparse Attentive Backtracking with the released code's weights, by `released_weights`; in the graph form only."""

    mixed = False

    def __init__(self, input_size: int, hidden_size: int, top_k: int = 5, *options, **named):
        checks.whole(top_k=top_k)
        super().__init__(input_size, hidden_size, top_k, *options, **named)

    def weigh(self, scores: Float[Tensor, "batch memories"]) -> Float[Tensor, "batch memories"]:
        return released_weights(scores, self.top_k, self.mixed)


class ReleasedMixedWeights(ReleasedWeights):
    """`ReleasedWeights` that subtract the thresholds of other examples, as the PyTorch of 2017 did it."""

    mixed = True


class Released(ReleasedMixedWeights):
    """Sparse Attentive Backtracking as the authors' released code computes it: its scores and its mixed weights."""

    scorer_class = ReleasedScorer
