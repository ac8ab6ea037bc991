"""Odd values for every parameter of every notebook: each is taken, or refused in one sentence before any training."""

import contextlib
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pytest
import torch
import yaml
from IPython.core.inputtransformer2 import TransformerManager

from companion.experiment import known
from companion.settings import BOUNDS, KINDS, SettingsError, literals, settings
from companion.tasks import seeded

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
EXPERIMENTS = [path for path in NOTEBOOKS if path.with_suffix(".laptop.yaml").exists()]
ODD = ["xyzzy", "1e-3", "5", "", "~", "~nobody_of_that_name/x", "a\0b", math.nan, math.inf, -math.inf, -1, -0.5, 0, 0.0]
ODD += [10**12, 1e38, None, True, False, [], [[0.5]], {}, {"a": [1]}]
SMALL = [1, 2, 3, 30, 0.5, 1.0, 5.0]  # of which a task or a layer may have an opinion


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
    return {name: value for name, (_, value) in found.items()}, {name: KINDS.get(kind) and kind for name, (kind, _) in found.items()}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=by_name)
def test_settings_take_a_value_or_refuse_it_in_one_sentence(notebook):
    values, kinds = defaults(notebook)
    asked(values, kinds)
    for name, kind in kinds.items():
        for odd in candidates(kind, values[name]):
            try:
                taken = asked(values | {name: odd}, kinds)[name]
            except SettingsError as error:
                assert is_a_sentence(error), f"{name} = {odd!r}: {error}"
            else:
                numbers = taken.values() if kind == "dict" else taken if kind == "list" else [taken]
                for number in numbers:
                    assert name == "models" or type(number) in (int, float, bool, str)
