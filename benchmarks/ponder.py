"""What adaptive computation costs beside its plain cell: python benchmarks/ponder.py [RESULT.json]

One training step (forward and backward) of each layer on random inputs, one thread. The layers of a comparison take
turns, so that another program on the machine hits all alike; each row is the least time of its turns. What counts are
ratios within one run.

The halting units are set, not learned, so that N has the mean and the longest that a row names. "torch cell" is torch's
own cell, repeated: the time of n repeats divided by n is the measure of one step, and `ratio` is a layer's time for
each unit of mean N in that measure. "masked loop" is adaptive computation as ports often have it: one loop for the
whole batch, masks for who has halted, every state and every output kept. In the rows "halts, cap M", `ratio` is the
time of a layer that stops when all have halted, as a share of M steps for all.
"""

import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from companion import runs
from companion.mechanisms import AdaptiveComputation

TURNS, REPEATS = 6, 4


class Setting(NamedTuple):
    """A task of the paper as far as time goes: its cell, widths, batch and time steps."""

    cell: str
    input_size: int
    hidden_size: int
    batch: int
    steps: int


SETTINGS = {
    "parity": Setting("rnn", 64, 128, 128, 1),
    "logic": Setting("lstm", 102, 128, 16, 5),
    "addition": Setting("lstm", 50, 512, 32, 3),
    "sort": Setting("lstm", 2, 512, 16, 16),
}
HALTING = [(1.0, 1.0), (-0.5, 1.0), (-0.5, 3.0), (-1.5, 3.0)]  # bias of the halting unit, multiple of its weights
TORCH = {"rnn": nn.RNNCell, "lstm": nn.LSTMCell}


