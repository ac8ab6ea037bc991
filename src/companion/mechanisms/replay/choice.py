"""What a step reads: which memories, with which weights, and where they lie."""

from typing import NamedTuple

import torch
from torch import Tensor

from companion.mechanisms.selection import weigh, weigh_slope


class Choice(NamedTuple):
    """What one step reads, or several steps, one after another; a row is an example at a step.

    Attributes:
        scores: of the selected memories, (rows, selected), best first.
        selected: where they lie in a bank whose memories and examples are flattened, (rows, selected).
        threshold: whether the last one only sets the threshold of S3 and has no weight.
    """

    scores: Tensor
    selected: Tensor
    threshold: bool

    @property
    def kept(self) -> Tensor:
        """The selected memories that have a weight."""
        return self.selected[:, :-1] if self.threshold else self.selected

    def of(self, rows: Tensor | None) -> "Choice":
        """What the given examples read; None for all of them."""
        return self if rows is None else Choice(self.scores[rows], self.selected[rows], self.threshold)

    def weights(self) -> Tensor:
        return weigh(self.scores) if self.threshold else self.scores.softmax(1)

    def slope(self, weights: Tensor) -> Tensor:
        """g in ∂L/∂a_i = g_i (∂L/∂α_i − Σ_j α_j ∂L/∂α_j): 1/Z for S3, the weights for a softmax."""
        return weigh_slope(self.scores) if self.threshold else weights


class Bank(NamedTuple):
    """The memories and what the scorer keeps of them, or the credit of both; all (memories, batch, hidden)."""

    states: Tensor
    entries: Tensor


def choose(scores: Tensor, top_k: int | None, normaliser: str) -> Choice:
    """Which memories a step reads, from the scores (memories, batch) of all of them, which may be overwritten later."""
    known, batch = scores.shape
    rows = torch.arange(batch, device=scores.device).unsqueeze(1)
    if top_k is None or known <= top_k:
        return Choice(scores.T.clone(), torch.arange(known, device=scores.device) * batch + rows, False)
    threshold = normaliser == "subtract"
    best, selected = scores.topk(top_k + threshold, dim=0)
    return Choice(best.T, selected.T * batch + rows, threshold)


def read(bank: Tensor, selected: Tensor) -> Tensor:
    """From a bank (memories, batch, hidden) to (rows, selected, hidden)."""
    return bank.flatten(0, 1).index_select(0, selected.flatten()).unflatten(0, selected.shape)


def add(bank: Tensor, selected: Tensor, credit: Tensor) -> None:
    """The reverse of `read`: credit (rows, selected, hidden) is added where it was read."""
    bank.flatten(0, 1).index_add_(0, selected.flatten(), credit.flatten(0, 1))


def attention(chosen: list[Choice | None], like: Tensor) -> Tensor:
    """The weights as a sparse tensor (time, batch, memories); `like` is (memories, batch, hidden)."""
    memories, batch = like.shape[:2]
    read = [(t, choice.kept, choice.weights()) for t, choice in enumerate(chosen) if choice is not None]
    times, flat, values = zip(*read, strict=True) if read else ([], [], [])
    flat = torch.cat([like.new_empty(0, dtype=torch.long), *(each.flatten() for each in flat)])
    counts = torch.tensor([each.numel() for each in values], dtype=torch.long)
    time = torch.tensor(times, dtype=torch.long).repeat_interleave(counts).to(like.device)
    values = torch.cat([like.new_empty(0), *(each.flatten() for each in values)])
    where = torch.stack([time, flat % batch, flat // batch])
    return torch.sparse_coo_tensor(where, values, (len(chosen), batch, memories), check_invariants=False)
