"""A run's tested network, kept as safetensors beside its record, and read back into a network of a notebook's table."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from companion.records import Record
from companion.storage import write_whole


class WeightsError(ValueError):
    """A file of weights cannot be used; the message says why in one sentence."""


def name_of(record: Record) -> str:
    """The path of a record's weights below the folder of weights."""
    return record.name.removesuffix(".json") + ".safetensors"


def save(folder: Path, network: nn.Module, record: Record) -> Path:
    """Write the weights that were tested, whole or not at all, with the record's seal and the network's settings.

    Raises:
        companion.training.TrainingError: they could not be written.
    """
    network = getattr(network, "module", network)  # of a running average
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}
    about = {
        "record": record.name,
        "seal": record.seal,
        "recipe": record.recipe,
        "model": record.model,
        "chosen": json.dumps(record.chosen),
        "parameters": json.dumps(record.parameters),
        "layers": str(network),
    }
    path = folder / name_of(record)
    write_whole(path, lambda scratch: save_file(tensors, scratch, about))
    return path


def load(path: Path, network: nn.Module, record: Record) -> nn.Module:
    """Read the weights of a record's run into a network of the same settings, and return it.

    Args:
        path: the file that `save` wrote.
        network: as the notebook's table builds it, `table[record.model].build(**choices)`.
        record: of the run.

    Raises:
        WeightsError: there is no such file or it is damaged, it is of another record, or the network is another one.
    """
    try:
        with safe_open(path, "pt") as file:
            about: dict[str, Any] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except FileNotFoundError:
        raise WeightsError(
            f"There are no weights {path}; a run keeps them if it is given a folder for weights."
        ) from None
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"The weights {path} are damaged or cannot be read ({error}); copy them anew.") from None
    if about.get("seal") != record.seal:
        raise WeightsError(f"The weights {path} are of another run than the record {record.name}; copy both anew.")
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    kept = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if own != kept:
        name = next(name for name in sorted(own.keys() | kept.keys()) if own.get(name) != kept.get(name))
        raise WeightsError(
            f"The weights {path} have {name} of shape {kept.get(name, 'none')}, and the network "
            f"{own.get(name, 'none')}; build it with the settings of the record."
        )
    network.load_state_dict(tensors)
    return network
