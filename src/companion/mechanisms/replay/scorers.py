"""The two scorers of Sparse Attentive Backtracking as sparse replay needs them: values and gradients, without a graph.

A scorer keeps an entry of each memory in the bank. For the paper's scorer it is E_i = exp(2 W₁ m_i), made once, so that
no tanh is needed however often the memory is scored:

    (R5)  tanh(W₁ m_i + W₂ ĥ + b) = 1 − 2 r_i,   r_i = 1 / (1 + E_i · exp(2 (W₂ ĥ + b)))

W₁ m_i is cut off where its exponential would be infinite or 0: there tanh is flat, unless the query is almost as large.
Then the call is made once more with the sum itself, r_i = σ(−2 (W₁ m_i + W₂ ĥ + b)).

The slope of a_i is w₃ (1 − tanh²) = 4 w₃ (r_i − r_i²). What the walk carries as k' lacks the factor 4 w₃: it is the
same for all memories, and comes in with the weights, in `back` and `finish`.

Tensors are (memories, batch, hidden) in the bank and (rows, selected, hidden) once read, a row being an example at a
step. The scores of a row only matter up to a constant, and so their gradients sum to zero; both are used here.
"""

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from companion.mechanisms.replay.choice import Cache


@cache
def one_pass(scorer: type["MLPReplay"]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """Σ_h v_h r_ih of all memories, compiled by torch to one pass over them; made when it is first asked for."""

    def scores(entries: Tensor, query: Tensor, v: Tensor) -> Tensor:
        return (scorer.inner(entries, query) * v).sum(2)

    return torch.compile(scores, dynamic=True)


class MLPReplay:
    """Equation S2 by R5: a_i = w₃ · tanh(W₁ m_i + W₂ ĥ + b), up to a constant."""

    asks = True  # whether the score depends on the provisional state

    def __init__(self, w1: Tensor, w2: Tensor, b: Tensor, w3: Tensor, compiled: bool = False):
        self.compiled, self.blocks = compiled, None
        self.w1, self.w2, self.b, self.w3 = w1, w2, b, w3.squeeze(0)
        self.gradients = [torch.zeros_like(each) for each in (w1, w2, b, w3)]
        self.factor = 4 * self.w3
        self.back = [self.factor.unsqueeze(1) * each for each in (w1, w2)]
        number = torch.finfo(w1.dtype)
        self.largest = math.log(number.max) / 2 - 1  # exp of twice it is a number, and so is 1 divided by that
        self.flat = 1 - math.log(number.eps) / 2  # beyond it tanh is 1, to the last digit
        self.met = w1.new_zeros(())  # the largest query so far

    @property
    def told_apart(self) -> bool:
        """Whether all scores so far are right: a memory that was cut off is on the flat of every query."""
        return bool(self.met <= self.largest - self.flat)

    @staticmethod
    def inner(entries: Tensor, query: Tensor, out: Tensor | None = None) -> Tensor:
        """r of memories, for a query that broadcasts to them."""
        return torch.reciprocal(torch.addcmul(query.new_ones(()), entries, query, out=out), out=out)

    def entry(self, memory: Tensor) -> Tensor:
        return (memory @ self.w1.T).clamp_(-self.largest, self.largest).mul_(2).exp_()

    def query(self, provisional: Tensor) -> Tensor:
        half = functional.linear(provisional, self.w2, self.b)
        self.met = torch.maximum(self.met, half.abs().amax())
        return half.mul_(2).exp_()

    def scores(self, bank: Tensor, provisional: Tensor, known: int, out: Tensor) -> None:
        """Of the first memories of a bank, into `out`, (memories, batch); behind them, out may hold anything."""
        query, v = self.query(provisional), -2 * self.w3
        if self.compiled:
            out[:known] = one_pass(type(self))(bank[:known], query, v)
            return
        if bank.device.type != "cpu":
            torch.mv(self.inner(bank[:known], query).flatten(0, 1), v, out=out[:known].view(-1))
            return
        if self.blocks is None:
            self.room = Cache(bank)
            self.blocks = self.room.blocks(bank, out)
        for entries, scratch, matrix, to in self.blocks[: -(-known // self.room.at_once)]:
            self.inner(entries, query, scratch)
            torch.mv(matrix, v, out=to)

    def slope(self, r: Tensor, out: Tensor | None = None) -> Tensor:
        """∂a_i/∂(W₁ m_i), which is also ∂a_i/∂(W₂ ĥ), but for the factor 4 w₃, which comes in with the weights."""
        return torch.addcmul(r, r, r, value=-1, out=out)

    def score_learns(self, r: Tensor, to_scores: Tensor) -> None:
        """Add what scores say of w₃; r is (…, hidden)."""
        self.gradients[3] -= 2 * (to_scores.flatten() @ r.flatten(0, -2))

    def query_learns(self, to_queries: Tensor, provisional: Tensor) -> None:
        """Add what queries, (rows, hidden), say of W₂ and b."""
        self.gradients[1].addmm_(to_queries.T, provisional)
        self.gradients[2] += to_queries.sum(0)

    def to_provisional(self, to_query: Tensor) -> Tensor:
        return to_query @ self.back[1]

    def to_memory(self, to_key: Tensor, entry: Tensor) -> Tensor:
        return to_key @ self.back[0]

    def finish(self, to_keys: Tensor, memories: Tensor) -> list[Tensor]:
        """The gradients of the weights, once the credit of all keys is known."""
        self.gradients[0].addmm_(to_keys.flatten(0, 1).T, memories.flatten(0, 1))
        w1, w2, b, w3 = self.gradients
        return [w1 * self.factor.unsqueeze(1), w2 * self.factor.unsqueeze(1), b * self.factor, w3]


class SumReplay(MLPReplay):
    """The same for any numbers, in more time."""

    told_apart = True

    def entry(self, memory: Tensor) -> Tensor:
        return -2 * (memory @ self.w1.T)

    def query(self, provisional: Tensor) -> Tensor:
        return -2 * functional.linear(provisional, self.w2, self.b)

    @staticmethod
    def inner(entries: Tensor, query: Tensor, out: Tensor | None = None) -> Tensor:
        return torch.sigmoid(torch.add(entries, query, out=out), out=out)


class ReleasedReplay:
    """The released score w_m · tanh(m_i). Its query part is the same for all memories: a constant."""

    asks = False
    told_apart = True

    def __init__(self, query_weight: Tensor, memory_weight: Tensor, compiled: bool = False):
        self.weight = memory_weight
        self.gradients = [torch.zeros_like(query_weight), torch.zeros_like(memory_weight)]

    def entry(self, memory: Tensor) -> Tensor:
        return memory.tanh()

    def query(self, provisional: Tensor) -> Tensor:
        return provisional

    def scores(self, bank: Tensor, provisional: Tensor, known: int, out: Tensor) -> None:
        torch.mv(bank[:known].flatten(0, 1), self.weight, out=out[:known].view(-1))

    def inner(self, entries: Tensor, query: Tensor, out: Tensor | None = None) -> Tensor:
        return entries

    def slope(self, entries: Tensor, out: Tensor | None = None) -> Tensor:
        return self.weight.expand_as(entries)

    def score_learns(self, entries: Tensor, to_scores: Tensor) -> None:
        self.gradients[1] += to_scores.flatten() @ entries.flatten(0, -2)

    def query_learns(self, to_queries: Tensor, provisional: Tensor) -> None:
        pass

    def to_memory(self, to_key: Tensor, entry: Tensor) -> Tensor:
        return to_key * (1 - entry * entry)

    def finish(self, to_keys: Tensor, memories: Tensor) -> list[Tensor]:
        return self.gradients
