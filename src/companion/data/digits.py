"""MNIST: all of it, or the first part, which comes with the package."""

import io
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from companion.data.files import DataError, find, matches

EXCERPT = Path(__file__).with_name("mnist_excerpt.npz")
EXCERPT_CHECKSUM = "sha256:0f13b3d4b41e8f9fcc5d7894d35d91c99266fde411a39964f88fe9abd8c18588"


def mnist_excerpt(split: str) -> tuple[UInt8[Tensor, "n 28 28"], Int64[Tensor, " n"]]:
    """The first 10,000 training or the first 2,000 test digits of MNIST, from the file that comes with the package.

    Returns images (n, 28, 28), grey levels 0 to 255, and labels (n,), 0 to 9, for `split` "train" or "test".
    Raises `ValueError` for another split and `DataError` when the file is missing or corrupt.
    Source: LeCun, Cortes and Burges, CC BY-SA 3.0; see NOTICE.md beside this file.
    """
    _check_split(split)
    raw = EXCERPT.read_bytes() if EXCERPT.exists() else b""
    if not matches(raw, EXCERPT_CHECKSUM):
        raise DataError(f"{EXCERPT} is missing or corrupt, {EXCERPT_CHECKSUM} is right: install the package again.")
    with np.load(io.BytesIO(raw)) as arrays:
        return _tensors(arrays[f"{split}_images"], arrays[f"{split}_labels"])


def mnist(split: str) -> tuple[UInt8[Tensor, "n 28 28"], Int64[Tensor, " n"]]:
    """All 60,000 training or 10,000 test digits of MNIST, downloaded (11 MB) when they are not on this machine.

    Returns images and labels as `mnist_excerpt` does, from the same source. Raises `ValueError` for another split,
    `DataMissing` when a file is nowhere to be had, and `DataError` when one is corrupt or cannot be stored.
    """
    _check_split(split)
    prefix = {"train": "train", "test": "t10k"}[split]
    images = _parse_idx(f"mnist/{prefix}-images-idx3-ubyte.gz", axes=3)
    labels = _parse_idx(f"mnist/{prefix}-labels-idx1-ubyte.gz", axes=1)
    return _tensors(images, labels)


def _check_split(split: str) -> None:
    if split not in ("train", "test"):
        raise ValueError(f'MNIST has the splits "train" and "test", not {split!r}.')


def _tensors(images: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64))


def _parse_idx(name: str, axes: int) -> np.ndarray:
    """IDX: the bytes 0, 0, 8 (unsigned bytes) and the number of axes, big-endian sizes, then the values."""
    raw = find(name)
    magic, start = bytes([0, 0, 8, axes]), 4 + 4 * axes
    if raw[:4] != magic:
        raise DataError(f"{name} begins with {raw[:4].hex()} where the IDX magic number {magic.hex()} is right.")
    shape = tuple(int.from_bytes(raw[i : i + 4], "big") for i in range(4, start, 4))
    if len(raw) != start + np.prod(shape, dtype=object):
        raise DataError(f"{name} has {len(raw)} bytes, which does not fit the shape {shape} that it announces.")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)
