"""CIFAR-10 from archives made here, and the real ones where this machine has them."""

import io
import os
import tarfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from companion import data
from companion.data import files, pictures
from companion.data.pictures import ARCHIVE, COPIES, evenly

LOSSLESS = "cifar10/cifar10_train_first4000_lossless.npz"


def python2_pickle(pixels: np.ndarray, labels: list[int]) -> bytes:
    """A batch as Python 2 wrote it, protocol 2: {"data": array, "labels": list}, its texts without an encoding."""

    def text(content: bytes) -> bytes:
        return b"T" + len(content).to_bytes(4, "little") + content

    new = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85" + text(b"b") + b"tR"
    kind = b"cnumpy\ndtype\n(" + text(b"u1") + b"K\x00K\x01tR"
    kind += b"(K\x03" + text(b"|") + b"NNN" + 2 * b"J\xff\xff\xff\xff" + b"K\x00tb"
    shape = b"K" + bytes([len(labels)]) + b"M\x00\x0c\x86"  # 0x0c00 = 3072
    array = new + b"(K\x01" + shape + kind + b"\x89" + text(pixels.tobytes()) + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + numbers + b"u."


def tar_gz(members: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return raw.getvalue()


@pytest.fixture
def mirror(cache, tmp_path, monkeypatch):
    """Puts a file into an otherwise empty mirror and announces its checksum."""
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "mirror"))

    def put(name: str, raw: bytes) -> Path:
        path = tmp_path / "mirror" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        file = files.FILES[name]._replace(checksum="sha256:" + sha256(raw).hexdigest())
        monkeypatch.setitem(files.FILES, name, file)
        return path

    return put


@pytest.fixture
def batches():
    draw = np.random.default_rng(0)
    names = [*pictures.MEMBERS["train"], *pictures.MEMBERS["test"]]
    return {name: (draw.integers(0, 256, (3, 3072), np.uint8), draw.integers(0, 10, 3).tolist()) for name in names}


@pytest.fixture
def exact(batches, mirror):
    """The archive, three random pictures a batch."""
    return mirror(ARCHIVE, tar_gz({name: python2_pickle(*batch) for name, batch in batches.items()}))


@pytest.fixture
def copies(mirror):
    """The JPEG copies: 4 training and 2 test pictures a class, of one colour each, which JPEG keeps to a few levels."""
    colours = {}
    for split, count in (("train", 4), ("test", 2)):
        draw = np.random.default_rng(count)
        colours[split] = draw.integers(0, 256, (10 * count, 3), np.uint8)
        jpegs = []
        for colour in colours[split]:
            raw = io.BytesIO()
            Image.fromarray(np.full((32, 32, 3), colour, np.uint8)).save(raw, "JPEG", quality=95)
            jpegs.append(raw.getvalue())
        npz = io.BytesIO()
        np.savez(
            npz,
            jpeg=np.frombuffer(b"".join(jpegs), np.uint8),
            offsets=np.cumsum([0, *map(len, jpegs)]),
            labels=np.repeat(np.arange(10, dtype=np.uint8), count),
        )
        mirror(COPIES[split], npz.getvalue())
    return colours


# The exact set


