"""The parameters of a notebook: which there are, what was asked for, and a refusal of everything else.

A notebook's first code cell, tagged `parameters`, holds annotated literals. Papermill puts what the reader asks for
into a second cell after it. Papermill itself accepts a misspelt name and a wrong type without a word; this module does
not.
"""

import ast
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import yaml

from companion.tasks import seeded

PROFILES = ("smoke", "laptop", "paper")
KINDS = {"int": int, "float": (int, float), "str": str, "bool": bool, "list": list, "dict": dict}
# What does not change a result, or is said elsewhere in a record.
ASIDE = {"profile", "models", "seed", "device", "records", "checkpoints", "weights"}
AT_LEAST_ONE = ("steps", "batch_size", "evaluate_every", "hidden_size")
SEARCHED = {"learning_rates", "decays", "forget_biases", "recurrent_inits"}


class SettingsError(ValueError):
    """A notebook was asked for something it does not know; the message says so in one sentence."""


def literals(source: str) -> dict[str, tuple[str | None, Any]]:
    """The assignments of literals in a cell: name → (annotation or None, value)."""
    found = {}
    for line in ast.parse(source).body:
        if isinstance(line, ast.AnnAssign):
            found[line.target.id] = (ast.unparse(line.annotation), ast.literal_eval(line.value))
        elif isinstance(line, ast.Assign):
            for target in line.targets:
                found[target.id] = (None, ast.literal_eval(line.value))
    return found


def injected_names(cells: list[str]) -> set[str]:
    """The names that papermill's own cells assign, among the cells run so far."""
    return {name for cell in cells if cell.lstrip().startswith("# Parameters\n") for name in literals(cell)}


def settings(namespace: dict[str, Any]) -> SimpleNamespace:
    """Collect a notebook's parameters; call it as `settings(globals())` right after the parameter cell.

    Returns:
        The parameters, as attributes.

    Raises:
        SettingsError: a name that is no parameter, a value of the wrong type, or an unknown profile, device or seed.
    """
    kinds = {name: getattr(kind, "__name__", kind) for name, kind in namespace.get("__annotations__", {}).items()}
    for name in sorted(injected_names(namespace.get("In", [])) - set(kinds)):
        raise SettingsError(f"This notebook has no parameter {name!r}; it has {', '.join(kinds)}.")
    values = {name: namespace[name] for name in kinds}
    for name, value in values.items():
        kind = kinds[name]
        if not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "bool"):
            raise SettingsError(f"The parameter {name!r} is {value!r}; it must be of type {kind}.")
        if kind == "int" and value < 0:
            raise SettingsError(f"The parameter {name!r} is {value}; it must not be negative.")
    if values.get("profile", "smoke") not in PROFILES:
        raise SettingsError(f"The profile {values['profile']!r} is unknown; it must be one of {', '.join(PROFILES)}.")
    for name in AT_LEAST_ONE:
        if values.get(name, 1) < 1:
            raise SettingsError(f"The parameter {name!r} is {values[name]}; it must be at least 1.")
    if values.get("clip", 0) < 0:
        raise SettingsError(f"The parameter 'clip' is {values['clip']}; it must not be negative.")
    for name, value in values.items():
        if name in SEARCHED and not value:
            raise SettingsError(f"The parameter {name!r} is empty; the search needs at least one to try.")
    check_device(values.get("device", "cpu"))
    try:
        seeded("train", values.get("seed", 0))
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return SimpleNamespace(**values)


def check_device(device: str) -> None:
    """Refuse a device that torch does not know or this machine does not have.

    Raises:
        SettingsError: in one sentence.
    """
    try:
        kind = torch.device(device)
    except RuntimeError:
        raise SettingsError(f"The device {device!r} is unknown; it must be 'cpu', 'cuda' or 'cuda:0'.") from None
    if kind.type not in ("cpu", "cuda"):
        raise SettingsError(f"The device {device!r} is not supported; it must be 'cpu', 'cuda' or 'cuda:0'.")
    if kind.type == "cuda" and (kind.index or 0) >= torch.cuda.device_count():
        raise SettingsError(f"The device {device!r} was asked for, but torch finds no such GPU here; use 'cpu'.")


def notebook_parameters(notebook: Path) -> dict[str, Any]:
    """The smoke profile: the literals in the notebook's `parameters` cell."""
    cells = json.loads(notebook.read_text())["cells"]
    source = next(cell["source"] for cell in cells if "parameters" in cell["metadata"].get("tags", []))
    return {name: value for name, (_, value) in literals("".join(source)).items()}


def profile_parameters(notebook: Path, profile: str) -> dict[str, Any]:
    """All parameters of a notebook under one of its profiles.

    Raises:
        FileNotFoundError: the notebook has no such profile.
    """
    values = notebook_parameters(notebook)
    if profile != "smoke":
        values |= yaml.safe_load(notebook.with_suffix(f".{profile}.yaml").read_text())
    return values


def essential(values: dict[str, Any]) -> dict[str, Any]:
    """The parameters that decide a result: what a record keeps and is held to."""
    return {name: value for name, value in values.items() if name not in ASIDE}
