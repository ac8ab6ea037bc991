"""Faces of 48 × 48 pixels, from your own copy; none comes with the package, and none is downloaded."""

import io
import re
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from PIL import Image
from torch import Tensor

from companion.data.files import DataError, DataMissing, find, is_here, mirrored, there, whole

SIDE = 48
LONDON, CMU = "faces/london_faces_48.npz", "faces/cmu_faces_64x60.npz"
CMU_ARCHIVE = "faces/cmu+face+images.zip"
FOLDERS = {"london": "london", "multi-pie": "multi_pie"}  # of pictures that a reader has cropped
# What each source asks, and its classes.
SOURCES = {
    "london": ("neutral", "smile"),
    "cmu-pose": ("straight", "left", "right", "up"),
    "cmu-sunglasses": ("open", "sunglasses"),
    "multi-pie": ("neutral", "smile", "surprise", "squint", "disgust", "scream"),
}
NAMES = {
    "london": "Face Research Lab London Set",
    "cmu-pose": "CMU Face Images, pose",
    "cmu-sunglasses": "CMU Face Images, sunglasses",
    "multi-pie": "CMU Multi-PIE",
}
WHERE = {
    "london": f"{LONDON}, or your own crops as {FOLDERS['london']}/<neutral or smile>/<person>_<anything>.png, in the "
    "folder that COMPANION_DATA names (the photographs: https://doi.org/10.6084/m9.figshare.5047666)",
    "cmu-pose": f"{CMU} or {CMU_ARCHIVE} in the folder that COMPANION_DATA names (the archive: "
    "https://archive.ics.uci.edu/static/public/124/cmu+face+images.zip)",
    "multi-pie": f"{FOLDERS['multi-pie']}/<expression>/<person>_<anything>.png in the folder that COMPANION_DATA names "
    "(licensed by Carnegie Mellon University)",
}
WHERE["cmu-sunglasses"] = WHERE["cmu-pose"]
PORTRAIT = re.compile(
    r"(?P<person>[a-z0-9]+)_(?P<pose>straight|left|right|up)_(neutral|happy|sad|angry)_(?P<eyes>open|sunglasses)_2\.pgm"
)


class Faces(NamedTuple):
    """Faces, what is asked of them, and whose they are.

    Attributes:
        pictures: (n, 48, 48), grey levels 0 to 255.
        classes: (n,), an index into `names`.
        people: (n,), a number for each person, the same on all pictures of that person.
        names: of the classes.
    """

    pictures: UInt8[Tensor, "n 48 48"]
    classes: Int64[Tensor, " n"]
    people: Int64[Tensor, " n"]
    names: tuple[str, ...]


def face_set(source: str) -> Faces:
    """The faces of a source, from the folder that the environment variable `COMPANION_DATA` names.

    * "london": 102 people, neutral and smiling, aligned, from `faces/london_faces_48.npz`, or, where that is missing,
      your own crops of the photographs, in folders as for "multi-pie": `london/neutral` and `london/smile`. DeBruine
      and Jones 2017, CC BY 4.0, https://doi.org/10.6084/m9.figshare.5047666.
    * "cmu-pose" and "cmu-sunglasses": 20 people, 624 portraits, from `faces/cmu_faces_64x60.npz`, or from the published
      archive, `faces/cmu+face+images.zip`, of which the portraits of 64 × 60 pixels are taken. Two columns on either
      side are cut off, and the square of 60 × 60 is averaged down to 48 × 48, by area. Tom Mitchell, for education.
    * "multi-pie": your own copy of CMU Multi-PIE, cropped by you, as `multi_pie/<expression>/<person>_<anything>.png`:
      grey pictures of 48 × 48 pixels, in six folders named neutral, smile, surprise, squint, disgust and scream. What
      stands before the first underscore is the person. The paper takes three cameras, at −15°, 0° and 15°, and aligns
      the faces by eyes and nose.

    Raises:
        ValueError: another source.
        DataMissing: the faces are not there; the sentence says where they are looked for.
        DataError: they are corrupt, or not as described here.
    """
    check_source(source)
    if not face_set_here(source):
        raise DataMissing(f"{NAMES[source]} is not on this machine: put it at {WHERE[source]}.")
    if source.startswith("cmu-"):
        return _cmu(source)
    return _london() if source == "london" and is_here(LONDON) else _cropped(source)


def face_set_here(source: str) -> bool:
    """Whether the faces of a source are on this machine, if their files are whole.

    Raises:
        ValueError: another source than those of `face_set`.
    """
    check_source(source)
    own = mirrored(FOLDERS.get(source, CMU_ARCHIVE))
    made = {"london": LONDON, "multi-pie": None}.get(source, CMU)
    return bool(own and there(own)) or bool(made and is_here(made))


