"""What `AdaptiveComputation.ponder` computes, in less time.

Three things save it. When half of a large batch has halted, the others go on as a smaller one. While examples step, no
more than N is found out about their halting. And the average over inner steps has its gradient written by hand, as the
paper has it: with g the gradient that comes back to the mean-field state, γ the one of R, and N held fixed,

    (A8)   ∂L/∂p^n = ⟨g, s^n⟩
    (A9)   ∂L/∂h^n = ∂L/∂p^n − ∂L/∂p^N − γ   for n < N, else 0
    (A10)  ∂L/∂s^n = p^n g + ∂L/∂h^n · h^n (1 − h^n) · W_h

to which the step after adds what goes back through the cell.

Source: Graves 2016, equations 14 to 20.
"""

from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.mechanisms.cell import Cell
from companion.mechanisms.halting import Halting, mean_field, spread
from companion.precision import exact, uncast
from companion.state import HiddenState, LSTMState
from companion.surroundings import twice

WORTH_SHRINKING = 4096  # numbers in a state of the batch; below, a smaller batch takes as long


class MeanField(torch.autograd.Function):
    """The states averaged by the halting distribution.

    Takes N, (batch,), and the halting units h, (steps, batch), computed without a graph; W_h, (1, hidden), and b_h,
    (1,), from which the units came; and the parts of the states, each (steps, batch, hidden), first the one that halts.
    Returns p, (steps, batch), which has no gradient, R, (batch,), and each part's average, (batch, hidden).
    """

    @staticmethod
    def forward(ctx, steps, units, weight, bias, *parts):
        probabilities, _, remainder = spread(units, steps)
        ctx.save_for_backward(steps, units, probabilities, weight, bias, *parts)
        ctx.mark_non_differentiable(probabilities)
        return probabilities, remainder, *(mean_field(probabilities, part) for part in parts)

    @staticmethod
    def plain(steps, weight, bias, *parts):
        """R and the averages, by the definition."""
        units = torch.sigmoid(exact(parts[0]) @ exact(weight)[0] + exact(bias))
        probabilities, _, remainder = spread(units, steps)
        return remainder, *(mean_field(probabilities, part) for part in parts)

    @staticmethod
    def backward(ctx, _, to_remainder, *to_averages):
        steps, units, probabilities, weight, bias, *parts = ctx.saved_tensors
        with uncast(units):
            if torch.is_grad_enabled():  # the gradient is to be differentiated once more
                wanted, payoffs = ctx.needs_input_grad[2:], (to_remainder, *to_averages)
                plain = partial(MeanField.plain, steps)
                return None, None, *twice(plain, (weight, bias, *parts), wanted, payoffs)
            payoffs = [exact(payoff) for payoff in to_averages]
            to_p = sum((part * payoff).sum(2) for part, payoff in zip(parts, payoffs, strict=True))  # (A8)
            at_last = to_p.gather(0, steps.unsqueeze(0) - 1) + to_remainder
            index = torch.arange(1, len(units) + 1, device=units.device).unsqueeze(1)
            to_sums = (to_p - at_last) * (index < steps) * units * (1 - units)  # (A9), and through the sigmoid
            to_parts = [probabilities.unsqueeze(2) * payoff for payoff in payoffs]
            to_parts[0].addcmul_(to_sums.unsqueeze(2), exact(weight))  # (A10)
            to_weight = to_sums.reshape(1, -1) @ exact(parts[0]).flatten(0, 1)
        to_parts = (to_part.to(part.dtype) for to_part, part in zip(to_parts, parts, strict=True))
        return None, None, to_weight.to(weight.dtype), to_sums.sum().reshape(1).to(bias.dtype), *to_parts


def ponder_fast(
    cell: Cell,
    halt: nn.Linear,
    epsilon: float,
    max_steps: int,
    first: Float[Tensor, "batch sums"],
    again: Float[Tensor, "batch sums"],
    state: HiddenState | LSTMState,
) -> tuple[HiddenState | LSTMState, Halting]:
    """One time step, as `AdaptiveComputation.ponder` has it; p comes without a gradient."""
    weight, bias = exact(halt.weight.detach())[0], exact(halt.bias.detach())
    size, drive, rows = len(first), first, None  # rows: who still steps, once the batch has shrunk
    spent = exact(first).new_zeros(size)
    states, units, running = [], [], []
    while len(units) < max_steps:
        state = cell(drive, state)  # (A1)
        with uncast(drive):
            unit = torch.addmv(bias, exact(state.hidden.detach()), weight).sigmoid_()  # (A2)
        units.append(unit if rows is None else widened(unit, rows, size))
        states.append(state if rows is None else tuple(widened(part, rows, size) for part in state))
        spent = spent + units[-1]
        running.append(spent < 1 - epsilon)
        left, drive = int(running[-1].sum()), again
        if not left:
            break
        if 2 * left <= len(drive) and state.hidden.numel() > WORTH_SHRINKING:
            chosen = (running[-1] if rows is None else running[-1][rows]).nonzero().squeeze(1)
            rows = chosen if rows is None else rows[chosen]
            again, state = again[chosen], state.rows(chosen)
            drive = again
    steps = (1 + torch.stack(running).sum(0)).clamp(max=max_steps)  # (A3)
    parts = [torch.stack(part) for part in zip(*states, strict=True)]
    probabilities, remainder, *averages = MeanField.apply(steps, torch.stack(units), halt.weight, halt.bias, *parts)
    return cell.state(*averages), Halting(probabilities, steps, remainder)


def widened(part: Float[Tensor, "rows *rest"], rows: Int[Tensor, " rows"], size: int) -> Float[Tensor, "batch *rest"]:
    """The rows in their places in a batch of zeros."""
    return part.new_zeros(size, *part.shape[1:]).index_copy(0, rows, part)
