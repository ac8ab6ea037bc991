"""What the layers share beside how they are called: they print their settings, and keep them with their weights."""

from typing import Any

from torch import Tensor, nn


def as_python(value: Any) -> Any:
    """A number of numpy's as one of Python's: what is kept with weights is read without trust in other libraries."""
    return value.item() if hasattr(value, "item") else value


class Layer(nn.Module):
    """A module whose settings are part of what its weights mean.

    `print` shows them. A state dict carries them in its metadata, as torch keeps a module's version there, so that the
    weights of a network with λ = 0.9 are not loaded into one with λ = 0.5; where the metadata are gone, as in a plain
    dict, nothing is compared.

    Attributes:
        settings: names of the attributes that are shown.
        decisive: those among them that change the outputs.
    """

    settings: tuple[str, ...] = ()
    decisive: tuple[str, ...] = ()

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={as_python(getattr(self, name))!r}" for name in self.settings)

    def _save_to_state_dict(self, destination: dict[str, Tensor], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        metadata = getattr(destination, "_metadata", {}).get(prefix[:-1], {})
        metadata["settings"] = {name: as_python(getattr(self, name)) for name in self.decisive}

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        for name, theirs in local_metadata.get("settings", {}).items():
            if (ours := getattr(self, name, None)) != theirs:
                error_msgs.append(f"{name} was {theirs!r} where these weights were learned; here it is {ours!r}.")
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
