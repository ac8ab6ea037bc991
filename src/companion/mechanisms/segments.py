"""SAB in a Transformer: segments that read a few states of earlier segments, and may send credit back (Ke et al. 2018).

A Transformer that reads a long sequence in segments keeps what its layers made of the earlier ones. Transformer-XL (Dai
et al. 2019) reads these states and cuts the gradient there. Sparse attentive backtracking would let it through, to the
few states that were read; and on from there, here without a further cut. In a layer, for a segment's states x and the
states m of all earlier segments,

    q, k, v = W LN(x)      k', v' = W LN(m)
    y = x + O [softmax(q kᵀ / √d) v + sparsify(q k'ᵀ / √d) v']            the softmax is causal, sparsify is (S3)

and then the usual layer of ReLUs. The two sums are added, as SAB adds its summary to the state. With the cut, m is
detached: what wrote it learns nothing from being read.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion import checks
from companion.answer import Answer
from companion.layer import Layer
from companion.mechanisms.selection import sparsify
from companion.precision import exact


class SegmentAttention(nn.Module):
    """One layer: attention within a segment, a sparse read of the past, and ReLU units, each added to what comes in.

    Args:
        hidden_size, heads: width of the states, and the heads that share it.
        top_k: how many states of the past each head reads, by (S3).
        device, dtype: of the weights, as torch's own layers take them.
    """

    def __init__(
        self,
        hidden_size: int,
        heads: int,
        top_k: int,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        where = {"device": device, "dtype": dtype}
        self.heads, self.top_k = heads, top_k
        self.attention_norm, self.inner_norm = (nn.LayerNorm(hidden_size, **where) for _ in range(2))
        self.project = nn.Linear(hidden_size, 3 * hidden_size, **where)
        self.merge = nn.Linear(hidden_size, hidden_size, **where)
        widen = nn.Linear(hidden_size, 4 * hidden_size, **where)
        self.inner = nn.Sequential(widen, nn.ReLU(), nn.Linear(4 * hidden_size, hidden_size, **where))

    def split(self, states: Float[Tensor, "time batch hidden"]) -> list[Float[Tensor, "batch heads time part"]]:
        """Queries, keys and values of states, for each head."""
        projected = self.project(self.attention_norm(states))
        return [each.unflatten(2, (self.heads, -1)).permute(1, 2, 0, 3) for each in projected.chunk(3, 2)]

    def forward(
        self, states: Float[Tensor, "time batch hidden"], past: Float[Tensor, "earlier batch hidden"] | None
    ) -> Float[Tensor, "time batch hidden"]:
        queries, keys, values = self.split(states)
        scale = 1 / math.sqrt(queries.shape[3])
        scores = scale * queries @ keys.mT
        later = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device).triu(1)
        read = exact(scores).masked_fill(later, -math.inf).softmax(3).to(values.dtype) @ values
        if past is not None:
            _, keys, values = self.split(past)
            scores = scale * queries @ keys.mT
            weights = sparsify(scores.flatten(0, 2), self.top_k).view_as(scores)
            read = read + weights.to(values.dtype) @ values
        states = states + self.merge(read.permute(2, 0, 1, 3).flatten(2))
        return states + self.inner(self.inner_norm(states))


class SegmentTransformer(Layer):
    """A Transformer that takes its sequence in segments and reads the earlier ones sparsely.

    Args:
        input_size, hidden_size: widths of the input and of every layer; the ReLU layers are four times as wide.
        segment: steps of a segment.
        top_k: how many states of the past each head of each layer reads.
        credit: whether the gradient goes back to the states that were read; False cuts it, as Transformer-XL does.
        layers, heads: one above the other; side by side in each.
        length: the most steps of a sequence, each with a learned position.
        device, dtype: of the weights, as torch's own layers take them.

    Call it with inputs (time, batch, input_size); its outputs are (time, batch, hidden_size). It has no state to go on
    from: all of a sequence goes into one call.

    Raises:
        ValueError: a size or count is no whole number from 1 on, heads that do not divide the width; in a call, inputs
            of another shape, a state, or a sequence longer than `length`.

    Source: Dai et al. 2019, with the attention and the credit of Ke et al. 2018. Where it differs from the first:
    positions are absolute, all earlier segments can be read, and they are read by a sum of their own beside that of the
    segment, where it has one softmax over both.
    """

    settings = ("segment", "top_k", "credit", "length")
    decisive = ("segment", "top_k")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        segment: int = 10,
        top_k: int = 5,
        credit: bool = True,
        layers: int = 2,
        heads: int = 4,
        length: int = 1024,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        checks.whole(input_size=input_size, hidden_size=hidden_size, segment=segment, top_k=top_k)
        checks.whole(layers=layers, heads=heads, length=length)
        if hidden_size % heads:
            raise ValueError(f"heads is {heads}; it must divide the hidden size, which is {hidden_size}.")
        self.hidden_size = self.output_size = hidden_size
        self.segment, self.top_k, self.credit, self.length = segment, top_k, credit, length
        where = {"device": device, "dtype": dtype}
        self.embedding = nn.Linear(input_size, hidden_size, **where)
        self.positions = nn.Parameter(0.02 * torch.randn(length, 1, hidden_size, **where))
        self.layers = nn.ModuleList(SegmentAttention(hidden_size, heads, top_k, **where) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden_size, **where)

    def forward(self, inputs: Float[Tensor, "time batch features"], state: Any = None) -> Answer:
        if state is not None:
            raise ValueError("A SegmentTransformer takes no state; give it the whole sequence in one call.")
        checks.sequence(inputs, self.embedding.in_features)
        steps = len(inputs)
        if steps > self.length:
            raise ValueError(f"The sequence has {steps} steps; this Transformer has positions for {self.length}.")
        embedded = self.embedding(inputs) + self.positions[:steps]
        past: list[list[Tensor]] = [[] for _ in self.layers]  # what each layer was given in earlier segments
        outputs = []
        for states in embedded.split(self.segment):
            for layer, earlier in zip(self.layers, past, strict=True):
                given, states = states, layer(states, torch.cat(earlier) if earlier else None)
                earlier.append(given if self.credit else given.detach())
            outputs.append(states)
        return Answer(self.norm(torch.cat(outputs)), None, exact(inputs).new_zeros(inputs.shape[1]), {})
