"""The data module without a network: the excerpt, the full set where there is one, the mirror, and bad files."""

import gzip
import re

import numpy as np
import pytest
import torch

from companion import data
from companion.data import digits, files
from companion.data.digits import EXCERPT

TRAIN_COUNTS = [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


# The excerpt


def test_excerpt_has_the_first_digits():
    images, labels = data.mnist_excerpt("train")
    assert images.shape == (10_000, 28, 28)
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert torch.bincount(labels).tolist() == TRAIN_COUNTS
    assert labels[0] == 5
    images, labels = data.mnist_excerpt("test")
    assert images.shape == (2_000, 28, 28)
    assert labels.shape == (2_000,)
    assert labels[0] == 7


def test_two_calls_do_not_share_memory():
    first, _ = data.mnist_excerpt("test")
    first.zero_()
    assert data.mnist_excerpt("test")[0].any()


@pytest.mark.parametrize("load", [data.mnist_excerpt, data.mnist])
def test_unknown_split(load, sentence):
    with pytest.raises(ValueError, match="valid") as caught:
        load("valid")
    assert '"train" and "test"' in sentence(caught)


def test_notice_names_licence_and_authors():
    notice = EXCERPT.with_name("NOTICE.md").read_text(encoding="utf-8")
    for word in ("Attribution-ShareAlike 3.0", "LeCun", "Cortes", "Burges", "excerpt"):
        assert word in notice


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_corrupt_excerpt(damage, tmp_path, monkeypatch, sentence):
    raw = bytearray(EXCERPT.read_bytes())
    raw[len(raw) // 2] ^= 1
    path = tmp_path / "mnist_excerpt.npz"
    if damage != "remove":
        path.write_bytes(raw if damage == "flip" else raw[:-100])
    monkeypatch.setattr(digits, "EXCERPT", path)
    with pytest.raises(data.DataError) as caught:
        data.mnist_excerpt("train")
    assert str(path) in sentence(caught)


# The full set, where this machine has it


def test_full_set(monkeypatch):
    def stay_offline(*_):
        raise data.DataMissing("No download in a test.")

    monkeypatch.setattr(files, "_download", stay_offline)
    try:
        (images, labels), (test_images, test_labels) = data.mnist("train"), data.mnist("test")
    except data.DataMissing:
        pytest.skip("the full MNIST is neither in COMPANION_DATA nor in the cache")
    assert images.shape == (60_000, 28, 28)
    assert test_images.shape == (10_000, 28, 28)
    pixels = images.numpy() / np.float32(255)
    assert round(float(pixels.mean(dtype=np.float64)), 4) == 0.1307
    assert round(float(pixels.std(dtype=np.float64)), 4) == 0.3081
    assert (labels[0], test_labels[0]) == (5, 7)
    for split, full in {"train": (images, labels), "test": (test_images, test_labels)}.items():
        for part, whole in zip(data.mnist_excerpt(split), full, strict=True):
            assert torch.equal(part, whole[: len(part)])


# The mirror


@pytest.fixture
def mirror(digits, tmp_path, monkeypatch):
    folder = tmp_path / "mirror" / "mnist"
    folder.mkdir(parents=True)
    for name, raw in digits.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(raw))
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "mirror"))
    return folder


def test_mirror_comes_first(mirror, server, digits):
    images, labels = data.mnist("train")
    assert images.numpy().tobytes() == digits[IMAGES][16:]
    assert labels.tolist() == list(digits[LABELS][8:])
    assert server.requests == []


def test_mirror_may_be_a_relative_folder(mirror, monkeypatch):
    monkeypatch.chdir(mirror.parent.parent)
    monkeypatch.setenv("COMPANION_DATA", "mirror")
    assert data.mnist("train")[0].shape == (400, 28, 28)


@pytest.mark.parametrize("damage", ["truncated", "not gzip", "other bytes", "deflate error", "folder"])
def test_corrupt_file_in_the_mirror(damage, mirror, server, digits, sentence):
    path = mirror / f"{IMAGES}.gz"
    whole = path.read_bytes()
    path.unlink()
    match damage:
        case "truncated":
            path.write_bytes(whole[:-1000])
        case "not gzip":
            path.write_bytes(b"<html>Log in first.</html>")
        case "other bytes":
            path.write_bytes(gzip.compress(digits[IMAGES][:-1] + b"?"))
        case "deflate error":
            path.write_bytes(whole[:10] + b"\xff" * 100 + whole[110:])
        case "folder":
            path.mkdir()
    with pytest.raises(data.DataError) as caught:
        data.mnist("train")
    assert str(path) in sentence(caught)
    assert not isinstance(caught.value, data.DataMissing)
    assert server.requests == []


def test_mirror_without_the_file_says_so_and_goes_on(mirror, server, left_over):
    path = mirror / f"{LABELS}.gz"
    path.unlink()
    with pytest.warns(UserWarning, match=re.escape(str(path))):
        data.mnist("train")
    assert [name for name, _ in server.requests] == [f"{LABELS}.gz"]
    assert left_over() == [LABELS]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: b"\0\0\x0d\3" + raw[4:], "00000d03"),
        (lambda raw: b"\0\0\x08\1" + raw[4:], "00000803"),
        (lambda raw: b"", "magic"),
        (lambda raw: raw[:10], "shape"),
        (lambda raw: raw[:-1], "shape"),
        (lambda raw: raw + b"\0", "shape"),
        (lambda raw: raw[:4] + b"\xff" * 12 + raw[16:], "shape"),
    ],
)
def test_idx_that_is_none(change, words, mirror, digits, sentence, announce):
    raw = change(digits[IMAGES])
    name = f"mnist/{IMAGES}.gz"
    (mirror / f"{IMAGES}.gz").write_bytes(gzip.compress(raw))
    announce(IMAGES, raw)
    with pytest.raises(data.DataError, match=words) as caught:
        data.mnist("train")
    assert name in sentence(caught)
