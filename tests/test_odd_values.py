"""Odd values for every parameter of every notebook: each is taken, or refused in one sentence before any training."""

import contextlib
import io
import json
import math
import os
import random
import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from companion.experiment import known
from companion.settings import BOUNDS, PROFILES, SettingsError, literals, profile_parameters, settings
from companion.tasks import seeded

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted(
    path for path in (ROOT / "notebooks").rglob("*.ipynb") if path.stem != "results"
)  # has no parameters
EXPERIMENTS = [path for path in NOTEBOOKS if path.with_suffix(".laptop.yaml").exists()]
ODD = ["xyzzy", "1e-3", "5", "", "~", "~nobody_of_that_name/x", "a\0b", math.nan, math.inf, -math.inf, -1, -0.5, 0, 0.0]
ODD += [10**12, 1e38, None, True, False, [], [[0.5]], {}, {"a": [1]}]
SMALL = [1, 2, 3, 0.5, 1.0, 5.0]  # of which a task or a layer may have an opinion
TRIES = int(os.environ.get("COMPANION_TRIES", 5))  # odd values a notebook is run with, of about a hundred
SEEN = {("ponder-sort", "gap"): 0.0, ("remind-cifar10", "pool"): 0, ("ponder-extrapolation", "bits"): 1}


def by_name(path: Path) -> str:
    return "-".join(path.relative_to(ROOT / "notebooks").with_suffix("").parts)


def cells(notebook: Path) -> list[dict]:
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]


def parameter_cell(notebook: Path) -> str:
    return next("".join(cell["source"]) for cell in cells(notebook) if "parameters" in cell["metadata"].get("tags", []))


def candidates(kind: str, default: Any) -> list[Any]:
    """What to try for a parameter."""
    values = [*ODD, *SMALL]
    if kind == "list":
        values += [[odd] for odd in [*ODD, *SMALL]] + [[*default, odd] for odd in ODD] + [default[:1] * 2]
    if kind == "dict":
        values += [{name: odd} for odd in [*ODD, *SMALL] for name in [*default, "nonsense"]] + [{3: 0.5}]
    return values


def asked(parameters: dict, annotations: dict) -> dict[str, Any]:
    """The parameters as `settings` leaves them."""
    return vars(settings({"__annotations__": annotations, **parameters}))


def is_a_sentence(error: Exception) -> bool:
    text = str(error)
    return "\n" not in text and text.endswith(".") and not re.search(r"\.\s", text)


def defaults(notebook: Path) -> tuple[dict[str, Any], dict[str, type]]:
    found = literals(parameter_cell(notebook))
    return {name: value for name, (_, value) in found.items()}, {name: kind for name, (kind, _) in found.items()}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=by_name)
def test_settings_take_a_value_or_refuse_it_in_one_sentence(notebook):
    values, kinds = defaults(notebook)
    asked(values, kinds)
    for name, kind in kinds.items():
        for odd in candidates(kind, values[name]):
            try:
                taken = asked(values | {name: odd}, kinds)[name]
            except SettingsError as error:
                assert is_a_sentence(error), f"{name} = {odd!r}: {error}"  # noqa: PT017  either may happen
            else:
                numbers = taken.values() if kind == "dict" else taken if kind == "list" else [taken]
                for number in numbers:
                    assert name == "models" or type(number) in (int, float, bool, str)


@pytest.mark.parametrize("notebook", EXPERIMENTS, ids=by_name)
def test_the_bounds_leave_room_for_every_profile(notebook):
    _, kinds = defaults(notebook)
    for profile in PROFILES:
        assert asked(profile_parameters(notebook, profile) | {"device": "cpu"}, kinds)["profile"] == profile


def test_lists_and_bounds_belong_together():
    """Every list of numbers has its bounds, and no bounds are of a name that no notebook has."""
    everywhere = [defaults(notebook)[1] for notebook in NOTEBOOKS]
    lists = {name for kinds in everywhere for name, kind in kinds.items() if kind in ("list", "dict")}
    assert lists - {"models"} <= BOUNDS.keys()
    assert BOUNDS.keys() <= {name for kinds in everywhere for name in kinds}


def until_the_training(notebook: Path, parameters: dict[str, Any]) -> None:
    """Run the cells before the training, and build each model that is asked for and feed it three examples."""
    names: dict[str, Any] = {"__name__": "__main__", "__annotations__": {}}
    for cell in cells(notebook):
        source = "".join(cell["source"])
        if "= train(" in source:
            break
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            exec(TransformerManager().transform_cell(source), names)
        if "parameters" in cell["metadata"].get("tags", []):
            names |= parameters
    for name in known(names["settings"].models, names["table"]):
        model = names["table"][name]
        if task := model.task or names["task"]:
            choices = {key: value for key, value in model.candidates[0].items() if key != "learning_rate"}
            network = model.build(**choices)
            network(task.play(network, task.batch(seeded("train", 0), 3))[0])


def accepted(notebook: Path) -> list[tuple[str, Any]]:
    """The odd values that the settings take, as (parameter, value), in a fixed random order after those in SEEN."""
    values, kinds = defaults(notebook)
    found = []
    for name, kind in kinds.items():
        for odd in candidates(kind, values[name]):
            with contextlib.suppress(SettingsError):
                asked(values | {name: odd}, kinds)
                found.append((name, odd))
    random.Random(0).shuffle(found)
    return [(name, odd) for (where, name), odd in SEEN.items() if where == by_name(notebook)] + found


@pytest.mark.parametrize("notebook", EXPERIMENTS, ids=by_name)
def test_what_the_settings_take_ends_in_a_sentence_or_is_fit_for_training(
    notebook, as_users_run_it, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPANION_RESULTS", str(ROOT / "book" / "results"))
    monkeypatch.setattr(plt, "show", lambda: None)
    try:
        for name, odd in accepted(notebook)[:TRIES]:
            try:
                until_the_training(notebook, {name: odd})
            except Exception as error:
                plt.close("all")
                assert is_a_sentence(error), f"{name} = {odd!r}: {error!r}"  # noqa: PT017  or none is raised
    finally:
        plt.close("all")
