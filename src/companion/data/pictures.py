"""CIFAR-10: the exact pictures, by download, or a lossy JPEG copy, from a mirror alone."""

import io
import pickle
import tarfile

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from PIL import Image
from torch import Tensor

from companion.data.files import find, is_here, whole

SIDE, CLASSES = 32, 10
ARCHIVE = "cifar10/cifar-10-python.tar.gz"
MEMBERS = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}
COPIES = {split: f"cifar10/cifar10_{split}_jpeg.npz" for split in MEMBERS}


def cifar10(split: str) -> tuple[UInt8[Tensor, "n 3 32 32"], Int64[Tensor, " n"]]:
    """All 50,000 training or 10,000 test pictures of CIFAR-10, downloaded (170 MB) when they are not on this machine.

    Returns pictures (n, 3, 32, 32), red, green and blue from 0 to 255, and classes (n,), 0 to 9, in the published
    order, for `split` "train" or "test". Raises `ValueError` for another split, `DataMissing` when the archive is
    nowhere to be had, and `DataError` when it is corrupt or cannot be stored.
    Source: Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html, which states no licence.
    """
    _check_split(split)
    pixels, classes = [], []
    raw = find(ARCHIVE)
    fault = f"{ARCHIVE} does not hold CIFAR-10 as it was published"
    with whole(fault, "download it again"), tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        for member in MEMBERS[split]:
            batch = _Arrays(archive.extractfile(f"cifar-10-batches-py/{member}"), encoding="bytes").load()
            pixels.append(batch[b"data"].reshape(-1, 3, SIDE, SIDE))
            classes.append(np.array(batch[b"labels"], np.int64))
    return torch.from_numpy(np.concatenate(pixels)), torch.from_numpy(np.concatenate(classes))


def cifar10_jpeg(split: str, limit: int | None = None) -> tuple[UInt8[Tensor, "n 3 32 32"], Int64[Tensor, " n"]]:
    """A JPEG copy of CIFAR-10: lossy (a value is off by 6 of 255 on average), so results on it name it.

    Returns pictures and classes as `cifar10` does, but in the order of `evenly`, and the first `limit` of them. There
    is no public address; the copy comes from the folder that the environment variable `COMPANION_DATA` names.
    Raises `ValueError` for another split or a limit out of range, `DataMissing` when the copy is not there, and
    `DataError` when it is corrupt.
    """
    _check_split(split)
    with np.load(io.BytesIO(find(COPIES[split]))) as arrays:
        jpeg, offsets, classes = arrays["jpeg"], arrays["offsets"], torch.from_numpy(arrays["labels"].astype(np.int64))
    chosen = evenly(classes, limit)
    files = [jpeg[offsets[index] : offsets[index + 1]].tobytes() for index in chosen.tolist()]
    decoded = np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files])
    return torch.from_numpy(decoded).permute(0, 3, 1, 2).contiguous(), classes[chosen]


def cifar10_here() -> str:
    """Which CIFAR-10 this machine has without a download: "exact", else "jpeg", else "" for none."""
    if is_here(ARCHIVE):
        return "exact"
    return "jpeg" if all(is_here(name) for name in COPIES.values()) else ""


def evenly(classes: Int64[Tensor, " n"], limit: int | None = None) -> Int64[Tensor, " chosen"]:
    """A fixed random order in which any ten in a row, from the start, are of ten classes: the indices of its first.

    Raises `ValueError` when the classes are not equally frequent, or `limit` is not from 1 to their number.
    """
    counts = torch.bincount(classes, minlength=CLASSES)
    if counts.min() != counts.max():
        raise ValueError(f"The classes must be equally frequent, not {counts.tolist()}.")
    if limit is not None and not 1 <= limit <= len(classes):
        raise ValueError(f"limit is {limit}; it must lie between 1 and {len(classes)}.")
    shuffled = torch.randperm(len(classes), generator=torch.Generator().manual_seed(0))
    by_class = shuffled[classes[shuffled].argsort(stable=True)].reshape(CLASSES, -1)
    return by_class.T.flatten()[:limit]


def _check_split(split: str) -> None:
    if split not in MEMBERS:
        raise ValueError(f'CIFAR-10 has the splits "train" and "test", not {split!r}.')


class _Arrays(pickle.Unpickler):
    """Reads pickled numbers, texts, containers and numpy arrays, and refuses whatever else a pickle can call."""

    KNOWN = {"_reconstruct": np.empty(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}

    def find_class(self, module: str, name: str) -> object:
        if module in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray") and name in self.KNOWN:
            return self.KNOWN[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no array needs")
