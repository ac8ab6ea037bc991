"""The one module that finds or downloads data.

`mnist_excerpt` reads digits that come with the package and never needs a network. `mnist` finds the full set. A file is
looked for in three places, in this order:

1. the folder that the environment variable `COMPANION_DATA` names (a mirror, `.gz` files as published),
2. the cache of this package below the user's cache folder (uncompressed files),
3. the public addresses, with a progress bar. A download that broke off is continued by the next call.

A file is used only if its uncompressed bytes fit their checksum. A new data set is an entry in `FILES` and a reader.
"""

import gzip
import hashlib
import io
import os
import warnings
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pooch
import requests
import torch
from filelock import FileLock
from jaxtyping import Int64, UInt8
from torch import Tensor
from tqdm import tqdm

__all__ = ["DataError", "DataMissing", "mnist", "mnist_excerpt"]


class DataError(RuntimeError):
    """A data file is corrupt, or cannot be read or stored."""


class DataMissing(DataError):
    """A data file is not on this machine and could not be downloaded."""


class File(NamedTuple):
    addresses: tuple[str, ...]  # tried in this order
    checksum: str  # "algorithm:digest" of the uncompressed bytes


MNIST_HOSTS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
# The keys are paths below COMPANION_DATA. In the cache the same paths lack the ".gz".
FILES = {
    f"mnist/{name}": File(tuple(host + name for host in MNIST_HOSTS), f"md5:{md5}")
    for name, md5 in {
        "train-images-idx3-ubyte.gz": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte.gz": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte.gz": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte.gz": "27ae3e4e09519cfbb04c329615203637",
    }.items()
}
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
    if not _matches(raw, EXCERPT_CHECKSUM):
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
    raw = _raw_bytes(name)
    magic, start = bytes([0, 0, 8, axes]), 4 + 4 * axes
    if raw[:4] != magic:
        raise DataError(f"{name} begins with {raw[:4].hex()} where the IDX magic number {magic.hex()} is right.")
    shape = tuple(int.from_bytes(raw[i : i + 4], "big") for i in range(4, start, 4))
    if len(raw) != start + np.prod(shape, dtype=object):
        raise DataError(f"{name} has {len(raw)} bytes, which does not fit the shape {shape} that it announces.")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def _raw_bytes(name: str) -> bytes:
    """The checked, uncompressed bytes of a file of `FILES`: from the mirror, the cache or the network."""
    file, tried = FILES[name], []
    if folder := os.environ.get("COMPANION_DATA"):
        path = Path(folder).expanduser().absolute() / name
        if path.exists():
            return _from_mirror(path, file.checksum)
        tried.append(f"COMPANION_DATA has no file {path}")
        warnings.warn(f"{tried[0]}: the cache and the public addresses come next.", stacklevel=4)
    cached = Path(pooch.os_cache("remind-attend-ponder"), name.removesuffix(".gz"))
    try:
        if cached.exists():
            if _matches(raw := cached.read_bytes(), file.checksum):
                return raw
            tried.append(f"{cached} is corrupt")
        _download(file, cached, tried)
        return cached.read_bytes()
    except OSError as error:
        raise DataError(f"{cached} cannot be stored or read ({error}): make room, or set COMPANION_DATA.") from error


def _matches(raw: bytes, checksum: str) -> bool:
    algorithm, digest = checksum.split(":")
    return hashlib.new(algorithm, raw).hexdigest() == digest


def _from_mirror(path: Path, checksum: str) -> bytes:
    try:
        raw = gzip.decompress(path.read_bytes())
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} cannot be read or is no whole gzip file ({error}): replace it.") from error
    if not _matches(raw, checksum):
        raise DataError(f"{path} is corrupt, its uncompressed bytes do not have {checksum}: replace it.")
    return raw


def _download(file: File, cached: Path, tried: list[str]) -> None:
    """Put the uncompressed file at `cached`, whole and checked, from the first address that has it."""
    cause, folder = None, cached.parent
    folder.mkdir(parents=True, exist_ok=True)
    for address in file.addresses:
        try:
            # pooch writes to a passing name, and moves to `cached` only what has the right checksum.
            with FileLock(f"{cached}.lock"):  # two notebooks may want the same file at once
                pooch.retrieve(address, file.checksum, cached.name, folder, downloader=_fetch_and_gunzip)
            return
        except requests.HTTPError as error:
            cause, reason = error, f"answered with status {error.response.status_code}"
        except requests.exceptions.ChunkedEncodingError as error:
            cause, reason = error, "broke off, what came is kept"
        except requests.RequestException as error:
            cause, reason = error, "could not be reached"
        except ValueError as error:  # no gzip file, or the wrong checksum
            cause, reason = error, "sent other bytes than expected"
        tried.append(f"{address} {reason}")
    advice = "go online and try again, or set COMPANION_DATA to a folder that holds the data"
    raise DataMissing(f"No whole {cached.name} is on this machine ({'; '.join(tried)}): {advice}.") from cause


def _fetch_and_gunzip(url: str, output_file: str, _pooch: object) -> None:
    """A downloader for pooch. What an interrupted call got stays in a .part file, and the next call continues it."""
    # A part for each address: two servers may have compressed the same bytes differently.
    part = Path(output_file).with_name(pooch.utils.unique_file_name(url) + ".part")
    _fetch(url, part)
    try:
        raw = gzip.decompress(part.read_bytes())
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        part.unlink()  # nothing to continue from
        raise ValueError(f"{url} sent no gzip file.") from error
    Path(output_file).write_bytes(raw)
    part.unlink()


def _fetch(url: str, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    # "identity": lengths and ranges count the bytes of the .gz file itself.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=30) as response:
        if have and response.status_code == 416:  # the server has nothing to add: the part is whole
            return
        response.raise_for_status()
        have = have if response.status_code == 206 else 0  # 200: the server begins at the start
        total = have + int(response.headers.get("Content-Length", 0))
        bar = tqdm(desc=url.rpartition("/")[2], initial=have, total=total, unit="B", unit_scale=True)
        with bar, part.open("ab" if have else "wb") as target:
            for chunk in response.iter_content(2**16):
                bar.update(target.write(chunk))
    if part.stat().st_size < total:  # older urllib3 does not notice
        raise requests.exceptions.ChunkedEncodingError(f"{url} ended early.")
