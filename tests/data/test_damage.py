"""Files damaged at random, from fixed seeds: each is refused in one sentence, or read as it was."""

import gzip
import hashlib
import io
import os
import random
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from companion import data
from companion.data import files
from companion.data.faces import CMU_ARCHIVE, SOURCES
from tests.data.test_faces import archive, noise, pgm, portraits

TRIES = 100
NAME = "wikipedia/enwik8.gz"
TEXT = b"".join(f"line {number}: {number**7}\n".encode() for number in range(200))


@pytest.fixture
def mirror(cache, tmp_path, monkeypatch):
    """A mirror with an empty folder of faces, and nothing elsewhere."""
    folder = tmp_path / "mirror"
    (folder / "faces").mkdir(parents=True)
    monkeypatch.setenv("COMPANION_DATA", str(folder))
    return folder


def damaged(raw, seed):
    """The bytes with a few changed, some cut out, some put in, a part zeroed, or the end missing."""
    draw, raw = random.Random(seed), bytearray(raw)
    start = draw.randrange(len(raw))
    match seed % 5:
        case 0:
            for _ in range(draw.randint(1, 8)):
                raw[draw.randrange(len(raw))] ^= draw.randint(1, 255)
        case 1:
            del raw[start : start + draw.randint(1, 50)]
        case 2:
            raw[start:start] = draw.randbytes(draw.randint(1, 50))
        case 3:
            raw[start : start + 20] = bytes(len(raw[start : start + 20]))
        case 4:
            del raw[start:]
    return bytes(raw)


def damaged_head(raw, seed):
    """The bytes with one bit of the first or of the last hundred changed, where formats say what they hold."""
    draw, raw = random.Random(seed), bytearray(raw)
    raw[draw.choice([draw.randrange(100), -1 - draw.randrange(100)])] ^= 1 << draw.randrange(8)
    return bytes(raw)


def refused_or(read, right):
    """Whether reading is refused in one sentence; if it is not, what is read must be right."""
    try:
        found = read()
    except data.DataError as error:
        said = str(error)
    else:
        assert found == right
        return False
    assert "\n" not in said
    assert said.endswith(".")
    assert not re.search(r"\.\s", said)
    return True


def try_all(put, raw, read, right):
    """Puts the file, damaged in many ways, and reads it; much of it must have been refused."""
    put(raw)
    assert not refused_or(read, right)
    refused = 0
    for seed in range(TRIES):
        for damage in (damaged, damaged_head):
            put(damage(raw, seed))
            refused += refused_or(read, right)
    assert refused > TRIES / 2
    put(b"")
    assert refused_or(read, right)
    put(raw)
    assert not refused_or(read, right)


def zipped(content, compression=zipfile.ZIP_DEFLATED):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        archive.writestr("enwik8", content)
    return packed.getvalue()


def marked(raw, places):
    """A zip whose two headers have other bytes, at these distances from their beginnings."""
    raw = bytearray(raw)
    for header, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        for place, value in places.items():
            raw[raw.index(header) + place + shift] = value
    return bytes(raw)


class Silent(io.StringIO):
    """A progress bar that shows nothing."""

    def update(self, count):
        pass


ENCRYPTED, UNKNOWN_PACKING, OF_THE_FUTURE = {6: 1}, {8: 77}, {4: 99}


@pytest.fixture
def served(server, cache, monkeypatch):
    """The address of a zip that is served here, with the checksum of the text in it."""
    file = files.File((f"{server.address}enwik8.zip",), "sha256:" + hashlib.sha256(TEXT).hexdigest())
    monkeypatch.setitem(files.FILES, NAME, file)
    monkeypatch.setattr(files, "tqdm", lambda **_: Silent())
    return cache.parent / "wikipedia"


def test_a_zip_that_is_downloaded(served, server):
    def put(raw):
        (served / "enwik8").unlink(missing_ok=True)
        server.files["enwik8.zip"] = raw

    try_all(put, zipped(TEXT), data.enwik8, TEXT)
    assert not list(served.glob("*.part"))


@pytest.mark.parametrize("places", [ENCRYPTED, UNKNOWN_PACKING, OF_THE_FUTURE])
def test_a_zip_that_cannot_be_unpacked_does_not_block_the_next_call(places, served, server, sentence):
    server.files["enwik8.zip"] = marked(zipped(TEXT), places)
    with pytest.raises(data.DataMissing, match="sent other bytes than expected") as caught:
        data.enwik8()
    sentence(caught)
    assert not list(served.glob("*.part"))
    server.files["enwik8.zip"] = zipped(TEXT)
    assert data.enwik8() == TEXT


def test_a_gz_in_the_mirror(mirror, monkeypatch):
    monkeypatch.setitem(files.FILES, NAME, files.File((), "sha256:" + hashlib.sha256(TEXT).hexdigest()))
    (mirror / "wikipedia").mkdir()
    try_all((mirror / NAME).write_bytes, gzip.compress(TEXT, mtime=0), data.enwik8, TEXT)


def read(source):
    """The faces of a source as plain values."""
    found = data.face_set(source)
    return found.pictures.numpy().tobytes(), found.classes.tolist(), found.people.tolist()


