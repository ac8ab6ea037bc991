"""What a notebook would train, without training it: its cells, run up to that point; and what it has trained."""

import io
import json
from contextlib import redirect_stdout
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import matplotlib.pyplot as plt
from torch import nn

from companion import runs, weights
from companion.experiment import Model
from companion.recipe import code_cells, find_notebook, parsed
from companion.records import Record
from companion.tasks import Task


def models_of(notebook: Path, parameters: dict[str, Any]) -> tuple[dict[str, Model], Task]:
    """The notebook's table of models and its task, as these parameters make them; what its cells show is not shown."""
    names: dict[str, Any] = {"__name__": "__main__", "__annotations__": {}}
    before = plt.get_fignums()
    with redirect_stdout(io.StringIO()), patch.object(plt, "show"), plt.rc_context():
        for source, tags in code_cells(notebook):
            if "train(" in source:
                break
            exec(compile(parsed(source), str(notebook), "exec"), names)
            if "parameters" in tags:
                names |= parameters
    for figure in plt.get_fignums():
        if figure not in before:
            plt.close(figure)
    return names["table"], names["task"]


@lru_cache(maxsize=64)
def table_of(notebook: Path, _changed: int, parameters: str) -> dict[str, Model]:
    """The notebook's table, made once for the same time of its last change and the same parameters, as JSON."""
    return models_of(notebook, json.loads(parameters))[0]


def trained(record: Record, folder: Path | None = None) -> nn.Module:
    """The trained network of a record, built by its notebook's table, with the weights that its run kept.

    Args:
        record: of the run, as `companion.runs.load` reads it.
        folder: where weights are kept; by default those that come with the book, `book/results/weights`.

    Raises:
        companion.weights.WeightsError: the record's notebook or model is not here; its weights are missing, damaged or
            of another record.
    """
    if (notebook := find_notebook(record.experiment)) is None:
        raise weights.WeightsError(
            f"The notebook of {record.name} is not here; build its network yourself, then load its weights."
        )
    parameters = record.parameters | {"seed": record.seed, "models": [record.model]}
    table = table_of(notebook, notebook.stat().st_mtime_ns, json.dumps(parameters))
    if record.model not in table:
        raise weights.WeightsError(
            f"The model {record.model} of {record.name} is not in its notebook's table any more."
        )
    choices = {name: value for name, value in record.chosen.items() if name != "learning_rate"}
    kept = (folder or runs.results_folder() / "weights") / weights.name_of(record)
    return weights.load(kept, table[record.model].build(**choices), record).eval()
