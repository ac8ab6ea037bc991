"""The parameters of a notebook: which there are, what was asked for, and a refusal of everything else.

A notebook's first code cell, tagged `parameters`, holds annotated literals. Papermill puts what the reader asks for
into a second cell after it. Papermill itself accepts a misspelt name and a wrong type without a word; this module does
not.
"""

import ast
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import yaml

from companion.tasks.task import SEEDS_PER_SPLIT

PROFILES = ("smoke", "laptop", "paper")
KINDS = {"int": int, "float": (int, float), "str": str, "bool": bool, "list": list, "dict": dict}
FOLDERS = ("records", "checkpoints", "weights")
# What does not change a result, or is said elsewhere in a record.
ASIDE = {"profile", "models", "seed", "device", *FOLDERS}
# The least and the most of a number, or of each entry of a list or a dict. Whole bounds ask for whole numbers. The most
# is far above what the papers use: it is there so that a slip of the pen neither runs for years nor takes all memory.
BOUNDS = {
    # of the search; Adam moves a weight by about the learning rate, whatever the gradient
    "learning_rates": (1e-12, 10.0),
    "decays": (0.0, 1.0),
    "rates": (1e-12, 1000.0),
    "forget_biases": (-100.0, 100.0),
    "recurrent_inits": (-100.0, 100.0),
    "candidates": (1, 1000),
    # of the training
    "seed": (0, SEEDS_PER_SPLIT - 1),
    "steps": (1, 10**9),
    "evaluate_every": (1, 10**9),
    "batch_size": (1, 100_000),
    "clip": (0.0, 1e9),
    "goal": (-1e9, 1e9),
    # of the networks
    "hidden_size": (1, 10_000),
    "embedding_size": (1, 10_000),
    "max_steps": (1, 10_000),
    "inner_steps": (1, 1000),
    "top_k": (1, 100_000),
    "truncation": (1, 100_000),
    "memory_every": (1, 100_000),
    "memories": (1, 100_000),
    "batch": (1, 100_000),
    "decay": (0.0, 1.0),
    "rate": (0.0, 1000.0),
    "discount": (0.0, 1.0),
    "entropy_cost": (0.0, 1000.0),
    "time_penalty": (0.0, 1000.0),
    # of the tasks
    "length": (1, 100_000),
    "delay": (1, 100_000),
    "test_delays": (1, 100_000),
    "bits": (1, 10_000),
    "gap": (1e-6, 10.0),
    "pool": (1, 32),
    "size": (3, 100),
    "max_numbers": (2, 100),
    "max_length": (1, 100),
    "max_gates": (1, 100),
    "sizes": (1, 1_000_000),
    "test_size": (0, 100_000),
    "held_out_each": (1, 100_000),
    "validation_windows": (1, 100_000),
    "test_windows": (1, 100_000),
}
OTHERWISE = {"int": (0, 10**9), "float": (-1e9, 1e9)}  # the bounds of any other number


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
    """The names that papermill's own cells assign, among the cells run so far.

    Their values need not be literals: papermill writes float('nan') and float('inf').
    """
    lines = [line for cell in cells if cell.lstrip().startswith("# Parameters\n") for line in ast.parse(cell).body]
    return {target.id for line in lines if isinstance(line, ast.Assign) for target in line.targets}


def settings(namespace: dict[str, Any]) -> SimpleNamespace:
    """Collect a notebook's parameters; call it as `settings(globals())` right after the parameter cell.

    Returns:
        The parameters, as attributes. In the names of folders `~` and `$NAME` are filled in.

    Raises:
        SettingsError: a name that is no parameter, a value of the wrong type or out of bounds, an entry of a list or a
            dict that is, or an unknown profile or device.
    """
    kinds = {name: getattr(kind, "__name__", kind) for name, kind in namespace.get("__annotations__", {}).items()}
    for name in sorted(injected_names(namespace.get("In", [])) - set(kinds)):
        raise SettingsError(f"This notebook has no parameter {name!r}; it has {', '.join(kinds)}.")
    values = {name: namespace[name] for name in kinds}
    for name, value in values.items():
        check(name, kinds[name], value)
    if values.get("profile", "smoke") not in PROFILES:
        raise SettingsError(f"The profile {values['profile']!r} is unknown; it must be one of {', '.join(PROFILES)}.")
    check_device(values.get("device", "cpu"))
    return SimpleNamespace(**values | {name: folder(name, values[name]) for name in FOLDERS if name in values})


