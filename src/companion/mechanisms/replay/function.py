"""The forward pass without a graph, and the backward pass that asks for replays."""

from typing import NamedTuple

import torch
from torch import Tensor

from companion.mechanisms.replay.choice import Bank, Choice, attention, choose, read
from companion.mechanisms.replay.scorers import REPLAYS
from companion.mechanisms.replay.walk import Walk


class Rule(NamedTuple):
    """The options of the layer, the number of steps made before this call, and where to write what happened."""

    scorer: str
    top_k: int | None
    truncation: int | None
    memory_every: int
    normaliser: str
    mental_updates: bool
    start: int
    trace: dict[str, Tensor]


class SparseReplay(torch.autograd.Function):
    """(rule, inputs, hidden, cell, memories, LSTM weights, scorer weights) -> (outputs, hidden, cell, memories)."""

    @staticmethod
    def forward(ctx, rule, inputs, hidden, cell, memories, *parameters):
        lstm, scorer = parameters[:4], REPLAYS[rule.scorer](*parameters[4:])
        (time, batch), size, known = inputs.shape[:2], hidden.shape[1], len(memories)
        total = known + (rule.start + time) // rule.memory_every - rule.start // rule.memory_every
        bank = Bank(*inputs.new_empty(2, total, batch, size))
        # Tensors that would grow from step to step are made once: a heap of growing ones falls to pieces.
        scratch, scores = torch.empty_like(bank.entries), inputs.new_empty(total * batch)
        bank.states[:known], bank.entries[:known] = memories, scorer.entry(memories)
        outputs = inputs.new_empty(time, batch, 2 * size)
        first, starts, chosen, zeros = hidden, {}, [], torch.zeros_like(hidden)
        for t, step in enumerate(range(rule.start, rule.start + time)):
            if t == 0 or (rule.truncation and step % rule.truncation == 0):
                starts[t] = cell
            provisional, cell = torch.lstm_cell(inputs[t], (hidden, cell), *lstm)  # (S1)
            choice, summary = None, zeros
            if known:
                scorer.scores(bank.entries[:known], provisional, scratch[:known], scores[: known * batch])  # (S2)
                choice = choose(scores[: known * batch].view(known, batch), rule.top_k, rule.normaliser)
                summary = (choice.weights().unsqueeze(1) @ read(bank.states, choice.kept)).squeeze(1)  # (S3, S4)
            chosen.append(choice)
            hidden = torch.add(provisional, summary, out=outputs[t, :, :size])
            outputs[t, :, size:] = summary  # (S5)
            if (step + 1) % rule.memory_every == 0:
                bank.states[known], bank.entries[known] = hidden, scorer.entry(hidden)
                known += 1
        replayed = torch.zeros(len(starts), batch, dtype=torch.bool, device=inputs.device)
        rule.trace.update(attention=attention(chosen, bank.states), replayed=replayed)
        ctx.rule, ctx.begins, ctx.replayed = rule._replace(trace={}), list(starts), replayed
        ctx.thresholds = [choice and choice.threshold for choice in chosen]
        readings = [tensor for choice in chosen if choice is not None for tensor in choice[:2]]
        ctx.save_for_backward(inputs, first, outputs, *bank, *parameters, *starts.values(), *readings)
        return outputs, hidden.clone(), cell, bank.states

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, to_outputs, to_hidden, to_cell, to_memories):
        inputs, first, outputs, states, entries, *saved = ctx.saved_tensors
        parameters, saved = saved[: len(ctx.needs_input_grad) - 5], iter(saved[len(ctx.needs_input_grad) - 5 :])
        starts = [next(saved) for _ in ctx.begins]
        chosen = [None if each is None else Choice(next(saved), next(saved), each) for each in ctx.thresholds]
        rule, scorer, time = ctx.rule, REPLAYS[ctx.rule.scorer](*parameters[4:]), len(inputs)
        credit = Bank(to_memories.clone(), torch.zeros_like(entries))
        walk = Walk(rule, inputs, first, outputs, to_outputs, Bank(states, entries), credit, chosen)
        walk.weigh_with(parameters[:4], scorer, ctx.needs_input_grad[1])
        due, carried = to_outputs.any(2), (to_hidden, to_cell)
        ends = [*ctx.begins, time][1:]
        for window, (begin, end) in reversed(list(enumerate(zip(ctx.begins, ends, strict=True)))):
            if end < time:
                carried = torch.zeros_like(to_hidden), torch.zeros_like(to_cell)
            owed = due[begin:end].any(0)
            if not owed.all():
                made = walk.made(begin, end)
                claims = [*(each[made].any(2) for each in credit), *(each.any(1, keepdim=True).T for each in carried)]
                owed |= torch.cat(claims).any(0)
            ctx.replayed[window] = owed
            rows = owed.nonzero().flatten()
            if len(rows):
                rows = None if len(rows) == len(owed) else rows
                carried = walk.window(begin, end, starts[window], carried, rows)
        if rule.truncation and rule.start % rule.truncation == 0:
            carried = torch.zeros_like(to_hidden), torch.zeros_like(to_cell)
        old = slice(walk.made(0, 0).start)
        to_memories = credit.states[old] + scorer.to_memory(credit.entries[old], entries[old])
        return None, walk.to_inputs, *carried, to_memories, *walk.finish()
