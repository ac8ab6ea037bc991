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
from paper_rows import ROOT, ROUNDS, in_rounds, seconds_of, updating

from companion import runs
from companion.notebook import models_of
from companion.settings import profile_parameters
from companion.tasks import seeded

EXPERIMENT = "together/side_by_side"


def measured(asked: list[str] | None = None) -> tuple[dict, list[dict]]:
    """The setting, and a row a model."""
    notebook = ROOT / "notebooks" / f"{EXPERIMENT}.ipynb"
    parameters = profile_parameters(notebook, "laptop") | {"device": "cpu"}
    table, _ = models_of(notebook, parameters)
    names = asked or parameters["models"]
    rows = [{"experiment": EXPERIMENT, "model": name, "updates": parameters["steps"]} for name in names]
    in_rounds(rows, lambda row: seconds_of(updating(table[row["model"]], table[row["model"]].task, parameters)))
    for row in rows:
        model = table[row["model"]]
        network, inputs = model.build(), model.task.batch(seeded("train", 0), parameters["batch_size"]).inputs
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
