"""Files are whole or not there, with the rights of the umask; a checkpoint of which a bit has flipped is refused."""

import os
import random
import time

import pytest
import torch

from companion.storage import LEFT_BEHIND, TrainingError, load_checkpoint, save_checkpoint, write_whole

STATE = {"step": 7, "weights": torch.arange(300.0), "history": [{"step": 1, "loss": 0.5}]}
PARTS = set(STATE)


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_a_file_has_the_rights_that_the_umask_leaves(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "file", lambda scratch: scratch.write_text("x"))
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask


def test_who_reads_a_file_while_it_is_replaced_reads_the_old_one(tmp_path):
    """The old file is not written into: at no moment has the name half of the new one."""
    (tmp_path / "file").write_text("the old one")
    with open(tmp_path / "file") as reader:
        write_whole(tmp_path / "file", lambda scratch: scratch.write_text("the new one, which is longer"))
        assert reader.read() == "the old one"
    assert (tmp_path / "file").read_text() == "the new one, which is longer"


def test_what_a_killed_run_left_is_removed_and_what_another_run_writes_now_is_not(tmp_path):
    old, new, other = (tmp_path / name for name in (".a.12.unfinished", ".a.34.unfinished", ".b.12.unfinished"))
    for path in (old, new, other):
        path.write_text("half")
    for path in (old, other):
        os.utime(path, (time.time() - LEFT_BEHIND - 10,) * 2)
    write_whole(tmp_path / "a", lambda scratch: scratch.write_text("whole"))
    assert sorted(os.listdir(tmp_path)) == [".a.34.unfinished", ".b.12.unfinished", "a"]


def test_git_ignores_a_file_that_is_being_written(tmp_path):
    names = []
    write_whole(tmp_path / "a.json", lambda scratch: (names.append(scratch.name), scratch.write_text("x")))
    assert names[0].endswith(".unfinished")
    ignored = (tmp_path / names[0]).suffix
    assert f"*{ignored}" in open(".gitignore").read().splitlines()


def test_a_checkpoint_comes_back(tmp_path):
    save_checkpoint(tmp_path / "run.pt", STATE)
    found = load_checkpoint(tmp_path / "run.pt", PARTS)
    assert torch.equal(found.pop("weights"), STATE["weights"])
    assert found == {name: value for name, value in STATE.items() if name != "weights"}


def test_a_checkpoint_with_any_bit_flipped_is_refused(tmp_path, sentence):
    path = tmp_path / "run.pt"
    save_checkpoint(path, STATE)
    whole, luck = path.read_bytes(), random.Random(0)
    for place in {luck.randrange(8 * len(whole)) for _ in range(300)} | set(range(0, 8 * 90, 7)):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(TrainingError, match="is broken") as caught:
            load_checkpoint(path, PARTS)
        sentence(caught)


@pytest.mark.parametrize(
    "damage", [lambda w: w[: len(w) // 2], lambda w: b"", lambda w: b"PK junk", lambda w: w + b"x"]
)
def test_a_checkpoint_of_another_length_is_refused(tmp_path, damage):
    path = tmp_path / "run.pt"
    save_checkpoint(path, STATE)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(TrainingError, match="is broken"):
        load_checkpoint(path, PARTS)


def test_a_checkpoint_that_lacks_a_part_or_is_of_torch_alone_is_refused(tmp_path, as_users_run_it):
    save_checkpoint(tmp_path / "lacking.pt", {"step": 7})
    save_checkpoint(tmp_path / "other.pt", [1, 2])
    torch.save(STATE, tmp_path / "plain.pt")
    for name in ("lacking", "other", "plain"):
        with pytest.raises(TrainingError, match="is broken, or of an earlier version; delete it to start afresh.$"):
            load_checkpoint(tmp_path / f"{name}.pt", PARTS)


def test_a_checkpoint_that_cannot_be_read_is_said_to_be(tmp_path, sentence):
    (tmp_path / "run.pt").mkdir()
    with pytest.raises(TrainingError, match="cannot be read") as caught:
        load_checkpoint(tmp_path / "run.pt", PARTS)
    sentence(caught)


class Runs:
    """What pickle would make of it is a folder."""

    def __reduce__(self):
        return os.mkdir, (str(Runs.folder),)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path, sentence):
    Runs.folder = tmp_path / "made"
    save_checkpoint(tmp_path / "run.pt", STATE | {"step": Runs()})
    with pytest.raises(TrainingError, match="is broken") as caught:
        load_checkpoint(tmp_path / "run.pt", PARTS)
    sentence(caught)
    assert not Runs.folder.exists()
