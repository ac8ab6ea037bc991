"""Faces from files made here: the London set, the CMU portraits and their archive, and a reader's own Multi-PIE."""

import io
import re
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from companion import data
from companion.data import files
from companion.data.faces import CMU, CMU_ARCHIVE, LONDON, SOURCES, _squared

PEOPLE, POSES, MOODS, EYES = ("bob", "ann2"), SOURCES["cmu-pose"], ("neutral", "happy"), SOURCES["cmu-sunglasses"]


@pytest.fixture
def mirror(cache, tmp_path, monkeypatch):
    """An empty mirror, and nothing elsewhere."""
    folder = tmp_path / "mirror"
    (folder / "faces").mkdir(parents=True)
    monkeypatch.setenv("COMPANION_DATA", str(folder))
    return folder


@pytest.fixture
def put(mirror, monkeypatch):
    """Stores arrays in the mirror under a known name, and announces their checksum."""

    def put(name, **arrays):
        packed = io.BytesIO()
        np.savez(packed, **arrays)
        (mirror / name).write_bytes(packed.getvalue())
        file = files.File((), "sha256:" + sha256(packed.getvalue()).hexdigest())
        monkeypatch.setitem(files.FILES, name, file)

    return put


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def portraits():
    """Every combination of the CMU names, with a picture of noise."""
    names = [(who, pose, mood, eyes) for who in PEOPLE for pose in POSES for mood in MOODS for eyes in EYES]
    return dict(zip(names, noise(len(names), 60, 64), strict=True))


def pgm(picture, plain=False):
    head = f"P{2 if plain else 5}\n# made here\n{picture.shape[1]} {picture.shape[0]}\n255\n".encode()
    return head + (" ".join(map(str, picture.flatten())).encode() if plain else picture.tobytes())


def archive(members):
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"faces/{name.partition('_')[0]}/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as packed:
        packed.writestr("faces.data.html", "<html></html>")
        packed.writestr("faces.tar.gz", inner.getvalue())
    return outer.getvalue()


def published(plain=False):
    """As the archive has them: three sizes, and a portrait marked as bad."""
    members = {}
    for names, picture in portraits().items():
        members["_".join(names) + "_2.pgm"] = pgm(picture, plain)
        members["_".join(names) + ".pgm"] = pgm(noise(120, 128))
        members["_".join(names) + "_4.pgm"] = pgm(noise(30, 32))
    members["bob_left_sad_open_2.pgm.bad"] = b"P5"
    return archive(members)


# London


def test_london_is_read_with_a_number_for_each_person(put):
    pictures = noise(6, 48, 48)
    put(LONDON, images=pictures, smiling=np.array([0, 0, 0, 1, 1, 1], np.uint8), person=np.array([9, 4, 30, 9, 4, 30]))
    found = data.face_set("london")
    assert found.pictures.numpy().tobytes() == pictures.tobytes()
    assert found.classes.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.people.tolist() == [1, 0, 2, 1, 0, 2]
    assert found.names == ("neutral", "smile")


def test_london_is_read_from_a_readers_own_crops_too(mirror):
    for name in ("neutral", "smile"):
        for person in ("001", "002"):
            picture(mirror / "london" / name / f"{person}_03.png")
    found = data.face_set("london")
    assert found.classes.tolist() == [0, 0, 1, 1]
    assert found.people.tolist() == [0, 1, 0, 1]
    assert found.names == ("neutral", "smile")


def test_a_corrupt_file_is_refused(put, mirror, sentence):
    put(LONDON, images=noise(1, 48, 48))
    (mirror / LONDON).write_bytes(b"PK")
    with pytest.raises(data.DataError, match="is corrupt") as caught:
        data.face_set("london")
    assert str(mirror / LONDON) in sentence(caught)


# CMU


def test_a_portrait_is_cropped_and_averaged_down_by_area():
    portrait = noise(60, 64)
    share = np.zeros((48, 60))  # how much of each old pixel lies in a new one, which is 1.25 as wide
    for new in range(48):
        for old in range(60):
            share[new, old] = max(0, min(1.25 * (new + 1), old + 1) - max(1.25 * new, old)) / 1.25
    expected = share @ portrait[:, 2:62] @ share.T
    assert np.abs(_squared(portrait) - expected).max() < 0.5 + 1e-9


@pytest.mark.parametrize(("source", "place"), [("cmu-pose", 1), ("cmu-sunglasses", 3)])
def test_both_forms_of_the_cmu_portraits_say_the_same(source, place, put, mirror):
    everything = portraits()
    (mirror / CMU_ARCHIVE).write_bytes(published())
    from_archive = data.face_set(source)
    order = sorted(everything, key=lambda names: f"faces/{names[0]}/" + "_".join(names) + "_2.pgm")
    put(
        CMU,
        images=np.stack([everything[names] for names in order]),
        user=np.array([names[0] == "bob" for names in order], np.uint8),
        pose=np.array([POSES.index(names[1]) for names in order], np.uint8),
        pose_names=np.array(POSES),
        eyes=np.array([1 - EYES.index(names[3]) for names in order], np.uint8),
        eyes_names=np.array(EYES[::-1]),
    )
    from_arrays = data.face_set(source)
    for found in (from_archive, from_arrays):
        assert found.pictures.shape == (len(order), 48, 48)
        assert [found.names[index] for index in found.classes] == [names[place] for names in order]
        assert found.people.tolist() == [int(names[0] == "bob") for names in order]
    assert torch.equal(from_archive.pictures, from_arrays.pictures)
    assert from_archive.pictures[3].numpy().tobytes() == _squared(everything[order[3]]).tobytes()


