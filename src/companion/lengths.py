"""Sequences of different lengths in one padded batch: the batch shrinks as they end.

No layer knows of padding. A shorter sequence leaves the batch at its end, so what is behind it is neither remembered,
nor pondered, nor paid for, and has no gradient.

Data that come as (batch, time, features) are turned by `inputs.transpose(0, 1)`; a `PackedSequence` is turned into
inputs and lengths by `torch.nn.utils.rnn.pad_packed_sequence`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.answer import Answer
from companion.precision import exact


def run(
    layer: nn.Module,
    inputs: Float[Tensor, "time batch features"],
    lengths: Int[Tensor, " batch"] | Sequence[int],
    state: Any = None,
) -> Answer:
    """Call a layer with sequences of different lengths.

    Args:
        layer: any mechanism or baseline.
        inputs: padded at the end with anything, (time, batch, features).
        lengths: of each sequence, in any order, from 1 to time.
        state: of an earlier call, of the whole batch.

    Returns:
        The answer. Each example's outputs, (time, batch, layer.output_size), cost and state are those that the layer
        gives for the example alone; behind its end the outputs are 0. `state` is a list with one state an example, each
        of a batch of one, or None for a layer without a state. The trace holds "ponder_steps" if the layer ponders, 0
        behind the end.

    Raises:
        ValueError: the lengths are not as many as the examples, or one lies outside 1 to time; or the layer's.
    """
    lengths = torch.as_tensor(lengths, device="cpu")
    if inputs.dim() != 3 or lengths.shape != inputs.shape[1:2] or lengths.is_floating_point():
        shapes = " and ".join(str(tuple(each.shape)) for each in (inputs, lengths))
        raise ValueError(
            f"Inputs and lengths have the shapes {shapes}; they must be (time, batch, features) and (batch,)."
        )
    if int(lengths.min()) < 1 or int(lengths.max()) > len(inputs):
        raise ValueError(
            f"The lengths go from {lengths.min()} to {lengths.max()}; they must be from 1 to {len(inputs)}."
        )
    if state is not None and not hasattr(state, "rows"):
        raise ValueError(f"The state is a {type(state).__name__}; it must be one that the layer answered with.")
    order = lengths.argsort(descending=True, stable=True)
    ends = sorted(set(lengths.tolist()))
    inside = (torch.arange(len(inputs), device="cpu").unsqueeze(1) < lengths).to(inputs.device)
    answer = layer(inputs[: ends[0], order], state and state.rows(order))
    if answer.state is None and len(ends) > 1:  # such a layer sees all of a sequence at once, and nothing behind a step
        shown = torch.where(inside.unsqueeze(2), inputs, torch.zeros_like(inputs))  # 0 times a NaN would be one
        answer, ends = layer(shown[: ends[-1], order]), [ends[-1]]
    outputs, costs, pondered, states = [], exact(inputs).new_zeros(inputs.shape[1]), [], [None] * len(lengths)
    begin = 0
    for place, end in enumerate(ends):
        if place:
            still = int((lengths > begin).sum())
            answer = layer(inputs[begin:end, order[:still]], answer.state.rows(range(still)))
        missing = len(lengths) - answer.outputs.shape[1]
        outputs.append(nn.functional.pad(answer.outputs, (0, 0, 0, missing)))
        costs = costs + nn.functional.pad(answer.cost, (0, missing))
        if "ponder_steps" in answer.trace:
            pondered.append(nn.functional.pad(answer.trace["ponder_steps"], (0, missing)))
        if answer.state is not None:
            for row, example in enumerate(order[: len(lengths) - missing].tolist()):
                if int(lengths[example]) == end:
                    states[example] = answer.state.rows([row])
        begin = end
    back = order.argsort().to(inputs.device)
    spoken = nn.functional.pad(torch.cat(outputs), (0, 0, 0, 0, 0, len(inputs) - begin))[:, back]
    spoken = torch.where(inside.unsqueeze(2), spoken, torch.zeros_like(spoken))
    trace = {}
    if pondered:
        trace["ponder_steps"] = nn.functional.pad(torch.cat(pondered), (0, 0, 0, len(inputs) - begin))[:, back]
    return Answer(spoken, None if answer.state is None else states, costs[back], trace)
