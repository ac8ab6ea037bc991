"""What fast weights cost beside a plain LSTM: python benchmarks/attend.py [RESULT.json]

One training step (forward and backward) of each layer on random inputs, batch 128, one thread, over state sizes and
sequence lengths. The layers take turns, so that another program on the machine hits all alike; each row is the least
time of its turns. What counts are ratios within one run.

Then what it brings to train eight networks in one pass, by `torch.vmap`, in place of one after another. The last
rows are frames of Catch a second.
"""

import copy
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.func import functional_call, stack_module_state

from companion import runs
from companion.mechanisms import FastWeights
from companion.network import Network
from companion.tasks import Catch, CatchEnv
from companion.tasks.catch import Game

INPUT, BATCH, TURNS = 100, 128, 4
UNITS, STEPS = (20, 50, 100, 200), (11, 25, 50, 100)
SEEDS = 8


class Plain(nn.Module):
    """`torch.nn.LSTM`, answering with its outputs alone."""

    def __init__(self, units: int):
        super().__init__()
        self.lstm = nn.LSTM(INPUT, units)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.lstm(inputs)[0]


class Fast(nn.Module):
    """Fast weights, answering with their outputs alone."""

    def __init__(self, units: int, form: str):
        super().__init__()
        self.layer = FastWeights(INPUT, units, form=form)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layer(inputs).outputs


LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "nn.LSTM": Plain,
    "fast weights, attention": lambda units: Fast(units, "attention"),
    "fast weights, matrix": lambda units: Fast(units, "matrix"),
}


def in_turns(layers: dict[str, nn.Module], inputs: torch.Tensor, turns: int) -> dict[str, float]:
    """The least seconds of a training step of each layer; the first turn does not count."""
    seconds = dict.fromkeys(layers, float("inf"))
    for turn in range(turns + 1):
        for name, layer in layers.items():
            begun = time.perf_counter()
            layer(inputs).square().mean().backward()
            if turn:
                seconds[name] = min(seconds[name], time.perf_counter() - begun)
    return seconds


def over_sizes(units: tuple[int, ...], steps: tuple[int, ...], turns: int = TURNS) -> list[dict]:
    """A row a layer, state size and sequence length."""
    rows = []
    for size in units:
        for length in steps:
            layers = {name: make(size) for name, make in LAYERS.items()}
            for name, seconds in in_turns(layers, torch.randn(length, BATCH, INPUT), turns).items():
                rows.append({"layer": name, "units": size, "steps": length, "seconds": round(seconds, 5)})
                print("{layer:24} R = {units:<4} T = {steps:<4} {seconds:8.4f} s".format(**rows[-1]), flush=True)
    return rows


class Together(nn.Module):
    """Networks of the same shape with a batch each, in one pass; their gradients stay apart."""

    def __init__(self, layers: list[nn.Module]):
        super().__init__()
        weights, _ = stack_module_state(layers)
        self.names, self.weights = list(weights), nn.ParameterList(weights.values())
        self.skeleton = [copy.deepcopy(layers[0]).to("meta")]  # in a list, so that it is no submodule

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        def one(weights: dict[str, torch.Tensor], inputs: torch.Tensor) -> torch.Tensor:
            return functional_call(self.skeleton[0], weights, (inputs,))

        weights = dict(zip(self.names, self.weights, strict=True))
        return torch.vmap(one, in_dims=(0, None))(weights, inputs)


def seeds_together(units: tuple[int, ...], turns: int = TURNS) -> list[dict]:
    """How long one network takes, and eight in one pass."""
    rows = []
    for size in units:
        layers = {
            "one network": Fast(size, "auto"),
            f"{SEEDS} networks in one pass": Together([Fast(size, "auto") for _ in range(SEEDS)]),
        }
        for name, seconds in in_turns(layers, torch.randn(11, BATCH, INPUT), turns).items():
            rows.append({"layer": name, "units": size, "steps": 11, "seconds": round(seconds, 5)})
            print("{layer:24} R = {units:<4} T = {steps:<4} {seconds:8.4f} s".format(**rows[-1]), flush=True)
    return rows


def catch_frames(size: int = 16, batch: int = 64, turns: int = TURNS) -> list[dict]:
    """Frames of Catch a second: by Gymnasium, by the rules on a batch, and in a training step of an agent."""
    task, env = Catch(size, 3), CatchEnv(size, 3)
    example = task.batch(torch.Generator().manual_seed(0), batch)
    agent = Network(task, FastWeights(128, 128), nn.Sequential(nn.Linear(task.input_size, 128), nn.ReLU()))

    def by_gymnasium():
        env.reset(seed=0)
        while not env.game.over:
            env.step(1)

    def by_rules():
        game = Game(size, 3, *example.targets)
        while not game.over:
            game.screen()
            game = game.after(torch.ones(batch, dtype=torch.long))

    def by_training():
        inputs, targets = task.play(agent, example)
        task.loss(agent(inputs)[0], targets).mean().backward()

    rows = []
    for name, play, episodes in (
        ("Gymnasium", by_gymnasium, 1),
        ("rules", by_rules, batch),
        ("training", by_training, batch),
    ):
        seconds = float("inf")
        for _ in range(turns + 1):
            begun = time.perf_counter()
            play()
            seconds = min(seconds, time.perf_counter() - begun)
        row = {"layer": f"Catch, {name}", "units": 128, "steps": size, "seconds": round(seconds, 5)}
        rows.append(row | {"frames_a_second": round(episodes * size / seconds)})
        print("{layer:24} {frames_a_second:12,} frames a second".format(**rows[-1]), flush=True)
    return rows


def main(result: Path) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = over_sizes(UNITS, STEPS) + seeds_together((20, 100)) + catch_frames()
    runs.save_benchmark(result, {"input_size": INPUT, "batch": BATCH}, rows)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "book/results/benchmarks/attend.json"))