def test_a_plain_pgm_is_read_as_well(mirror):
    found = []
    for plain in (False, True):
        (mirror / CMU_ARCHIVE).write_bytes(published(plain))
        found.append(data.face_set("cmu-pose").pictures)
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>Log in first.</html>", "not the archive as it was published"),
        (published()[:-3000], "not the archive as it was published"),
        (archive({"bob_up_sad_open_2.pgm": b"P6 nothing"}), "not the archive as it was published"),
        (archive({"bob_up_sad_open.pgm": pgm(noise(120, 128))}), "holds 0 portraits"),
        (archive({"bob_up_sad_open_2.pgm": pgm(noise(120, 128))}), "must hold portraits of 64 × 60"),
    ],
)
def test_another_archive_is_refused(content, words, mirror, sentence):
    (mirror / CMU_ARCHIVE).write_bytes(content)
    with pytest.raises(data.DataError, match=words) as caught:
        data.face_set("cmu-sunglasses")
    assert str(mirror / CMU_ARCHIVE) in sentence(caught)


# A reader's own Multi-PIE


def picture(path, size=(48, 48), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, 0).save(path)


@pytest.fixture
def multi_pie(mirror):
    for number, name in enumerate(SOURCES["multi-pie"]):
        for person in ("001", "017"):
            picture(mirror / "multi_pie" / name / f"{person}_{number}_a.png")
    return mirror / "multi_pie"


def test_multi_pie_is_read_from_six_folders(multi_pie):
    Image.fromarray(noise(48, 48)).save(multi_pie / "smile" / "017_05_1_late.png")
    (multi_pie / "notes.txt").write_text("mine")
    found = data.face_set("multi-pie")
    assert found.classes.tolist() == [0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert found.people.tolist() == [0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1, 0, 1]
    assert found.pictures[3].numpy().tobytes() == noise(48, 48).tobytes() or found.pictures[4].any()
    assert found.names[found.classes[-1]] == "scream"


def spoil(folder, how):
    match how:
        case "folder missing":
            (folder / "squint").rename(folder / "blink")
        case "folder empty":
            for file in (folder / "squint").iterdir():
                file.unlink()
        case "no person":
            picture(folder / "smile" / "someone.png")
        case "size":
            picture(folder / "smile" / "003_b.png", size=(64, 60))
        case "colour":
            picture(folder / "smile" / "003_b.png", mode="RGB")
        case "no picture":
            (folder / "smile" / "003_b.png").write_bytes(b"nothing")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("folder missing", "blink.*it must have neutral, smile, surprise, squint, disgust, scream, and no other"),
        ("folder empty", "squint holds no picture; it must hold files named <person>_<anything>.png"),
        ("no person", r"someone\.png does not say who it is"),
        ("size", r"003_b\.png has 64 × 60 pixels of mode L; it must have 48 × 48 grey ones"),
        ("colour", r"003_b\.png has 48 × 48 pixels of mode RGB"),
        ("no picture", r"003_b\.png cannot be read as a picture"),
    ],
)
def test_what_is_wrong_with_a_copy_of_multi_pie_is_said_in_one_sentence(how, words, multi_pie, sentence):
    spoil(multi_pie, how)
    with pytest.raises(data.DataError, match=words) as caught:
        data.face_set("multi-pie")
    assert str(multi_pie) in sentence(caught)


# All of them


@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize("source", SOURCES)
def test_faces_that_are_not_there_say_where_they_belong(source, mirrored, mirror, monkeypatch, sentence):
    if not mirrored:
        monkeypatch.delenv("COMPANION_DATA")
    assert not data.face_set_here(source)
    with pytest.raises(data.DataMissing, match="COMPANION_DATA") as caught:
        data.face_set(source)
    assert {"l": "figshare", "c": "archive.ics.uci.edu", "m": "Carnegie"}[source[0]] in sentence(caught)


@pytest.mark.parametrize("ask", [data.face_set, data.face_set_here])
def test_an_unknown_source_is_refused(ask, sentence):
    with pytest.raises(ValueError, match="source is 'celebrities'; it must be one of london, cmu-pose") as caught:
        ask("celebrities")
    sentence(caught)


def test_what_is_here_is_found(put, mirror, multi_pie):
    put(LONDON, images=noise(1, 48, 48))
    (mirror / CMU_ARCHIVE).write_bytes(b"")
    assert all(data.face_set_here(source) for source in SOURCES)


def test_the_book_names_files_folders_and_checksums():
    page = (Path(__file__).parents[2] / "book" / "data.md").read_text()
    for name in (LONDON, CMU):
        assert name in page
        assert files.FILES[name].checksum.removeprefix("sha256:") in page
    for word in (CMU_ARCHIVE, "multi_pie/", "london/", *SOURCES["multi-pie"], "DeBruine", "Mitchell"):
        assert word in page
    assert re.search(r"CC BY 4\.0", page)


def test_the_real_faces():
    """The sets that the recorded runs were made on, where this machine has them."""
    if not (data.face_set_here("london") and files.is_here(CMU)):
        pytest.skip("COMPANION_DATA has no London faces or no CMU faces")
    london, pose, eyes = data.face_set("london"), data.face_set("cmu-pose"), data.face_set("cmu-sunglasses")
    assert torch.bincount(london.classes).tolist() == [102, 102]
    assert torch.bincount(london.people).tolist() == 102 * [2]
    assert torch.bincount(pose.classes).tolist() == [156, 157, 155, 156]
    assert torch.bincount(eyes.classes).tolist() == [313, 311]
    assert len(pose.people.unique()) == 20
