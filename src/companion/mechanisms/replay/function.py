"""The forward pass without a graph, and the backward pass that asks for replays."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from companion.mechanisms.replay.choice import Bank, Cache, Choice, attention, choose, read, read_all
from companion.mechanisms.replay.scorers import MLPReplay, ReleasedReplay
from companion.mechanisms.replay.walk import Walk
from companion.precision import uncast
from companion.surroundings import twice


class Rule(NamedTuple):
    """The options of the layer, the steps made before this call, the plain form, and where to write what happened."""

    scorer: Callable[..., MLPReplay | ReleasedReplay]
    top_k: int | None
    truncation: int | None
    memory_every: int
    normaliser: str
    mental_updates: bool
    start: int
    plain: Callable[..., tuple[Tensor, ...]]
    trace: dict[str, Tensor]

    def made(self, step: int) -> int:
        """How many memories the call makes before its step `step`."""
        return (self.start + step) // self.memory_every - self.start // self.memory_every


class SparseReplay(torch.autograd.Function):
    """(rule, inputs, hidden, cell, memories, LSTM weights, scorer weights) -> (outputs, hidden, cell, memories)."""

    @staticmethod
    def forward(ctx, rule, inputs, hidden, cell, memories, *parameters):
        lstm, scorer = parameters[:4], rule.scorer(*parameters[4:])
        (time, batch), size, known = inputs.shape[:2], hidden.shape[1], len(memories)
        total = known + rule.made(time)
        bank = Bank(*(inputs.new_empty(total, batch, size) for _ in range(2)))
        # Tensors that would grow from step to step are made once: a heap of growing ones falls to pieces.
        room, scores = Cache(bank.entries) if rule.top_k is None else None, inputs.new_empty(total, batch)
        bank.states[:known], bank.entries[:known] = memories, scorer.entry(memories)
        outputs = inputs.new_empty(time, batch, 2 * size)
        first, starts, chosen, zeros = hidden, {}, [], torch.zeros_like(hidden)
        for t, step in enumerate(range(rule.start, rule.start + time)):
            if t == 0 or (rule.truncation and step % rule.truncation == 0):
                starts[t] = cell
            provisional, cell = torch.lstm_cell(inputs[t], (hidden, cell), *lstm)  # (S1)
            choice, summary = None, zeros
            if known:
                scorer.scores(bank.entries, provisional, known, scores)  # (S2)
                choice = choose(scores[:known], rule.top_k, rule.normaliser)
                weights = choice.weights()  # (S3)
                if choice.selected is None:
                    summary = read_all(bank.states, weights, room)  # (S4)
                else:
                    summary = (weights.unsqueeze(2) * read(bank.states, choice.kept)).sum(1)  # (S4)
            chosen.append(choice)
            hidden = torch.add(provisional, summary, out=outputs[t, :, :size])
            outputs[t, :, size:] = summary  # (S5)
            if (step + 1) % rule.memory_every == 0:
                bank.states[known], bank.entries[known] = hidden, scorer.entry(hidden)
                known += 1
        replayed = torch.zeros(len(starts), batch, dtype=torch.bool, device=inputs.device)
        rule.trace.update(attention=attention(chosen, bank.states), replayed=replayed, told_apart=scorer.told_apart)
        ctx.rule, ctx.begins, ctx.replayed = rule._replace(trace={}), list(starts), replayed
        ctx.chosen, readings = [], []
        for choice in chosen:
            tensors = [] if choice is None else [tensor for tensor in choice[:2] if tensor is not None]
            ctx.chosen.append((len(tensors), choice is not None and choice.threshold))
            readings += tensors
        ctx.save_for_backward(inputs, first, memories, outputs, *bank, *parameters, *starts.values(), *readings)
        return outputs, hidden.clone(), cell, bank.states

    @staticmethod
    def backward(ctx, *payoffs):
        with uncast(payoffs[0]):
            if not torch.is_grad_enabled():
                return SparseReplay.walk(ctx, *payoffs)
            inputs, first, memories, *_ = ctx.saved_tensors  # the gradient is to be differentiated once more
            parameters, cells, _ = SparseReplay.parts(ctx)
            given = inputs, first, cells[0], memories, *parameters
            return None, *twice(ctx.rule.plain, given, ctx.needs_input_grad[1:], payoffs)

    @staticmethod
    def parts(ctx):
        """The weights, the cell state before each window, and what each step chose."""
        count, saved = len(ctx.needs_input_grad) - 5, ctx.saved_tensors[6:]
        parameters, saved = saved[:count], iter(saved[count:])
        starts = [next(saved) for _ in ctx.begins]
        chosen = [
            Choice(next(saved), next(saved) if tensors == 2 else None, threshold) if tensors else None
            for tensors, threshold in ctx.chosen
        ]
        return parameters, starts, chosen

    @staticmethod
    def walk(ctx, to_outputs, to_hidden, to_cell, to_memories):
        inputs, first, _, outputs, states, entries = ctx.saved_tensors[:6]
        parameters, starts, chosen = SparseReplay.parts(ctx)
        rule, scorer, time = ctx.rule, ctx.rule.scorer(*parameters[4:]), len(inputs)
        owed = to_memories.clone(memory_format=torch.contiguous_format)  # what is added lies in it as in the bank
        credit = Bank(owed, torch.zeros_like(entries))
        memories, weights, matter = Bank(states, entries), parameters[:4], ctx.needs_input_grad[1]
        walk = Walk(rule, inputs, outputs, to_outputs, first, memories, credit, chosen, weights, scorer, matter)
        due, carried = to_outputs.any(2), (to_hidden, to_cell)
        ends = [*ctx.begins, time][1:]
        for window, (begin, end) in reversed(list(enumerate(zip(ctx.begins, ends, strict=True)))):
            if end < time:
                carried = torch.zeros_like(to_hidden), torch.zeros_like(to_cell)
            owed = due[begin:end].any(0)
            if not owed.all():
                made = walk.made(begin, end)
                claims = [
                    *(each[made.start : made.stop].any(2) for each in credit),
                    *(each.any(1, keepdim=True).T for each in carried),
                ]
                owed |= torch.cat(claims).any(0)
            ctx.replayed[window] = owed
            rows = owed.nonzero().flatten()
            if len(rows):
                rows = None if len(rows) == len(owed) else rows
                carried = walk.window(begin, end, starts[window], carried, rows)
        if rule.truncation and rule.start % rule.truncation == 0:
            carried = torch.zeros_like(to_hidden), torch.zeros_like(to_cell)
        old = slice(walk.old)
        to_memories = credit.states[old] + scorer.to_memory(credit.entries[old], entries[old])
        return None, walk.to_inputs, *carried, to_memories, *walk.finish()
