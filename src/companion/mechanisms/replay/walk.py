"""The backward walk through the windows: R1 to R4.

A window is visited after all later ones. Whoever read a memory that it made has paid in by then, so what is owed for
the memory is complete when the walk comes to the step that made it. x' is ∂L/∂x, in the code `to_x`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from companion.mechanisms.replay.choice import Cache, Choice, add, read
from companion.mechanisms.replay.window import Window

TOGETHER = 16  # steps whose readings are prepared in one go, at most


@dataclass
class Reading:
    """What some steps in a row have read; each tensor is (steps, batch, …).

    Attributes:
        first: of the steps.
        choice: of all of them, (steps · batch, …).
        kept, selected: where the memories lie that have a weight, and all that were scored against each other.
        weights, slope: α of the kept ones, and 1/Z of R2.
        memories: the kept ones.
        inner, score_slope: what the scorer has inside for each selected memory, and ∂a/∂k, as the scorer keeps them.
        to_scores, to_query: a' and Σ k', filled in by `pay`.
        provisional: ĥ.
    """

    first: int
    choice: Choice
    kept: Tensor
    selected: Tensor
    weights: Tensor
    slope: Tensor
    memories: Tensor
    inner: Tensor
    score_slope: Tensor
    to_scores: Tensor
    to_query: Tensor
    provisional: Tensor


class Walk:
    """The walk back.

    Args:
        rule: the layer's options.
        inputs, outputs, to_outputs: of the whole call, (time, batch, …).
        first: the hidden state before it.
        bank: all memories, and `credit` what is owed for each: m' and k'.
        chosen: what each step has read.
        lstm, scorer: the weights, and the scorer made of its own.
        inputs_matter: whether the gradient of the inputs is asked for.

    Attributes:
        to_inputs: the gradient of the inputs so far.
        old: memories that were there before the call.
    """

    def __init__(self, rule, inputs, outputs, to_outputs, first, bank, credit, chosen, lstm, scorer, inputs_matter):
        self.rule, self.inputs, self.outputs, self.to_outputs, self.first = rule, inputs, outputs, to_outputs, first
        self.bank, self.credit, self.chosen, self.lstm, self.scorer = bank, credit, chosen, lstm, scorer
        self.size = first.shape[1]
        self.old = len(bank.states) - rule.made(len(inputs))
        if rule.top_k is None:
            self.room = Cache(bank.entries)
            self.more = torch.empty_like(self.room.scratch)
        self.to_inputs = torch.zeros_like(inputs) if inputs_matter else None
        self.to_lstm = first.new_zeros(inputs.shape[2] + self.size + 1, 4 * self.size)  # of [W_ih, W_hh, b], transposed

    def made(self, begin: int, end: int) -> range:
        """The memories that steps begin to end − 1 have made."""
        return range(self.old + self.rule.made(begin), self.old + self.rule.made(end))

    def window(self, begin, end, cell, carried, rows):
        """Replay steps begin to end − 1 and take their credit back to the window's start.

        Args:
            cell: the cell state before step `begin`.
            carried: the gradients of the hidden and of the cell state after step end − 1.
            rows: the examples that are owed something; None for all of them.

        Returns:
            The gradients of the hidden and of the cell state before step `begin`.
        """
        window = self.replayed(begin, end, cell, rows)
        chosen = [choice and choice.of(rows) for choice in self.chosen[begin:end]]
        to_outputs = pick(self.to_outputs[begin:end], 1, rows)
        to_hidden, to_cell = (pick(each, 0, rows) for each in carried)
        reading = None
        for t in reversed(range(end - begin)):
            to_hidden = to_hidden + to_outputs[t, :, : self.size]
            stopping = None
            for memory in self.made(begin + t, begin + t + 1):  # (R4)
                owed = self.owed(memory, rows)
                if self.rule.mental_updates:
                    to_hidden = to_hidden + owed
                else:
                    stopping = owed
            to_provisional = to_hidden
            if chosen[t] is not None and chosen[t].selected is None:
                to_summary = to_hidden + to_outputs[t, :, self.size :]
                to_provisional = to_hidden + self.pay_all(chosen[t], window.provisional[t], to_summary)
            elif chosen[t] is not None:
                if reading is None:
                    reading = self.reading(chosen, t, window.provisional)
                to_summary = to_hidden + to_outputs[t, :, self.size :]
                to_provisional = to_hidden + self.pay(reading, t - reading.first, to_summary)
                if t == reading.first:
                    self.scorer.score_learns(reading.inner, reading.to_scores)
                    self.scorer.query_learns(reading.to_query.flatten(0, 1), reading.provisional.flatten(0, 1))
                    reading = None
            to_hidden, to_cell = window.back(t, to_provisional, to_cell, stopping)
        window.add_to(self.to_lstm)
        if self.to_inputs is not None:
            self.to_inputs[begin:end, slice(None) if rows is None else rows] = window.to_inputs()
        if rows is None:
            return to_hidden, to_cell
        return tuple(torch.zeros_like(carried[0]).index_copy_(0, rows, each) for each in (to_hidden, to_cell))

    def replayed(self, begin: int, end: int, cell: Tensor, rows: Tensor | None) -> Window:
        """The window's LSTM, once more, for the given examples."""
        before = self.outputs[max(begin - 1, 0) : end - 1, :, : self.size]
        if not begin:
            before = torch.cat([self.first.unsqueeze(0), before])
        return Window(self.lstm, pick(self.inputs[begin:end], 1, rows), pick(before, 1, rows), pick(cell, 0, rows))

    def owed(self, memory: int, rows: Tensor | None) -> Tensor:
        """m'_i, with what came to it by its key."""
        to_memory, to_key = (pick(each[memory], 0, rows) for each in self.credit)
        return to_memory + self.scorer.to_memory(to_key, pick(self.bank.entries[memory], 0, rows))

    def reading(self, chosen: list[Choice | None], last: int, provisional: Tensor) -> Reading:
        """What step `last` of a window has read, and with it the steps before it that read as many memories."""
        shape, first = chosen[last].scores.shape, last
        while first and last - first < TOGETHER - 1 and alike(chosen[first - 1], shape):
            first -= 1
        steps, provisional = chosen[first : last + 1], provisional[first : last + 1]
        choice = Choice(*(torch.cat([step[part] for step in steps]) for part in (0, 1)), steps[0].threshold)
        weights = choice.weights()
        query = self.scorer.query(provisional.flatten(0, 1)).unsqueeze(1)
        inner = self.scorer.inner(read(self.bank.entries, choice.selected), query)
        memories, slope = read(self.bank.states, choice.kept), self.scorer.slope(inner)
        parts = choice.kept, choice.selected, weights, choice.slope(weights), memories, inner, slope, choice.scores
        *parts, scores = (part.unflatten(0, (len(steps), -1)) for part in parts)
        filled_in = torch.empty_like(scores), torch.empty_like(provisional)
        return Reading(first, choice, *parts, *filled_in, provisional)

    def pay(self, reading: Reading, row: int, to_summary: Tensor) -> Tensor | int:
        """Take the credit of one summary to the memories it was made of; what returns is ĥ's share."""
        weights = reading.weights[row]
        add(self.credit.states, reading.kept[row], weights.unsqueeze(2) * to_summary.unsqueeze(1))  # (R1)
        to_weights = (reading.memories[row] * to_summary.unsqueeze(1)).sum(2)
        to_scores = (to_weights - (weights * to_weights).sum(1, keepdim=True)) * reading.slope[row]  # (R2)
        if reading.choice.threshold:
            to_scores = torch.cat([to_scores, -to_scores.sum(1, keepdim=True)], 1)
        reading.to_scores[row] = to_scores
        to_keys = to_scores.unsqueeze(2) * reading.score_slope[row]  # (R3)
        add(self.credit.entries, reading.selected[row], to_keys)
        if not self.scorer.asks:
            return 0
        return self.scorer.to_provisional(torch.sum(to_keys, 1, out=reading.to_query[row]))

    def pay_all(self, choice: Choice, provisional: Tensor, to_summary: Tensor) -> Tensor | int:
        """The same for a step that read all memories, (memories, batch, hidden), and so needs no places of them."""
        known, weights, query = choice.scores.shape[1], choice.weights().T, self.scorer.query(provisional)
        to_weights, to_query = torch.empty_like(weights), torch.zeros_like(provisional)
        for part, scratch in self.room.parts(known):
            to_weights[part] = torch.mul(self.bank.states[part], to_summary, out=scratch).sum(2)
        to_scores = (to_weights - (weights * to_weights).sum(0)) * weights  # (R2)
        for part, scratch in self.room.parts(known):
            self.credit.states[part].addcmul_(weights[part].unsqueeze(2), to_summary)  # (R1)
            inner = self.scorer.inner(self.bank.entries[part], query, scratch)
            self.scorer.score_learns(inner, to_scores[part])
            slope = self.scorer.slope(inner, self.more[: len(scratch)])
            to_keys = torch.mul(slope, to_scores[part].unsqueeze(2), out=scratch)  # (R3)
            self.credit.entries[part] += to_keys
            to_query += to_keys.sum(0)
        self.scorer.query_learns(to_query, provisional)
        return self.scorer.to_provisional(to_query) if self.scorer.asks else 0

    def finish(self) -> tuple[Tensor, ...]:
        """The gradients of all weights, in the order in which the function takes them."""
        to_input, to_state, to_bias = self.to_lstm.T.split([self.inputs.shape[2], self.size, 1], 1)
        to_bias = to_bias.squeeze(1)
        return to_input, to_state, to_bias, to_bias, *self.scorer.finish(self.credit.entries, self.bank.states)


def alike(choice: Choice | None, shape: torch.Size) -> bool:
    return choice is not None and choice.scores.shape == shape


def pick(x: Tensor, dim: int, rows: Tensor | None) -> Tensor:
    """The given examples of a batch; None picks all."""
    return x if rows is None else x.index_select(dim, rows)
