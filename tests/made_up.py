"""Records that no run made, for tests of what is made from records."""

from dataclasses import replace
from typing import Any

from companion.records import Record


def record(model="sab", seed=0, *, metrics=None, looks=(), tried=(), chosen=None, steps=600, budget=600, goal=None,
           profile="laptop", label=""):  # fmt: skip
    """A run whose looks are given as dicts, a hundred updates apart, and whose search tried the given rates."""
    known = {
        "experiment": "remind/copying",
        "model": model,
        "profile": profile,
        "seed": seed,
        "parameters": {"steps": budget, "goal": goal or {}},
        "search": [{"learning_rate": rate, "loss": 1.0} for rate in tried],
        "chosen": {"learning_rate": chosen},
        "metrics": metrics or {},
        "history": [{"step": 100 * place, **look} for place, look in enumerate(looks, 1)],
        "steps": steps,
        "wall_seconds": 1.0,
        "peak_memory_mb": 1.0,
        "environment": {},
        "commit": "unknown",
        "label": label,
    }
    return Record(**known)


def row(metric, *values, model="sab"):
    """A row of as many seeds as there are values of a metric on the test set."""
    return [record(model, seed, metrics={metric: value}) for seed, value in enumerate(values)]


def shown(**changes: Any) -> Record:
    """A run that a page in the reader's browser shows, with a label that HTML has to escape."""
    metrics = {"accuracy": 0.5, "by_place": [1, 2]}
    made = record("one", 3, metrics=metrics, steps=17, profile="smoke", label="a < b")
    return replace(made, **({"parameters": {"delay": 2}} | changes))