def check(name: str, kind: str, value: Any) -> None:
    """Refuse a value of a parameter that is of another type than its annotation, or out of bounds, or has such entries.

    Raises:
        SettingsError: in one sentence.
    """
    said = f"The parameter {name!r}"
    if not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise SettingsError(f"{said} is {short(value)}; it must be of type {kind}{hint(value)}.")
    if kind == "str" and not value.isprintable():
        raise SettingsError(f"{said} is {short(value)}; it must have no line breaks and no other control characters.")
    if kind in OTHERWISE and (wanted := fault(value, BOUNDS.get(name, OTHERWISE[kind]))):
        raise SettingsError(f"{said} is {short(value)}; it must be {wanted}.")
    if name == "models":
        check_models(value)
    elif kind == "list" and not value:
        raise SettingsError(f"{said} is empty; it needs at least one entry.")
    elif kind in ("list", "dict"):
        for key, entry in value.items() if kind == "dict" else enumerate(value):
            if wanted := fault(entry, BOUNDS.get(name, OTHERWISE["float"])):
                place = f" for {short(key)}" if kind == "dict" else ""
                raise SettingsError(f"{said} has {short(entry)}{place}; each entry must be {wanted}{hint(entry)}.")


def check_models(names: list) -> None:
    """Refuse a list of no model, of one twice, or of what is no name.

    Raises:
        SettingsError: in one sentence.
    """
    if not names:
        raise SettingsError("No model was asked for; the parameter 'models' needs at least one name.")
    for at, name in enumerate(names):
        if not isinstance(name, str):
            raise SettingsError(f"The parameter 'models' has {short(name)}; each entry must be the name of a model.")
        if name in names[:at]:
            raise SettingsError(f"The parameter 'models' names {short(name)} twice; each model is trained once.")


def fault(value: Any, bounds: tuple[int | float, int | float]) -> str:
    """What a number must be, if it is not, else nothing; NaN lies in no bounds."""
    least, most = bounds
    whole = isinstance(least, int)
    if isinstance(value, int if whole else (int, float)) and not isinstance(value, bool) and least <= value <= most:
        return ""
    return f"a whole number from {least:,} to {most:,}" if whole else f"a number from {least:,.12g} to {most:,.12g}"


def short(value: Any) -> str:
    """A value in a sentence, however long it is."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]} … {text[-10:]}"


def hint(value: Any) -> str:
    """How to write a number that YAML took for a word, such as 1e-3."""
    exponent = isinstance(value, str) and re.fullmatch(r"[-+]?[0-9.]+[eE][-+]?[0-9]+", value)
    return " (in YAML write a point and a sign, as in 1.0e-3)" if exponent else ""


def folder(name: str, value: str) -> str:
    """The name of a folder with `~` and `$NAME` filled in, as a shell does it.

    Raises:
        SettingsError: there is no such user or variable.
    """
    found = os.path.expanduser(os.path.expandvars(value))
    if found.startswith("~") or "$" in found:
        raise SettingsError(
            f"The parameter {name!r} is {short(value)}; it must be a folder, and no such user or variable is known."
        )
    return found


def check_device(device: str) -> None:
    """Refuse a device that torch does not know or this machine does not have.

    Raises:
        SettingsError: in one sentence.
    """
    try:
        asked = torch.device(device)
    except RuntimeError:
        raise SettingsError(f"The device {device!r} is unknown to torch; this machine has {here()}.") from None
    # torch counts in eight bits: it reads cuda:1000 as cuda:-24
    if not 0 <= (asked.index or 0) < devices_of(asked.type):
        raise SettingsError(f"The device {device!r} is not on this machine, as far as torch knows; it has {here()}.")


def devices_of(kind: str) -> int:
    """How many devices of a kind, such as "cuda", "mps" or "xpu", torch can compute on here."""
    count = getattr(getattr(torch, kind, None), "device_count", None)
    return count() if count else 0  # of "meta" and the like there is nothing to count


def here() -> str:
    """The devices of this machine, in a sentence."""
    accelerator = torch.accelerator.current_accelerator()
    kinds = ["cpu", *([accelerator.type] if accelerator else [])]
    return " and ".join(repr(kind) for kind in kinds if devices_of(kind))


def notebook_parameters(notebook: Path) -> dict[str, Any]:
    """The smoke profile: the literals in the notebook's `parameters` cell."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    source = next(cell["source"] for cell in cells if "parameters" in cell["metadata"].get("tags", []))
    return {name: value for name, (_, value) in literals("".join(source)).items()}


def profile_parameters(notebook: Path, profile: str) -> dict[str, Any]:
    """All parameters of a notebook under one of its profiles.

    Raises:
        FileNotFoundError: the notebook has no such profile.
    """
    values = notebook_parameters(notebook)
    if profile != "smoke":
        values |= yaml.safe_load(notebook.with_suffix(f".{profile}.yaml").read_text(encoding="utf-8"))
    return values


def essential(values: dict[str, Any]) -> dict[str, Any]:
    """The parameters that decide a result: what a record keeps and is held to."""
    return {name: value for name, value in values.items() if name not in ASIDE}