def check_source(source: str) -> None:
    """Refuse a source that is none of `SOURCES`.

    Raises:
        ValueError: it is not.
    """
    if source not in SOURCES:
        raise ValueError(f"source is {source!r}; it must be one of {', '.join(SOURCES)}.")


def _numbered(people: list[str] | np.ndarray) -> Int64[Tensor, " n"]:
    return torch.from_numpy(np.unique(people, return_inverse=True)[1].astype(np.int64))


def _london() -> Faces:
    with np.load(io.BytesIO(find(LONDON))) as arrays:
        pictures, smiling, people = arrays["images"], arrays["smiling"], arrays["person"]
    classes = torch.from_numpy(smiling.astype(np.int64))
    return Faces(torch.from_numpy(pictures), classes, _numbered(people), SOURCES["london"])


def _cmu(source: str) -> Faces:
    asked = "pose" if source == "cmu-pose" else "eyes"
    if is_here(CMU):
        with np.load(io.BytesIO(find(CMU))) as arrays:
            portraits, people = arrays["images"], arrays["user"]
            said = arrays[f"{asked}_names"][arrays[asked]].tolist()
    else:
        portraits, people, said = _archived(asked)
    names = SOURCES[source]
    classes = torch.tensor([names.index(word) for word in said])
    return Faces(torch.from_numpy(np.stack([_squared(each) for each in portraits])), classes, _numbered(people), names)


def _squared(portrait: UInt8[np.ndarray, "60 64"]) -> UInt8[np.ndarray, "48 48"]:
    """The middle 60 columns, averaged down by area: a pixel becomes 4 × 4 equal ones, and 5 × 5 of those make one."""
    parts = portrait[:, 2:-2].repeat(4, axis=0).repeat(4, axis=1)
    return np.rint(parts.reshape(SIDE, 5, SIDE, 5).mean((1, 3))).astype(np.uint8)


def _archived(asked: str) -> tuple[list[np.ndarray], list[str], list[str]]:
    """The portraits of 64 × 60 pixels in the published archive, whose they are, and their pose or eyes."""
    path, portraits, people, said = mirrored(CMU_ARCHIVE), [], [], []
    with whole(f"{path} is not the archive as it was published", "download it again"):
        with zipfile.ZipFile(path) as outer:
            packed = io.BytesIO(outer.read("faces.tar.gz"))
        with tarfile.open(fileobj=packed) as archive:
            for member in sorted(archive.getmembers(), key=lambda each: each.name):
                if found := PORTRAIT.fullmatch(member.name.rpartition("/")[2]):
                    picture = Image.open(archive.extractfile(member), formats=["PPM"])
                    portraits.append(np.asarray(picture.convert("L")))
                    people.append(found["person"])
                    said.append(found[asked])
    if not portraits or {each.shape for each in portraits} != {(60, 64)}:
        raise DataError(f"{path} holds {len(portraits)} portraits; it must hold portraits of 64 × 60 pixels.")
    return portraits, people, said


def _cropped(source: str) -> Faces:
    folder, pictures, classes, people = mirrored(FOLDERS[source]), [], [], []
    names = SOURCES[source]
    found = {each.name for each in _listed(folder) if each.is_dir()} if folder.is_dir() else set()
    if found != set(names):
        have = ", ".join(sorted(found)) or "none"
        raise DataError(f"{folder} has these folders: {have}; it must have {', '.join(names)}, and no other.")
    for number, name in enumerate(names):
        files = [each for each in _listed(folder / name) if each.suffix == ".png"]
        if not files:
            raise DataError(f"{folder / name} holds no picture; it must hold files named <person>_<anything>.png.")
        for file in files:
            person, mark, _ = file.stem.partition("_")
            if not person or not mark:
                raise DataError(f"{file} does not say who it is; its name must be <person>_<anything>.png.")
            pictures.append(_grey(file))
            classes.append(number)
            people.append(person)
    return Faces(torch.from_numpy(np.stack(pictures)), torch.tensor(classes), _numbered(people), names)


def _listed(folder: Path) -> list[Path]:
    """What lies in a folder, by name; `glob` would say nothing of one that may not be read."""
    with whole(f"{folder} cannot be looked into", "change its permissions"):
        return sorted(folder.iterdir())


def _grey(file: Path) -> UInt8[np.ndarray, "48 48"]:
    with whole(f"{file} cannot be read as a picture", "replace it"):
        raw = io.BytesIO(file.read_bytes())
        Image.open(raw, formats=["PNG"]).verify()  # the checksums, which reading the pixels does not look at
        with Image.open(raw, formats=["PNG"]) as picture:
            if picture.mode != "L" or picture.size != (SIDE, SIDE):
                have = f"{picture.width} × {picture.height} pixels of mode {picture.mode}"
                raise DataError(f"{file} has {have}; it must have {SIDE} × {SIDE} grey ones, of mode L.")
            return np.asarray(picture)
