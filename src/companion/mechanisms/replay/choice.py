"""What a step reads: which memories, with which weights, and where they lie."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from companion.mechanisms.selection import weigh, weigh_slope


class Choice(NamedTuple):
    """What one step reads, or several steps, one after another; a row is an example at a step.

    Attributes:
        scores: of the selected memories, (rows, selected), best first if there were more.
        selected: where they lie in a bank whose memories and examples are flattened, (rows, selected); None in full
            attention, which reads all memories in their order.
        threshold: whether the last one only sets the threshold of S3 and has no weight.
    """

    scores: Tensor
    selected: Tensor | None
    threshold: bool

    @property
    def kept(self) -> Tensor:
        """The selected memories that have a weight."""
        return self.selected[:, :-1] if self.threshold else self.selected

    def of(self, rows: Tensor | None) -> "Choice":
        """What the given examples read; None for all of them."""
        if rows is None:
            return self
        selected = every(*self.scores.T.shape, rows) if self.selected is None else self.selected[rows]
        return Choice(self.scores[rows], selected, self.threshold)

    def weights(self) -> Tensor:
        return weigh(self.scores) if self.threshold else self.scores.softmax(1)

    def slope(self, weights: Tensor) -> Tensor:
        """g in ∂L/∂a_i = g_i (∂L/∂α_i − Σ_j α_j ∂L/∂α_j): 1/Z for S3, the weights for a softmax."""
        return weigh_slope(self.scores) if self.threshold else weights


class Bank(NamedTuple):
    """The memories and what the scorer keeps of them, or the credit of both; all (memories, batch, hidden)."""

    states: Tensor
    entries: Tensor


def every(known: int, batch: int, rows: Tensor) -> Tensor:
    """Where all memories of some examples lie, (rows, known)."""
    return torch.arange(known, device=rows.device) * batch + rows.unsqueeze(1)


class Cache:
    """A place for what several passes over the memories leave for each other: as many at a time as stay in the cache.

    Args:
        bank: the memories, (memories, batch, hidden). On any device but a CPU all are taken at once.
    """

    numbers = 2**17  # half a megabyte

    def __init__(self, bank: Tensor):
        each = bank.shape[1:].numel()
        self.at_once = max(1, self.numbers // each if bank.device.type == "cpu" else len(bank))
        self.scratch = bank.new_empty(min(self.at_once, len(bank)), *bank.shape[1:])

    def parts(self, known: int) -> Iterator[tuple[slice, Tensor]]:
        """The places of so many memories, some at a time, each with scratch of their shape, (some, batch, hidden)."""
        for begin in range(0, known, self.at_once):
            end = min(known, begin + self.at_once)
            yield slice(begin, end), self.scratch[: end - begin]

    def blocks(self, bank: Tensor, scores: Tensor) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """The whole bank in such parts, made once: memories, scratch, the scratch as a matrix, their flat scores."""
        parts = zip(bank.split(self.at_once), scores.split(self.at_once), strict=True)
        scratches = ((part, self.scratch[: len(part)], to) for part, to in parts)
        return [(part, scratch, scratch.flatten(0, 1), to.view(-1)) for part, scratch, to in scratches]


def choose(scores: Tensor, top_k: int | None, normaliser: str) -> Choice:
    """Which memories a step reads, from the scores (memories, batch) of all of them, which may be overwritten later."""
    known, batch = scores.shape
    if top_k is None:
        return Choice(scores.T.clone(), None, False)
    rows = torch.arange(batch, device=scores.device)
    if known <= top_k:
        return Choice(scores.T.clone(), every(known, batch, rows), False)
    threshold = normaliser == "subtract"
    best, selected = scores.topk(top_k + threshold, dim=0)
    return Choice(best.T, selected.T * batch + rows.unsqueeze(1), threshold)


def read(bank: Tensor, selected: Tensor) -> Tensor:
    """From a bank (memories, batch, hidden) to (rows, selected, hidden)."""
    return bank.flatten(0, 1).index_select(0, selected.flatten()).unflatten(0, selected.shape)


def read_all(bank: Tensor, weights: Tensor, cache: "Cache") -> Tensor:
    """Σ_i α_i m_i over the first memories of a bank, (batch, hidden), for weights (batch, those memories)."""
    total = torch.zeros_like(bank[0])
    for part, scratch in cache.parts(weights.shape[1]):
        total += torch.mul(bank[part], weights.T[part].unsqueeze(2), out=scratch).sum(0)
    return total


def add(bank: Tensor, selected: Tensor, credit: Tensor) -> None:
    """The reverse of `read`: credit (rows, selected, hidden) is added where it was read."""
    bank.flatten(0, 1).index_add_(0, selected.flatten(), credit.flatten(0, 1))


def attention(chosen: list[Choice | None], like: Tensor) -> Tensor:
    """The weights, (time, batch, memories), a sparse tensor if they are sparse; `like` is (memories, batch, hidden)."""
    memories, batch = like.shape[:2]
    if any(choice is not None and choice.selected is None for choice in chosen):
        dense = like.new_zeros(len(chosen), batch, memories)
        for t, choice in enumerate(chosen):
            if choice is not None:
                dense[t, :, : choice.scores.shape[1]] = choice.weights()
        return dense
    read = [(t, choice.kept, choice.weights()) for t, choice in enumerate(chosen) if choice is not None]
    times, flat, values = zip(*read, strict=True) if read else ([], [], [])
    flat = torch.cat([like.new_empty(0, dtype=torch.long), *(each.flatten() for each in flat)])
    counts = torch.tensor([each.numel() for each in values], dtype=torch.long)
    time = torch.tensor(times, dtype=torch.long).repeat_interleave(counts).to(like.device)
    values = torch.cat([like.new_empty(0), *(each.flatten() for each in values)])
    where = torch.stack([time, flat % batch, flat // batch])
    return torch.sparse_coo_tensor(where, values, (len(chosen), batch, memories), check_invariants=False)
