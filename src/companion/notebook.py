"""What a notebook would train, without training it: its cells, run up to that point."""

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from companion.experiment import Model
from companion.recipe import code_cells, parsed
from companion.tasks import Task


def models_of(notebook: Path, parameters: dict[str, Any]) -> tuple[dict[str, Model], Task]:
    """The notebook's table of models and its task, as these parameters make them."""
    names: dict[str, Any] = {"__name__": "__main__", "__annotations__": {}}
    for source, tags in code_cells(notebook):
        if "train(" in source:
            break
        with redirect_stdout(io.StringIO()):
            exec(compile(parsed(source), str(notebook), "exec"), names)
        if "parameters" in tags:
            names |= parameters
    plt.close("all")
    return names["table"], names["task"]
