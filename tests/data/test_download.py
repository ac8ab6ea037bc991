"""Downloads of the data module, all from a server on this machine."""

import gzip
import re
import threading
import time
from pathlib import Path

import pooch
import pytest
import torch

from companion import data
from companion.data import files

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def test_download_is_kept_in_the_cache(digits, server, capsys, left_over):
    images, labels = data.mnist("train")
    assert images.numpy().tobytes() == digits[IMAGES][16:]
    assert labels.tolist() == list(digits[LABELS][8:])
    assert left_over() == [IMAGES, LABELS]
    assert f"{IMAGES}.gz: 100%" in capsys.readouterr().err
    server.status = 503
    data.mnist("train")
    assert server.requests == [(f"{IMAGES}.gz", None), (f"{LABELS}.gz", None)]


def test_interrupted_download_is_continued(digits, server, cache, sentence, left_over):
    server.stop_after = 100_000
    with pytest.raises(data.DataMissing, match="broke off") as caught:
        data.mnist("train")
    sentence(caught)
    (part,) = cache.glob("*.part")
    kept = part.read_bytes()
    assert 50_000 < len(kept) <= 100_000
    assert server.files[f"{IMAGES}.gz"].startswith(kept)
    assert left_over() == [part.name]

    server.stop_after = None
    assert data.mnist("train")[0].numpy().tobytes() == digits[IMAGES][16:]
    assert server.asked(IMAGES) == [None, f"bytes={len(kept)}-"]
    assert left_over() == [IMAGES, LABELS]


def test_ctrl_c_keeps_what_came(digits, server, cache, monkeypatch, left_over):
    class Interrupted(files.tqdm):
        def update(self, n=1):
            super().update(n)
            if self.n >= 2**17:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files, "tqdm", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            data.mnist("train")
    (part,) = cache.glob("*.part")
    assert left_over() == [part.name]
    data.mnist("train")
    assert server.asked(IMAGES) == [None, f"bytes={2**17}-"]


def part_of(cache, server):
    cache.mkdir(parents=True)
    return cache / f"{pooch.utils.unique_file_name(f'{server.address}{IMAGES}.gz')}.part"


def test_part_that_is_whole_is_used(digits, server, cache, left_over):
    part_of(cache, server).write_bytes(server.files[f"{IMAGES}.gz"])
    data.mnist("train")
    assert left_over() == [IMAGES, LABELS]


def test_server_without_ranges_starts_again(digits, server, cache, left_over):
    part_of(cache, server).write_bytes(b"junk" * 100)
    server.ranges = False
    data.mnist("train")
    assert server.asked(IMAGES) == ["bytes=400-"]
    assert left_over() == [IMAGES, LABELS]


def test_stale_part_is_thrown_away(digits, server, cache, left_over):
    part_of(cache, server).write_bytes(b"junk" * 100)
    with pytest.raises(data.DataMissing, match="other bytes"):
        data.mnist("train")
    assert left_over() == []
    data.mnist("train")
    assert server.asked(IMAGES) == ["bytes=400-", None]


@pytest.mark.parametrize("gzipped", [True, False])
def test_corrupt_download_is_rejected_and_not_left_behind(gzipped, digits, server, sentence, left_over):
    good = server.files[f"{IMAGES}.gz"]
    server.files[f"{IMAGES}.gz"] = gzip.compress(digits[IMAGES][:-1] + b"?") if gzipped else b"<html>Log in.</html>"
    with pytest.raises(data.DataMissing, match="other bytes") as caught:
        data.mnist("train")
    sentence(caught)
    assert left_over() == []
    server.files[f"{IMAGES}.gz"] = good
    data.mnist("train")


def test_second_address_is_tried(digits, server, announce):
    announce(IMAGES, digits[IMAGES], hosts=[f"{server.address}gone/", server.address])
    assert data.mnist("train")[0].shape == (400, 28, 28)
    assert server.requests[0][0].startswith("gone/")


def test_offline_says_what_was_tried(digits, server, tmp_path, monkeypatch, sentence, left_over, announce):
    hosts = ["http://127.0.0.1:9/", f"{server.address}gone/"]
    announce(IMAGES, digits[IMAGES], hosts)
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "nowhere"))
    with pytest.warns(UserWarning, match="nowhere"), pytest.raises(data.DataMissing) as caught:
        data.mnist("train")
    text = sentence(caught)
    for words in (*hosts, "could not be reached", "404", str(tmp_path / "nowhere"), "set COMPANION_DATA", "go online"):
        assert words in text
    assert left_over() == []


def test_corrupt_cache_is_replaced(digits, server, cache, sentence):
    data.mnist("train")
    (cache / IMAGES).write_bytes(digits[IMAGES][:1000])
    server.status = 503
    with pytest.raises(data.DataMissing, match="is corrupt") as caught:
        data.mnist("train")
    assert str(cache / IMAGES) in sentence(caught)
    server.status = None
    data.mnist("train")
    assert (cache / IMAGES).read_bytes() == digits[IMAGES]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_full_disk(digits, server, cache, sentence):
    part_of(cache, server).symlink_to("/dev/full")
    with pytest.raises(data.DataError, match="No space left") as caught:
        data.mnist("train")
    assert str(cache / IMAGES) in sentence(caught)
    assert not (cache / IMAGES).exists()


def test_cache_that_is_no_folder(digits, cache, sentence):
    cache.parent.parent.mkdir()
    cache.parent.write_text("a file")
    with pytest.raises(data.DataError, match="cannot be stored") as caught:
        data.mnist("train")
    sentence(caught)


def test_two_at_once_download_once(digits, server):
    answer, answers = server.answer, []

    def slowly(handler):
        time.sleep(0.1)
        answer(handler)

    server.answer = slowly
    threads = [threading.Thread(target=lambda: answers.append(data.mnist("train"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(answers[0][0], answers[1][0])
    assert len(server.requests) == 2


def test_addresses_are_the_public_ones():
    mnist = {name: file for name, file in files.FILES.items() if name.startswith("mnist/")}
    assert len(mnist) == 4
    for name, file in mnist.items():
        first, second = file.addresses
        assert first == f"https://ossci-datasets.s3.amazonaws.com/{name}"
        assert second == f"https://storage.googleapis.com/cvdf-datasets/{name}"
        assert re.fullmatch(r"md5:[0-9a-f]{32}", file.checksum)
