"""What Sparse Attentive Backtracking costs beside an LSTM: python benchmarks/remind.py [RESULT.json]

There are two LSTMs: torch's own layer, which is what one would take in its place, and a Python loop of torch's cell,
which steps as the mechanism has to. "compiled" lets torch compile the scores, which needs a C++ compiler.

One training step (forward and backward) of each layer on random inputs, with a loss at every step or at the last. Each
measurement has a process of its own and one thread: the least time of a few steps, and the memory that the steps added
to the process at its peak. What counts are ratios within one run.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn

from companion import runs
from companion.baselines import SelfAttentiveLSTM
from companion.mechanisms import SparseAttentiveBacktracking

INPUT, HIDDEN = 10, 128
SETTING = {"top_k": 5, "truncation": 5, "memory_every": 2}


class Layer(nn.Module):
    """`torch.nn.LSTM`, trained by full backpropagation: what one would take in the mechanism's place."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(INPUT, HIDDEN)

    def forward(self, inputs):
        return self.lstm(inputs)[0]


class Loop(nn.Module):
    """An LSTM cell in a Python loop, trained by full backpropagation: what the mechanism adds to."""

    def __init__(self):
        super().__init__()
        self.cell = nn.LSTMCell(INPUT, HIDDEN)

    def forward(self, inputs):
        hidden = cell = inputs.new_zeros(inputs.shape[1], HIDDEN)
        outputs = []
        for x in inputs:
            hidden, cell = self.cell(x, (hidden, cell))
            outputs.append(hidden)
        return torch.stack(outputs)


class Answering(nn.Module):
    """A layer of the book that answers with its outputs alone."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, inputs):
        return self.layer(inputs).outputs


def compiled() -> nn.Module:
    layer = SparseAttentiveBacktracking(INPUT, HIDDEN, **SETTING)
    layer.compile_scores()
    return Answering(layer)


LAYERS = {
    "nn.LSTM": Layer,
    "LSTM loop": Loop,
    "SAB, replay, compiled": compiled,
    "SAB, replay": lambda: Answering(SparseAttentiveBacktracking(INPUT, HIDDEN, **SETTING)),
    "SAB, graph": lambda: Answering(SparseAttentiveBacktracking(INPUT, HIDDEN, **SETTING, form="graph")),
    "LSTM + self-attention": lambda: Answering(SelfAttentiveLSTM(INPUT, HIDDEN)),
}
CASES = [  # layer, what it does, time steps, batch, repetitions
    ("nn.LSTM", "training", 200, 64, 6),
    ("SAB, replay", "training", 200, 64, 6),
    ("LSTM + self-attention", "training", 200, 64, 3),
    ("nn.LSTM", "training", 300, 64, 6),
    ("LSTM loop", "training", 300, 64, 6),
    ("SAB, replay", "training", 300, 64, 6),
    ("SAB, replay, compiled", "training", 300, 64, 6),
    ("SAB, graph", "training", 300, 64, 2),
    ("LSTM loop", "training, loss at the end", 300, 64, 6),
    ("SAB, replay", "training, loss at the end", 300, 64, 6),
    ("LSTM loop", "training, loss at the end", 2000, 64, 1),
    ("SAB, replay", "training, loss at the end", 2000, 64, 1),
    ("LSTM + self-attention", "training", 300, 64, 1),
    ("LSTM + self-attention", "training", 600, 64, 1),
    ("nn.LSTM", "training", 2000, 64, 2),
    ("LSTM loop", "training", 2000, 64, 2),
    ("SAB, replay", "training", 2000, 64, 2),
    ("SAB, replay, compiled", "training", 2000, 64, 2),
    ("SAB, replay", "training", 5000, 64, 1),
    ("SAB, replay", "evaluation", 10_000, 16, 1),
]


def megabytes() -> float:
    """The process's most memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def measure(name: str, work: str, steps: int, batch: int, repetitions: int) -> dict[str, float]:
    """Seconds and megabytes of one training step, or of one evaluation."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    layer = LAYERS[name]()

    def step(length: int) -> float:
        inputs = torch.randn(length, batch, INPUT)
        begun = time.perf_counter()
        with torch.set_grad_enabled(work != "evaluation"):
            outputs = layer(inputs)
        if work != "evaluation":
            (outputs[-1] if work.endswith("at the end") else outputs).square().mean().backward()
        return time.perf_counter() - begun

    step(20)  # what is loaded once is not the step's
    before = megabytes()
    seconds = min(step(steps) for _ in range(repetitions))
    return {"seconds": round(seconds, 4), "megabytes": round(megabytes() - before, 1)}


def main(result: Path) -> None:
    rows = []
    for case in CASES:
        command = [sys.executable, __file__, "--one", json.dumps(case)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        rows.append(dict(zip(("layer", "work", "steps", "batch"), case, strict=False)) | json.loads(printed))
        print(
            "{layer:24} {work:26} T = {steps:<6} batch {batch:<3} {seconds:8.3f} s {megabytes:8.0f} MB".format(
                **rows[-1]
            ),
            flush=True,
        )
    torch.set_num_threads(1)
    setting = {"input_size": INPUT, "hidden_size": HIDDEN, **SETTING}
    runs.save_benchmark(result, setting, rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(*json.loads(sys.argv[2]))))
    else:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "book/results/benchmarks/remind.json"))