class Plain(nn.Module):
    """torch's own cell, applied the same number of times to each input."""

    def __init__(self, cell: str, input_size: int, hidden_size: int, repeats: int):
        super().__init__()
        self.cell, self.repeats = TORCH[cell](input_size + 1, hidden_size), repeats

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        state, outputs = None, []
        for x in inputs:
            first = torch.cat([x, torch.ones_like(x[:, :1])], 1)
            again = torch.cat([x, torch.zeros_like(x[:, :1])], 1)
            for step in range(self.repeats):
                state = self.cell(again if step else first, state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(outputs).square().mean()


class MaskedLoop(nn.Module):
    """Adaptive computation over a tanh cell in one masked loop, sharing the weights of a layer."""

    def __init__(self, layer: AdaptiveComputation):
        super().__init__()
        self.layer, self.read_out = layer, nn.Linear(layer.hidden_size, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        cell, halt, most = self.layer.cell.cell, self.layer.halt, self.layer.max_steps
        state, answers, price = inputs.new_zeros(inputs.shape[1], self.layer.hidden_size), [], 0.0
        for x in inputs:
            running, spent, used = (x.new_full((len(x),), value) for value in (1.0, 0.0, 0.0))
            states, outputs, weights, hidden = [], [], [], state
            for n in range(most):
                hidden = cell(torch.cat([x, x.new_full((len(x), 1), float(n == 0))], 1), hidden)
                unit = torch.sigmoid(halt(hidden)).squeeze(1)
                stops = running * ((spent + unit >= 1 - self.layer.epsilon) | (n == most - 1)).float()
                running_on = running - stops
                weights.append(unit * running_on + (1 - spent) * stops)
                used = used + running + (1 - spent) * stops
                spent, running = spent + unit * running_on, running_on
                states.append(hidden)
                outputs.append(self.read_out(hidden))
                if not bool(running.any()):
                    break
            spread = torch.stack(weights).unsqueeze(2)
            state = (spread * torch.stack(states)).sum(0)
            answers.append((spread * torch.stack(outputs)).sum(0))
            price = price + used
        return torch.stack(answers).square().mean() + self.layer.time_penalty * price.mean()


class Adaptive(nn.Module):
    """A layer, answering with one number to be made small."""

    def __init__(self, layer: AdaptiveComputation):
        super().__init__()
        self.layer, self.read_out = layer, nn.Linear(layer.hidden_size, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        answer = self.layer(inputs)
        return self.read_out(answer.outputs).square().mean() + answer.cost.mean()


def halting(setting: Setting, bias: float, multiple: float, **options) -> AdaptiveComputation:
    """A layer whose halting unit starts with this bias and enlarged weights."""
    torch.manual_seed(0)
    cell, input_size, hidden_size, *_ = setting
    layer = AdaptiveComputation(input_size, hidden_size, cell, 1e-3, halting_bias=bias, **options)
    with torch.no_grad():
        layer.halt.weight.mul_(multiple)
    return layer


def in_turns(layers: dict[str, nn.Module], inputs: torch.Tensor, turns: int) -> dict[str, float]:
    """The least seconds of a training step of each layer; the first turn does not count."""
    seconds = dict.fromkeys(layers, float("inf"))
    for turn in range(turns + 1):
        for name, layer in layers.items():
            layer.zero_grad()
            begun = time.perf_counter()
            layer(inputs).backward()
            if turn:
                seconds[name] = min(seconds[name], time.perf_counter() - begun)
    return seconds


def rows_of(task: str, bias: float, multiple: float, turns: int, batch: int | None = None) -> list[dict]:
    """A row a layer: what a step takes, and what it takes for each unit of mean N, as a multiple of the plain cell."""
    setting = SETTINGS[task]._replace(**{"batch": batch} if batch else {})
    inputs = torch.randn(setting.steps, setting.batch, setting.input_size)
    adaptive = halting(setting, bias, multiple)
    n = adaptive(inputs).trace["ponder_steps"].float()
    layers: dict[str, nn.Module] = {
        "torch cell": Plain(*setting[:3], REPEATS),
        "fast form": Adaptive(adaptive),
        "plain form": Adaptive(halting(setting, bias, multiple, form="plain")),
    }
    if setting.cell == "rnn":
        layers["masked loop"] = MaskedLoop(adaptive)
    seconds = in_turns(layers, inputs, turns)
    step = seconds["torch cell"] / REPEATS
    rows = []
    for name, taken in seconds.items():
        mean = REPEATS if name == "torch cell" else n.mean().item()
        row = {"task": task, "layer": name, "batch": setting.batch, "mean_n": round(mean, 2)}
        row |= {"longest": REPEATS if name == "torch cell" else round(n.amax(1).mean().item(), 2)}
        rows.append(row | {"seconds": round(taken, 6), "ratio": round(taken / mean / step, 3)})
        print(" ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    return rows


def to_the_cap(task: str, bias: float, multiple: float, most: int, turns: int) -> list[dict]:
    """Stopping when all have halted, beside taking all M steps and halting afterwards."""
    setting = SETTINGS[task]
    inputs = torch.randn(setting.steps, setting.batch, setting.input_size)
    adaptive = Adaptive(halting(setting, bias, multiple, max_steps=most))
    n = adaptive.layer(inputs).trace["ponder_steps"].float()
    seconds = in_turns({"fast form": adaptive, "torch cell": Plain(*setting[:3], most)}, inputs, turns)
    row = {"task": task, "layer": f"halts, cap {most}", "batch": setting.batch, "mean_n": round(n.mean().item(), 2)}
    row |= {"longest": round(n.amax(1).mean().item(), 2), "seconds": round(seconds["fast form"], 6)}
    return [row | {"ratio": round(seconds["fast form"] / seconds["torch cell"], 3)}]


def main(result: Path) -> None:
    torch.set_num_threads(1)
    rows = []
    for task in SETTINGS:
        for bias, multiple in HALTING:
            rows += rows_of(task, bias, multiple, TURNS)
    for batch in (8, 32, 512):
        rows += rows_of("parity", -0.5, 3.0, TURNS, batch)
    for task in ("parity", "logic"):
        rows += to_the_cap(task, -0.5, 3.0, 20, TURNS)
    runs.save_benchmark(result, {"repeats": REPEATS, "turns": TURNS}, rows)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "book/results/benchmarks/ponder.json"))
