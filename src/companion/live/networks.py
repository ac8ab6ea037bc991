"""Writes trained networks for the pages that run them in the reader's browser, as one JavaScript file a page.

The browser's own code is `book/_static/live/cells.js`. A network comes with the name and the seal of the record that it
was trained for, the settings of its layer, and its weights in base64, in single precision or in half.
"""

import base64
import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from companion import runs
from companion.baselines import LSTM, SelfAttentiveLSTM
from companion.mechanisms import AdaptiveComputation, FastWeights, SparseAttentiveBacktracking
from companion.notebook import trained
from companion.records import Record, label
from companion.storage import write_whole
from companion.tasks import Language


class Page(NamedTuple):
    """What a page shows: records, by their names, and whether their weights come in half precision."""

    records: tuple[str, ...]
    half: bool = False


def named(experiment: str, *models: str) -> tuple[str, ...]:
    return tuple(f"{experiment}/{model}.seed0" for model in models)


PAGES = {
    "remind": Page(named("remind/copying", "sab-10-10.laptop", "lstm-10.laptop", "lstm-attention.laptop"), half=True),
    "attend": Page(named("attend/associative_retrieval", "fast-weights-20.paper", "lstm-20.paper")),
    "ponder": Page(named("ponder/parity", *(f"act-{tau}.laptop" for tau in ("0.01", "0.003", "0.001", "0.0001")))),
    "text": Page(named("ponder/wikipedia", "act-0.03.laptop"), half=True),
    "catch": Page(named("attend/catch", "fast-weights.laptop")),
}


def packed(tensor: Tensor, half: bool) -> dict[str, Any]:
    """A tensor as the browser takes it: its shape, and its numbers in base64, little endian."""
    numbers = tensor.detach().to(torch.float16 if half else torch.float32).contiguous().numpy()
    data = base64.b64encode(numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()).decode()
    return {"shape": list(tensor.shape), "half": half, "data": data}


def linear(layer: nn.Linear) -> dict[str, Tensor]:
    """A linear layer's weight and, if it has one, its bias."""
    return {"weight": layer.weight} | ({} if layer.bias is None else {"bias": layer.bias})


def stack(layers: nn.Module) -> list[dict[str, Any]]:
    """An encoder or a read-out: linear layers, each perhaps with a ReLU behind it.

    Raises:
        ValueError: it has other layers.
    """
    found: list[dict[str, Any]] = []
    for layer in layers if isinstance(layers, nn.Sequential) else [layers]:
        if isinstance(layer, nn.Linear):
            found.append(linear(layer))
        elif isinstance(layer, nn.ReLU) and found:
            found[-1]["relu"] = True
        elif not isinstance(layer, nn.Identity):
            raise ValueError(f"{type(layer).__name__} is not among what the pages can run: linear layers and ReLUs.")
    return found


def lstm_cell(cell: nn.Module, end: str = "") -> dict[str, Tensor]:
    names = {"inputWeight": "weight_ih", "hiddenWeight": "weight_hh", "inputBias": "bias_ih", "hiddenBias": "bias_hh"}
    return {name: getattr(cell, theirs + end) for name, theirs in names.items()}


def told(layer: nn.Module) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """A layer's kind, settings and weights, by the names that `cells.js` gives them.

    Raises:
        ValueError: the pages cannot run such a layer.
    """
    if type(layer) in (SparseAttentiveBacktracking, SelfAttentiveLSTM) and runs_as_sab(layer):
        scorer = layer.scorer
        weights = {"memory": scorer.memory.weight, "query": scorer.query.weight, "queryBias": scorer.query.bias}
        settings = {"size": layer.hidden_size, "topK": layer.top_k, "memoryEvery": layer.memory_every}
        return "sab", settings, lstm_cell(layer.cell) | weights | {"score": scorer.score.weight}
    if type(layer) is LSTM:
        return "lstm", {"size": layer.hidden_size}, lstm_cell(layer.lstm, "_l0")
    if type(layer) is FastWeights:
        settings = {"decay": layer.decay, "rate": layer.rate, "innerSteps": layer.inner_steps}
        weights = {"recurrent": layer.recurrent.weight, "input": layer.input.weight}
        norm = {"gain": layer.norm.weight, "shift": layer.norm.bias}
        return "fast", {"size": layer.hidden_size} | settings, weights | norm
    if type(layer) is AdaptiveComputation and layer.cell.kind in ("rnn", "lstm"):
        settings = {"cell": layer.cell.kind, "epsilon": layer.epsilon, "maxSteps": layer.max_steps}
        weights = {"halt": layer.halt.weight, "haltBias": layer.halt.bias}
        known = {"size": layer.hidden_size} | settings | {"timePenalty": layer.time_penalty}
        return "act", known, lstm_cell(layer.cell.cell) | weights
    raise ValueError(f"{type(layer).__name__} with these settings is not among the layers that the pages can run.")


def runs_as_sab(layer: SparseAttentiveBacktracking) -> bool:
    return (layer.kind, layer.normaliser, layer.temperature) == ("lstm", "subtract", 1)


def alphabet(record: Record) -> list[int]:
    """The bytes that a network of language tells apart, in the order of its inputs; none for another task."""
    if "source" not in record.parameters:
        return []
    asked = ("source", "length", "validation_windows", "test_windows")
    return list(Language(*(record.parameters[name] for name in asked)).characters)


def written(record: Record, network: nn.Module, half: bool) -> str:
    """One network as a line of JavaScript."""
    kind, settings, weights = told(network.layer)

    def pack(part: dict[str, Any]) -> dict[str, Any]:
        return {name: packed(value, half) if isinstance(value, Tensor) else value for name, value in part.items()}

    body = {
        "record": record.name,
        "seal": record.seal,
        "label": label(record),
        "parameters": record.parameters,
        "metrics": {name: value for name, value in record.metrics.items() if isinstance(value, int | float)},
        "updates": record.steps,
        "alphabet": alphabet(record),
        "kind": kind,
        "settings": settings,
        "layer": pack(weights),
        "encoder": [pack(part) for part in stack(network.encoder)],
        "readOut": [pack(part) for part in stack(network.read_out)],
    }
    return f"Live.add({json.dumps(record.model)}, {json.dumps(body)});\n"


def networks(page: str) -> dict[str, tuple[Record, nn.Module]]:
    """A page's networks with the weights that it ships, in double precision as the browser computes, and their records.

    Raises:
        companion.weights.WeightsError: weights are missing, or of another record.
    """
    found = {}
    for name in PAGES[page].records:
        record = runs.load(runs.results_folder() / f"{name}.json")
        network = trained(record)
        found[record.model] = record, (network.half() if PAGES[page].half else network).double()
    return found


def write(page: str, folder: Path) -> Path:
    """Write a page's networks into a folder, as `networks_<page>.js`, and return the file.

    Args:
        page: one of `PAGES`, such as "ponder".
        folder: where to.

    Raises:
        companion.weights.WeightsError: weights are missing, or of another record.
    """
    text = "".join(written(*each, PAGES[page].half) for each in networks(page).values())
    path = folder / f"networks_{page}.js"
    write_whole(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))
    return path
