"""Texts as bytes: Wikipedia's enwik8 and text8, the Penn Treebank, and the excerpt that comes with the package."""

import lzma
from pathlib import Path

from companion.data.files import DataError, DataMissing, find, matches

EXCERPT = Path(__file__).with_name("enwik8_excerpt.xz")
EXCERPT_CHECKSUM = "sha256:1c633a52d9565537550da61c7812196bc99c96b9749759c6b5f9095415a9dbbd"
PREFIX = 70_000_000
TREEBANK = {"train": "train", "validation": "valid", "test": "test"}


def enwik8_excerpt() -> bytes:
    """The first 1,000,000 bytes of enwik8, from the file that comes with the package.

    Raises `DataError` when the file is missing or corrupt.
    Source: English Wikipedia, 3 March 2006, CC BY-SA 3.0; see NOTICE.md beside this file.
    """
    raw = EXCERPT.read_bytes() if EXCERPT.exists() else b""
    if not matches(raw, EXCERPT_CHECKSUM):
        raise DataError(f"{EXCERPT} is missing or corrupt, {EXCERPT_CHECKSUM} is right: install the package again.")
    return lzma.decompress(raw)


def enwik8() -> bytes:
    """The first 100,000,000 bytes of an English Wikipedia dump: XML, 205 different bytes.

    Downloaded (36 MB) when it is not on this machine. Raises `DataMissing` when it is nowhere to be had, and
    `DataError` when it is corrupt or cannot be stored.
    Source: Mahoney, Large Text Compression Benchmark; the text is Wikipedia's, CC BY-SA 3.0.
    """
    return find("wikipedia/enwik8.gz")


def text8() -> bytes:
    """100,000,000 characters of Wikipedia, cleaned to the letters a to z and single spaces.

    Downloaded (31 MB) when it is not on this machine. Raises what `enwik8` raises; the same source.
    """
    return find("wikipedia/text8.gz")


def text8_prefix() -> bytes:
    """The first 70,000,000 characters of text8. Scores on a split of it are not scores on text8: its end is elsewhere.

    Read from `wikipedia/text8_first70M.gz` in the folder that COMPANION_DATA names, or cut off `text8`, which is
    downloaded if need be. Raises what `text8` raises.
    """
    try:
        return find("wikipedia/text8_first70M.gz")
    except DataMissing:
        return text8()[:PREFIX]


def penn_treebank(split: str) -> bytes:
    """The Penn Treebank's Wall Street Journal in Mikolov's files of words, for `split` train, validation or test.

    The bytes are those of the files, nothing added or removed: a line is a sentence, a space stands before and after
    each word, a rare word is `<unk>`, a number `N`. Downloaded (6 MB in all) when it is not on this machine, or read
    from your own copy, `ptb/ptb.train.txt`, `ptb.valid.txt` and `ptb.test.txt` in the folder that COMPANION_DATA names.

    Raises `ValueError` for another split, and what `enwik8` raises.
    Source: Mikolov et al. 2010. The text belongs to the Linguistic Data Consortium: for those who hold its licence.
    """
    if split not in TREEBANK:
        raise ValueError(f"The Penn Treebank has the splits {', '.join(TREEBANK)}, not {split!r}.")
    return find(f"ptb/ptb.{TREEBANK[split]}.txt")
