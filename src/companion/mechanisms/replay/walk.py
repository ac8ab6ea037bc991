"""The backward walk through the windows: R1 to R4."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from companion.mechanisms.replay.choice import Choice, add, read

TOGETHER = 16  # steps whose readings are prepared in one go, at most


def alike(choice: Choice | None, shape: torch.Size) -> bool:
    return choice is not None and choice.scores.shape == shape


def pick(x: Tensor, dim: int, rows: Tensor | None) -> Tensor:
    """The given examples of a batch; None picks all."""
    return x if rows is None else x.index_select(dim, rows)


def tanh(x: Tensor) -> Tensor:
    """As 2 σ(2x) − 1: on a CPU torch computes σ several times faster than tanh."""
    return (2 * x).sigmoid_().mul_(2).sub_(1)


class Reading(NamedTuple):
    """What steps have read, as the walk back needs it: (steps, batch, …). The last four tensors go to the scorer."""

    threshold: bool
    kept: Tensor
    selected: Tensor
    weights: Tensor
    weight_slope: Tensor
    memories: Tensor
    score_slope: Tensor
    inner: Tensor
    to_scores: Tensor
    to_query: Tensor
    provisional: Tensor


class Walk:
    """The backward walk: what it needs of the forward pass, and the gradients it has gathered so far."""

    def __init__(self, rule, inputs, first, outputs, to_outputs, bank, credit, chosen):
        self.rule, self.inputs, self.first, self.outputs, self.to_outputs = rule, inputs, first, outputs, to_outputs
        self.bank, self.credit, self.chosen = bank, credit, chosen
        self.size = first.shape[1]
        self.old = len(bank.states) - (rule.start + len(inputs)) // rule.memory_every + rule.start // rule.memory_every

    def weigh_with(self, lstm, scorer, inputs_matter):
        self.weight_ih, self.weight_hh, *self.biases = lstm
        self.scorer = scorer
        self.to_inputs = torch.zeros_like(self.inputs) if inputs_matter else None
        # Of [W_ih, W_hh, b] side by side and transposed: one product for all three.
        self.to_lstm = self.weight_hh.new_zeros(self.inputs.shape[2] + self.size + 1, len(self.weight_hh))

    def made(self, begin: int, end: int) -> slice:
        """The memories that steps begin to end − 1 have made."""
        start, every = self.rule.start, self.rule.memory_every
        return slice(*(self.old + (start + t) // every - start // every for t in (begin, end)))

    def window(self, begin, end, cell, carried, rows):
        """Replay steps begin to end − 1 and take their credit back to the window's start.

        Args:
            cell: the cell state before step `begin`.
            carried: the gradients of the hidden and of the cell state after step end − 1.
            rows: the examples that are owed something; None for all of them.

        Returns:
            The gradients of the hidden and of the cell state before step `begin`.
        """
        size, inputs, to_outputs = self.size, *(pick(x[begin:end], 1, rows) for x in (self.inputs, self.to_outputs))
        before = pick(self.outputs[max(begin - 1, 0) : end - 1, :, :size], 1, rows)
        if not begin:
            before = torch.cat([pick(self.first, 0, rows).unsqueeze(0), before])
        cell, to_hidden, to_cell = (pick(each, 0, rows) for each in (cell, *carried))
        chosen = [choice and choice.of(rows) for choice in self.chosen[begin:end]]
        gates = functional.linear(inputs, self.weight_ih, sum(self.biases)) + functional.linear(before, self.weight_hh)
        i, f, g, o = gates.unflatten(2, (4, size)).unbind(2)
        i, f, g, o = i.sigmoid(), f.sigmoid(), tanh(g), o.sigmoid()
        cells = [cell]
        for forget, new in zip(f, i * g, strict=True):
            cells.append(torch.addcmul(new, forget, cells[-1]))
        past, squashed = torch.stack(cells[:-1]), tanh(torch.stack(cells[1:]))
        through = o * (1 - squashed * squashed)  # ∂ĥ/∂c
        # What the input of each gate changes: those of i, f and g change c, that of o changes ĥ.
        to_gates = torch.stack([g * i * (1 - i), past * f * (1 - f), i * (1 - g * g), squashed * o * (1 - o)], 2)
        provisional, row = o * squashed, 0
        for t in reversed(range(end - begin)):
            to_hidden = to_hidden + to_outputs[t, :, :size]
            own = 0
            for made in range(*self.made(begin + t, begin + t + 1).indices(len(self.bank.states))):  # (R4)
                states, entries = (pick(each[made], 0, rows) for each in self.credit)
                to_memory = self.scorer.to_memory(entries, pick(self.bank.entries[made], 0, rows)) + states
                if self.rule.mental_updates:
                    to_hidden = to_hidden + to_memory
                else:  # it goes to the weights and the input of this step, and stops there
                    own = to_gates[t] * torch.stack([to_memory * through[t]] * 3 + [to_memory], 1)
            to_provisional = to_hidden
            if chosen[t] is not None:
                if row == 0:
                    reading = self.reading(chosen, t, provisional)
                    row = len(reading.weights)
                row -= 1
                to_summary = to_hidden + to_outputs[t, :, size:]
                to_provisional = to_provisional + self.pay(reading, row, to_summary)
                if row == 0:
                    self.scorer.collect(*(part.flatten(0, 1) for part in reading[-4:]))
            to_cell = torch.addcmul(to_cell, to_provisional, through[t])
            to_gates[t, :, :3] *= to_cell.unsqueeze(1)
            to_gates[t, :, 3] *= to_provisional
            to_cell = to_cell * f[t]
            to_hidden = to_gates[t].flatten(1) @ self.weight_hh
            to_gates[t] += own
        to_gates = to_gates.flatten(2)
        if self.to_inputs is not None:
            everyone = slice(None) if rows is None else rows
            self.to_inputs[begin:end, everyone] = to_gates @ self.weight_ih
        seen = torch.cat([inputs, before, before.new_ones(*before.shape[:2], 1)], 2)
        self.to_lstm.addmm_(seen.flatten(0, 1).T, to_gates.flatten(0, 1))
        if rows is None:
            return to_hidden, to_cell
        return tuple(torch.zeros_like(carried[0]).index_copy_(0, rows, each) for each in (to_hidden, to_cell))

    def reading(self, chosen, last, provisional):
        """What step `last` of a window has read, and with it the steps before it that read as many memories."""
        shape, first = chosen[last].scores.shape, last
        while first and last - first < TOGETHER - 1 and alike(chosen[first - 1], shape):
            first -= 1
        steps = chosen[first : last + 1]
        choice = Choice(*(torch.cat([step[part] for step in steps]) for part in (0, 1)), steps[0].threshold)
        provisional = provisional[first : last + 1]
        weights = choice.weights()
        inner = self.scorer.inner(read(self.bank.entries, choice.selected), provisional.flatten(0, 1))
        memories, slope = read(self.bank.states, choice.kept), self.scorer.slope(inner)
        parts = choice.kept, choice.selected, weights, choice.slope(weights), memories, slope, inner, choice.scores
        *parts, scores = (part.unflatten(0, (len(steps), -1)) for part in parts)
        return Reading(choice.threshold, *parts, torch.empty_like(scores), torch.empty_like(provisional), provisional)

    def pay(self, reading, row, to_summary):
        """Take the credit of one summary to the memories it was made of; returns the share of the provisional state."""
        weights = reading.weights[row]
        add(self.credit.states, reading.kept[row], weights.unsqueeze(2) * to_summary.unsqueeze(1))  # (R1)
        to_weights = (reading.memories[row] * to_summary.unsqueeze(1)).sum(2)
        to_scores = (to_weights - (weights * to_weights).sum(1, keepdim=True)) * reading.weight_slope[row]  # (R2)
        if reading.threshold:
            to_scores = torch.cat([to_scores, -to_scores.sum(1, keepdim=True)], 1)
        reading.to_scores[row] = to_scores
        to_keys = to_scores.unsqueeze(2) * reading.score_slope[row]  # (R3)
        add(self.credit.entries, reading.selected[row], to_keys)
        if not self.scorer.asks:
            return 0
        return self.scorer.to_provisional(torch.sum(to_keys, 1, out=reading.to_query[row]))

    def finish(self):
        """The gradients of all weights."""
        to_input, to_state, to_bias = self.to_lstm.T.split([self.inputs.shape[2], self.size, 1], 1)
        to_bias = to_bias.squeeze(1)
        return to_input, to_state, to_bias, to_bias, *self.scorer.finish(self.credit.entries, self.bank.states)
