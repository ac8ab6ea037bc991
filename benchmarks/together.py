"""What a step of every layer takes on every task: python benchmarks/together.py [RESULT.json]

For each row of notebooks/together/side_by_side.ipynb, at its laptop sizes: the seconds of one update, and the bytes
that autograd keeps of the layer's forward pass for the backward pass. How both are measured is said in `paper_rows` and
in `memory`. A layer that ponders is measured before it is trained, so its rows say the least it may take.
"""

import os
import sys
from pathlib import Path

import torch
from memory import kept
from paper_rows import ROOT, ROUNDS, seconds_of, updating

from companion import runs
from companion.notebook import models_of
from companion.settings import profile_parameters
from companion.tasks import seeded


def measured(asked: list[str] | None = None) -> tuple[dict, list[dict]]:
    """The setting, and a row a model: its seconds are the least of two rounds over all."""
    notebook = ROOT / "notebooks" / "together" / "side_by_side.ipynb"
    parameters = profile_parameters(notebook, "laptop") | {"device": "cpu"}
    table, task = models_of(notebook, parameters)
    rows = [{"model": name, "seconds": float("inf")} for name in asked or parameters["models"]]
    for number in range(ROUNDS):
        for row in rows:
            model = table[row["model"]]
            taken = seconds_of(updating(model, model.task or task, parameters))
            row["seconds"] = min(row["seconds"], float(f"{taken:.3g}"))
            print(f"round {number + 1} of {ROUNDS}  {row['model']:24} {taken:9.4f} s", flush=True)
    for row in rows:
        model = table[row["model"]]
        network = model.build()
        inputs = (model.task or task).batch(seeded("train", 0), parameters["batch_size"]).inputs
        row["bytes"] = kept(network.layer, inputs)
        row["weights"] = sum(each.numel() for each in network.parameters())
    return {name: parameters[name] for name in ("hidden_size", "batch_size")} | {"rounds": ROUNDS}, rows


def main(result: Path) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    runs.save_benchmark(result, *measured())


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "agg")
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "book/results/benchmarks/together.json"))
