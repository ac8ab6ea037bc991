"""Which recorded runs today's code reproduces: what `make verify` found, and how a record stands to it."""

import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from companion.data import DataMissing
from companion.experiment import Model
from companion.notebook import models_of
from companion.recipe import find_notebook, recipe
from companion.records import Record, environment
from companion.tasks import Task
from companion.training import Diverged, Trainer

STANDINGS = ("today", "reproduced", "other")
CLOSE = 1e-3  # relative, on another processor or with another torch


def made_by(record: Record) -> str:
    """What code made a record: its recipe, or its commit, or where that had changes nothing but the run itself."""
    if record.recipe:
        return record.recipe
    known = record.commit != "unknown" and not record.commit.endswith("+")
    return f"commit {record.commit}" if known else f"run {record.seal[:16]}"


@cache
def todays(experiment: str) -> str:
    """The recipe of an experiment as it stands in the checkout; "" without its notebook."""
    notebook = find_notebook(experiment)
    return recipe(notebook) if notebook else ""


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """What `make verify` has found, a row a model and code; none if it was never run."""
    path = folder / "verified.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def standing(record: Record, rows: list[dict[str, Any]]) -> str:
    """How a record stands to today's code: of its recipe, seen to be reproduced by it, or neither.

    Returns:
        "today", "reproduced" or "other".
    """
    now = todays(record.experiment)
    if now and record.recipe == now:
        return "today"
    asked = {"experiment": record.experiment, "model": record.model, "made_by": made_by(record), "today": now}
    return "reproduced" if now and any(row["reproduced"] and asked.items() <= row.items() for row in rows) else "other"


def count(records: list[Record], folder: Path) -> dict[str, int]:
    """How many records are of today's recipe, reproduced by today's code, or neither."""
    rows = rows_of(folder)
    found = Counter(standing(record, rows) for record in records)
    return {name: found[name] for name in STANDINGS}


def again(record: Record) -> dict[str, Any]:
    """Train a record's run again, on the CPU, up to its first look at the validation set, and compare.

    Returns:
        A row for verified.json. On the processor and with the torch of the record, "reproduced" means to the last
        digit; elsewhere it means that every metric is within a part in a thousand.

    Raises:
        companion.data.DataMissing: the data of the run, or its model, are not here.
    """
    first = record.history[0]
    parameters = record.parameters | {"seed": record.seed, "device": "cpu", "models": [record.model]}
    table, task = models_of(find_notebook(record.experiment), parameters)
    if record.model not in table or not (task := table[record.model].task or task):
        raise DataMissing(f"The model or the data of {record.name} are not here.")
    try:
        looked = trainer_of(record, table[record.model], task).run(first["step"], label=record.name)
    except Diverged:
        looked = {}
    found = {name: value for name, value in first.items() if isinstance(looked.get(name), float)}
    differences = [abs(looked[name] - value) / max(abs(value), 1e-9) for name, value in found.items()]
    difference = max(differences, default=None)  # None if today it diverges
    here = environment("cpu")
    same = all(here[key] == record.environment[key] for key in ("device", "torch"))
    return {
        "experiment": record.experiment,
        "model": record.model,
        "made_by": made_by(record),
        "today": todays(record.experiment),
        "record": record.name,
        "updates": first["step"],
        "same_processor": same,
        "difference": difference,
        "reproduced": difference is not None and (difference == 0 if same else difference < CLOSE),
    }


def trainer_of(record: Record, model: Model, task: Task) -> Trainer:
    """The trainer that made a record, as it was before its first update."""
    choices = {key: value for key, value in record.chosen.items() if key != "learning_rate"}
    return Trainer(
        lambda: model.build(**choices),
        task,
        learning_rate=record.chosen["learning_rate"],
        seed=record.seed,
        batch_size=record.parameters["batch_size"],
        clip=record.parameters["clip"],
        evaluate_every=record.parameters["evaluate_every"],
        watch=model.watch,
        averaging=model.averaging,
    )
