"""The two scorers of Sparse Attentive Backtracking as sparse replay needs them: values and gradients, without a graph.

A scorer keeps an entry of each memory in the bank. For the paper's scorer it is E_i = exp(2 W₁ m_i), made once, so that
no tanh is needed however often the memory is scored:

    (R5)  tanh(W₁ m_i + W₂ ĥ + b) = 1 − 2 r_i,   r_i = 1 / (1 + E_i · exp(2 (W₂ ĥ + b)))

Tensors are (memories, batch, hidden) in the bank and (rows, selected, hidden) once read, a row being an example at a
step. The scores of a row only matter up to a constant, and so their gradients sum to zero; both are used here.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional


class MLPReplay:
    """Equation S2 by R5: a_i = w₃ · tanh(W₁ m_i + W₂ ĥ + b), up to a constant."""

    asks = True  # whether the score depends on the provisional state

    def __init__(self, w1: Tensor, w2: Tensor, b: Tensor, w3: Tensor):
        self.w1, self.w2, self.b, self.w3 = w1, w2, b, w3.squeeze(0)
        self.gradients = [torch.zeros_like(each) for each in (w1, w2, b, w3)]
        # Beyond this tanh is one in any case, and the product of two exponentials is a number or infinite, never 0 · ∞.
        self.largest = math.log(torch.finfo(w1.dtype).max) / 2 - 1
        self.one = w1.new_ones(())

    def exponential(self, half: Tensor) -> Tensor:
        return half.clamp(-self.largest, self.largest).mul_(2).exp_()

    def entry(self, memory: Tensor) -> Tensor:
        return self.exponential(memory @ self.w1.T)

    def query(self, provisional: Tensor) -> Tensor:
        return self.exponential(functional.linear(provisional, self.w2, self.b))

    def scores(self, entries: Tensor, provisional: Tensor, scratch: Tensor, out: Tensor) -> None:
        """Of all memories, into `out`, (memories · batch,); `scratch` has the shape of `entries` and is overwritten."""
        r = torch.addcmul(self.one, entries, self.query(provisional), out=scratch).reciprocal_()
        torch.mv(r.flatten(0, 1), -2 * self.w3, out=out)

    def inner(self, entries: Tensor, provisional: Tensor) -> Tensor:
        """r of the selected memories."""
        return torch.addcmul(self.one, entries, self.query(provisional).unsqueeze(1)).reciprocal_()

    def slope(self, r: Tensor) -> Tensor:
        """∂a_i/∂(W₁ m_i), which is also ∂a_i/∂(W₂ ĥ)."""
        return torch.addcmul(r, r, r, value=-1).mul_(4 * self.w3)

    def collect(self, r: Tensor, to_scores: Tensor, to_queries: Tensor, provisional: Tensor) -> None:
        """Add what many rows say of w₃, W₂ and b."""
        self.gradients[3] -= 2 * (to_scores.flatten() @ r.flatten(0, 1))
        self.gradients[1].addmm_(to_queries.T, provisional)
        self.gradients[2] += to_queries.sum(0)

    def to_provisional(self, to_query: Tensor) -> Tensor:
        return to_query @ self.w2

    def to_memory(self, to_key: Tensor, entry: Tensor) -> Tensor:
        return to_key @ self.w1

    def finish(self, to_keys: Tensor, memories: Tensor) -> list[Tensor]:
        """The gradients of the weights, once the credit of all keys is known."""
        self.gradients[0].addmm_(to_keys.flatten(0, 1).T, memories.flatten(0, 1))
        return self.gradients


class ReleasedReplay:
    """The released score w_m · tanh(m_i). Its query part is the same for all memories: a constant."""

    asks = False

    def __init__(self, query_weight: Tensor, memory_weight: Tensor):
        self.weight = memory_weight
        self.gradients = [torch.zeros_like(query_weight), torch.zeros_like(memory_weight)]

    def entry(self, memory: Tensor) -> Tensor:
        return memory.tanh()

    def scores(self, entries: Tensor, provisional: Tensor, scratch: Tensor, out: Tensor) -> None:
        torch.mv(entries.flatten(0, 1), self.weight, out=out)

    def inner(self, entries: Tensor, provisional: Tensor) -> Tensor:
        return entries

    def slope(self, entries: Tensor) -> Tensor:
        return self.weight.expand_as(entries)

    def collect(self, entries: Tensor, to_scores: Tensor, to_queries: Tensor, provisional: Tensor) -> None:
        self.gradients[1] += to_scores.flatten() @ entries.flatten(0, 1)

    def to_memory(self, to_key: Tensor, entry: Tensor) -> Tensor:
        return to_key * (1 - entry * entry)

    def finish(self, to_keys: Tensor, memories: Tensor) -> list[Tensor]:
        return self.gradients


REPLAYS = {"mlp": MLPReplay, "released": ReleasedReplay}
