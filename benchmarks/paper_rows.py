"""What the papers' rows would take here: python benchmarks/paper_rows.py [RESULT.json]

For each experiment and each model of its paper profile: the seconds of one update at the paper's sizes, on one thread,
and with them the hours of all its updates. The models are the notebook's own: its cells are run up to the training,
with the parameters of the paper profile. It is the processor's time that counts, so that another program beside it does
little harm.

A network that ponders does so before it is trained, so its rows say the least it may take. Where the paper's data are
not on this machine, a smaller set of the same shape stands in.
"""

import io
import json
import os
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
from IPython.core.inputtransformer2 import TransformerManager

from companion import runs
from companion.data import DataMissing
from companion.experiment import Model
from companion.settings import profile_parameters
from companion.tasks import Task
from companion.training import Trainer, write_whole

ROOT = Path(__file__).resolve().parents[1]
STANDS_IN = {"exact": "jpeg", "full": "excerpt", "text8": "enwik8-excerpt"}
UPDATES = 2  # the first is slower, so the last counts


def models_of(notebook: Path, parameters: dict) -> tuple[dict[str, Model], Task]:
    """The notebook's table of models and its task, as these parameters make them.

    Raises:
        DataMissing: the data are not on this machine.
    """
    names: dict = {"__name__": "__main__", "__annotations__": {}}
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        if "train(" in cell.source:
            break
        with redirect_stdout(io.StringIO()):
            exec(TransformerManager().transform_cell(cell.source), names)
        if "parameters" in cell.metadata.get("tags", []):
            names |= parameters
    plt.close("all")
    return names["table"], names["task"]


def seconds_of(model: Model, task: Task, parameters: dict) -> float:
    """The seconds of one update, with the first choice of the search."""
    choices = {key: value for key, value in model.candidates[0].items() if key != "learning_rate"}
    options = {key: parameters[key] for key in ("seed", "batch_size", "clip")}
    trainer = Trainer(lambda: model.build(**choices), model.task or task, learning_rate=1e-3, **options)
    for _ in range(UPDATES):
        begun = time.process_time()
        trainer.update()
    return time.process_time() - begun


def main(result: Path) -> None:
    rows = []
    for file in sorted((ROOT / "notebooks").glob("*/*.paper.yaml")):
        notebook = file.with_name(file.name.split(".")[0] + ".ipynb")
        experiment = f"{notebook.parent.name}/{notebook.stem}"
        parameters = profile_parameters(notebook, "paper") | {"device": "cpu"}
        try:
            table, task = models_of(notebook, parameters)
        except DataMissing:
            table, task = models_of(notebook, parameters | {"source": STANDS_IN[parameters["source"]]})
        for name in parameters["models"]:
            seconds = seconds_of(table[name], task, parameters)
            hours = seconds * parameters["steps"] / 3600
            rows.append(
                {"experiment": experiment, "model": name, "seconds": round(seconds, 4), "hours": round(hours, 2)}
            )
            print("{experiment:28} {model:24} {seconds:9.3f} s {hours:9.1f} h".format(**rows[-1]), flush=True)
    record = {"setting": {"profile": "paper"}, "rows": rows, "environment": runs.environment("cpu")}
    record["commit"] = runs.commit()
    write_whole(result, lambda path: path.write_text(json.dumps(record, indent=1) + "\n"))


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "agg")
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "book/results/benchmarks/paper_rows.json"))
