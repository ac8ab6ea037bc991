"""What attention to the past keeps in memory, counted in bytes: python benchmarks/memory.py [RESULT.json]

Counted, not measured: every run says the same. "kept" is what autograd keeps of a forward pass for the backward pass:
each storage that is saved, once, the layer's weights aside; no training step can do with less. "test" is the most that
all tensors of a call without gradients held at once, by the account of torch's allocator. Both grow with the length and
with its square, and in proportion to the batch, so that some lengths and a small batch say what a long sequence takes;
the page Cost fits three lengths and checks the fit at the fourth.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from companion import runs
from companion.baselines import SelfAttentiveLSTM
from companion.mechanisms import FastWeights, SparseAttentiveBacktracking

INPUT, HIDDEN = 10, 128
SETTING = {"top_k": 5, "truncation": 5, "memory_every": 2}
LENGTHS, BATCH = (100, 200, 300, 400), 4


def attending(form: str) -> nn.Module:
    layer = SelfAttentiveLSTM(INPUT, HIDDEN)
    layer.form = form
    return layer


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "SAB, replay": lambda: SparseAttentiveBacktracking(INPUT, HIDDEN, **SETTING),
    "LSTM + self-attention": lambda: attending("replay"),
    "LSTM + self-attention, graph": lambda: attending("graph"),
    "fast weights, attention": lambda: FastWeights(INPUT, HIDDEN, form="attention"),
    "fast weights, matrix": lambda: FastWeights(INPUT, HIDDEN, form="matrix"),
}


def kept(layer: nn.Module, inputs: torch.Tensor) -> int:
    """The bytes that autograd keeps of a forward pass for the backward pass."""
    weights = {each.untyped_storage().data_ptr() for each in layer.parameters()}
    storages: dict[int, torch.UntypedStorage] = {}  # held, so that no address is used again

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storages.setdefault(tensor.untyped_storage().data_ptr(), tensor.untyped_storage())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        layer(inputs).outputs.square().mean()
    return sum(each.nbytes() for address, each in storages.items() if address not in weights)


def most(work: Callable[[], object]) -> int:
    """The most bytes that the tensors made by some work held at once."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work()
    events = [each for each in profile.profiler.kineto_results.events() if each.name() == "[memory]"]
    return int(np.cumsum([each.nbytes() for each in sorted(events, key=lambda each: each.start_ns())]).max())


def counted(name: str, work: str, steps: int, batch: int) -> int:
    """The bytes of one row."""
    layer, inputs = LAYERS[name](), torch.randn(steps, batch, INPUT)
    if work == "kept":
        return kept(layer, inputs)
    return most(torch.no_grad()(lambda: layer(inputs)))


def main(result: Path) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = []
    for name in LAYERS:
        for work in ("kept", "test"):
            for steps in LENGTHS:
                size = counted(name, work, steps, BATCH)
                rows.append({"layer": name, "work": work, "steps": steps, "batch": BATCH, "bytes": size})
                print(
                    "{layer:28} {work:4} T = {steps:<4} batch {batch} {bytes:14,} bytes".format(**rows[-1]), flush=True
                )
    runs.save_benchmark(result, {"input_size": INPUT, "hidden_size": HIDDEN, **SETTING}, rows)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "book/results/benchmarks/memory.json"))