@pytest.fixture
def members():
    return {"_".join(names) + "_2.pgm": pgm(picture) for names, picture in list(portraits().items())[::4]}


def test_the_archive_of_portraits(mirror, members):
    put, published = (mirror / CMU_ARCHIVE).write_bytes, archive(members)
    put(published)
    try_all(put, published, lambda: read("cmu-pose"), read("cmu-pose"))


def test_a_portrait_in_the_archive(mirror, members):
    """Its pixels have no checksum of their own, so that a wrong one may be read; its head can be told."""
    name, content = next(iter(members.items()))
    refused = 0
    for seed in range(TRIES):
        (mirror / CMU_ARCHIVE).write_bytes(archive(members | {name: damaged(content[:60], seed) + content[60:]}))
        refused += refused_or(lambda: data.face_set("cmu-pose").pictures.shape, (len(members), 48, 48))
    assert refused > TRIES / 4


@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_a_readers_own_crops(form, mirror):
    """A JPEG has no checksum: it is refused, whatever its name says."""
    crops = noise(len(SOURCES["multi-pie"]), 48, 48)
    for name, pixels in zip(SOURCES["multi-pie"], crops, strict=True):
        (mirror / "multi_pie" / name).mkdir(parents=True)
        Image.fromarray(pixels).save(mirror / "multi_pie" / name / "001_a.png")
    right, packed = read("multi-pie"), io.BytesIO()
    assert right[0] == crops.tobytes()
    Image.fromarray(crops[-1]).save(packed, form)
    file = mirror / "multi_pie" / "scream" / "001_a.png"
    if form == "png":
        try_all(file.write_bytes, packed.getvalue(), lambda: read("multi-pie"), right)
    for seed in range(TRIES if form == "jpeg" else 0):
        file.write_bytes(damaged(packed.getvalue(), seed) if seed else packed.getvalue())
        assert refused_or(lambda: read("multi-pie"), right)


def test_a_crop_with_another_checksum(mirror, sentence):
    """Its pixels can be unpacked, and are not those that were stored."""
    packed = [io.BytesIO(), io.BytesIO()]
    for file, grey in zip(packed, (5, 6), strict=True):
        Image.new("L", (48, 48), grey).save(file, "png")
    mine, other = (file.getvalue() for file in packed)
    start, end = other.index(b"IDAT"), other.index(b"IEND") - 8  # a checksum and a length stand before the next name
    for name in SOURCES["multi-pie"]:
        (mirror / "multi_pie" / name).mkdir(parents=True)
        (mirror / "multi_pie" / name / "001_a.png").write_bytes(mine)
    assert len(mine) == len(other)
    (mirror / "multi_pie" / "smile" / "001_a.png").write_bytes(mine[:start] + other[start:end] + mine[end:])
    with pytest.raises(data.DataError, match=r"smile/001_a\.png cannot be read as a picture") as caught:
        data.face_set("multi-pie")
    sentence(caught)


# The folder itself

FILE = "ptb/ptb.test.txt"
READERS = {
    "a file": lambda: data.penn_treebank("test"),
    "text": data.enwik8,
    "digits": lambda: data.mnist("train"),
    "faces": lambda: data.face_set("multi-pie"),
    "whether faces are here": lambda: data.face_set_here("cmu-pose"),
    "whether pictures are here": data.cifar10_here,
}


@pytest.mark.parametrize("reader", READERS)
def test_a_folder_that_is_a_file(reader, cache, tmp_path, monkeypatch, sentence):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "file"))
    with pytest.raises(data.DataError, match="COMPANION_DATA names .*, which cannot be read as a folder") as caught:
        READERS[reader]()
    sentence(caught)


@pytest.fixture
def closed(tmp_path):
    """Takes the permission to read a folder away, also from root, who else may read all."""
    folders, user = [], os.geteuid()
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:2]:
        parent.chmod(0o755)

    def close(folder):
        folder.chmod(0)
        folders.append(folder)
        if user == 0:
            os.seteuid(65534)

    yield close
    os.seteuid(user)
    for folder in folders:
        folder.chmod(0o755)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no such permissions")
@pytest.mark.parametrize("reader", READERS)
def test_a_folder_that_may_not_be_read(reader, cache, mirror, closed, sentence):
    closed(mirror)
    with pytest.raises(data.DataError, match="COMPANION_DATA names .*Permission denied") as caught:
        READERS[reader]()
    sentence(caught)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no such permissions")
@pytest.mark.parametrize(
    ("reader", "part"),
    [("whether faces are here", "faces"), ("faces", "multi_pie"), ("faces", "multi_pie/smile"), ("a file", FILE)],
)
def test_a_part_of_it_that_may_not_be_read(reader, part, cache, mirror, closed, sentence):
    for name in SOURCES["multi-pie"]:
        (mirror / "multi_pie" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((48, 48), np.uint8)).save(mirror / "multi_pie" / name / "001_a.png")
    (mirror / FILE).parent.mkdir()
    (mirror / FILE).write_bytes(gzip.compress(TEXT))
    closed(mirror / part)
    with pytest.raises(data.DataError, match="Permission denied") as caught:
        READERS[reader]()
    sentence(caught)