def test_the_archive_is_read_in_its_order_colours_first(exact, batches):
    images, classes = data.cifar10("train")
    assert images.dtype == torch.uint8
    assert images.shape == (15, 3, 32, 32)
    published = [batches[f"data_batch_{number}"] for number in (1, 2, 3, 4, 5)]
    assert classes.tolist() == [label for _, labels in published for label in labels]
    rows = np.concatenate([pixels for pixels, _ in published])
    for colour, row, column in ((0, 0, 1), (1, 2, 3), (2, 31, 31)):
        assert images[:, colour, row, column].tolist() == rows[:, 1024 * colour + 32 * row + column].tolist()
    assert torch.equal(data.cifar10("test")[0].flatten(1), torch.tensor(batches["test_batch"][0]))


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_corrupt_archive_is_refused(damage, exact, sentence):
    raw = bytearray(exact.read_bytes())
    raw[len(raw) // 2] ^= 1
    exact.write_bytes(raw if damage == "flip" else raw[:-100])
    with pytest.raises(data.DataError, match="is corrupt") as caught:
        data.cifar10("train")
    assert str(exact) in sentence(caught)


def test_a_pickle_can_call_nothing_but_numpy_s_arrays(mirror, batches, tmp_path, sentence):
    target = tmp_path / "written"
    evil = b"cos\nsystem\n(S'touch " + str(target).encode() + b"'\ntR."
    mirror(ARCHIVE, tar_gz({"test_batch": evil}))
    with pytest.raises(data.DataError, match=r"names os\.system") as caught:
        data.cifar10("test")
    assert not target.exists()
    assert str(caught.value).endswith("): download it again.")


@pytest.mark.parametrize("content", [b"", b"\x80\x02}.", b"(cnumpy\nload\n."])
def test_an_archive_of_something_else_is_refused(content, mirror):
    mirror(ARCHIVE, tar_gz({"test_batch": content}))
    with pytest.raises(data.DataError, match="does not hold CIFAR-10 as it was published"):
        data.cifar10("test")


def test_the_archive_is_downloaded_and_kept_whole(batches, server, cache, monkeypatch):
    raw = tar_gz({name: python2_pickle(*batch) for name, batch in batches.items()})
    server.files["cifar-10-python.tar.gz"] = raw
    file = files.File((f"{server.address}cifar-10-python.tar.gz",), "sha256:" + sha256(raw).hexdigest())
    monkeypatch.setitem(files.FILES, ARCHIVE, file)
    assert data.cifar10_here() == ""
    assert data.cifar10("test")[1].tolist() == batches["test_batch"][1]
    assert (cache.parent / ARCHIVE).read_bytes() == raw
    assert data.cifar10_here() == "exact"
    server.status = 503
    assert len(data.cifar10("train")[1]) == 15


def test_the_book_names_the_public_address_and_the_checksums():
    page = (Path(__file__).parents[2] / "book" / "data.md").read_text()
    assert files.FILES[ARCHIVE].addresses == ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",)
    for name in (ARCHIVE, *COPIES.values()):
        assert files.FILES[name].checksum.removeprefix("sha256:") in page
    assert files.FILES[ARCHIVE].addresses[0] in page


# The JPEG copy


def test_the_copy_is_decoded_and_shuffled_evenly(copies):
    images, classes = data.cifar10_jpeg("train")
    assert images.shape == (40, 3, 32, 32)
    assert images.dtype == torch.uint8
    order = evenly(torch.arange(10).repeat_interleave(4))
    assert classes.tolist() == [index // 4 for index in order.tolist()] == 4 * list(range(10))
    expected = torch.tensor(copies["train"])[order].view(40, 3, 1, 1).expand_as(images)
    assert (images.int() - expected.int()).abs().max() <= 6
    assert data.cifar10_jpeg("test")[0].shape == (20, 3, 32, 32)


def test_a_limit_takes_the_first_of_the_same_order(copies):
    for whole, part in zip(data.cifar10_jpeg("train"), data.cifar10_jpeg("train", 25), strict=True):
        assert torch.equal(part, whole[:25])
    with pytest.raises(ValueError, match=r"^limit is 41; it must lie between 1 and 40\.$"):
        data.cifar10_jpeg("train", 41)


def test_a_corrupt_copy_is_refused(copies, tmp_path, sentence):
    path = tmp_path / "mirror" / COPIES["test"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(data.DataError, match="is corrupt") as caught:
        data.cifar10_jpeg("test")
    assert str(path) in sentence(caught)


@pytest.mark.filterwarnings("error")  # nothing else is tried, so nothing may be promised
@pytest.mark.parametrize("mirrored", [True, False])
def test_a_copy_that_is_not_there_says_where_it_is_looked_for(mirrored, cache, tmp_path, monkeypatch, sentence):
    if mirrored:
        monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    with pytest.raises(data.DataMissing, match="COMPANION_DATA") as caught:
        data.cifar10_jpeg("test")
    text = sentence(caught)
    assert "has no public address" in text
    assert (str(tmp_path / COPIES["test"]) in text) == mirrored


def test_evenly_is_fixed_and_takes_every_picture_once():
    classes = torch.arange(60) % 10
    order = evenly(classes)
    torch.rand(3)
    assert torch.equal(order, evenly(classes))
    assert sorted(order.tolist()) == list(range(60))
    assert order.tolist() != list(range(60))
    assert all(len(set(ten.tolist())) == 10 for ten in classes[order].split(10))


def test_evenly_refuses_classes_that_differ_in_number():
    with pytest.raises(ValueError, match=r"^The classes must be equally frequent, not \[2, 1, 1"):
        evenly(torch.tensor([*range(10), 0]))


# Both


def test_what_is_here_is_found_without_a_download(exact, copies):
    assert data.cifar10_here() == "exact"
    exact.unlink()
    assert data.cifar10_here() == "jpeg"
    exact.with_name(Path(COPIES["test"]).name).unlink()
    assert data.cifar10_here() == ""


@pytest.mark.parametrize("load", [data.cifar10, data.cifar10_jpeg])
def test_an_unknown_split_is_refused(load, sentence):
    with pytest.raises(ValueError, match="valid") as caught:
        load("valid")
    assert '"train" and "test"' in sentence(caught)


def test_the_real_copy_is_close_to_the_real_pictures():
    """The first 4,000 exact pictures, class by class, are the first of each class of the copy."""
    path = Path(os.environ.get("COMPANION_DATA", ""), LOSSLESS)
    if not path.is_file() or not files.is_here(COPIES["train"]):
        pytest.skip("COMPANION_DATA has no JPEG copy of CIFAR-10 with exact pictures beside it")
    with np.load(path) as arrays:
        images, classes = arrays["x_train"], arrays["y_train"]
    copy, kinds = data.cifar10_jpeg("train", 2000)
    places = evenly(torch.arange(10).repeat_interleave(5000), 2000) - 5000 * kinds  # in its class, as stored
    errors = []
    for picture, kind, place in zip(copy, kinds, places, strict=True):
        if place < (classes == kind.item()).sum():
            exact = torch.from_numpy(images[classes == kind.item()][place]).permute(2, 0, 1)
            errors.append((picture.int() - exact.int()).abs().float().mean().item())
    assert len(errors) > 100
    assert sum(errors) < 8 * len(errors)
