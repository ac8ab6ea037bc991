"""Which data a source is: each name reads its own set, and each split its own part of it."""

import pytest
import torch

from companion import data
from companion.tasks import DigitGlimpses, Language, PixelMNIST


def pictures(level, size):
    """So many pictures of one grey level, of which the last is darker by one."""
    found = torch.full((size, 28, 28), level, dtype=torch.uint8)
    found[-1] -= 1
    return found, torch.arange(size) % 10


@pytest.fixture
def made_up_digits(monkeypatch):
    """Pictures whose grey level says which set and split they are of."""
    levels = {("excerpt", "train"): 50, ("excerpt", "test"): 100, ("full", "train"): 150, ("full", "test"): 200}
    monkeypatch.setattr(data, "mnist_excerpt", lambda split: pictures(levels["excerpt", split], 30))
    monkeypatch.setattr(data, "mnist", lambda split: pictures(levels["full", split], 40))
    return levels


@pytest.mark.parametrize("source", ["excerpt", "full"])
@pytest.mark.parametrize(
    "make",
    [lambda *source: DigitGlimpses(*source, validation_size=10), lambda *source: PixelMNIST(7, True, *source, 10)],
    ids=["glimpses", "pixel by pixel"],
)
def test_digits_are_of_the_set_and_the_split_that_was_asked_for(make, source, made_up_digits):
    """The validation set is the end of the training set, which holds the one darker picture."""
    task = make(source)
    size = 30 if source == "excerpt" else 40
    batches = {split: task.held_out(split) for split in ("train", "validation", "test")}
    assert [len(batch.targets) for batch in batches.values()] == [size - 10, 10, size]
    for split, batch in batches.items():
        level = made_up_digits[source, "test" if split == "test" else "train"]
        levels = (255 * batch.inputs.amax((0, 2))).round().long().tolist()
        assert levels == [level] * (len(levels) - (split != "train")) + [level - 1] * (split != "train")
    inputs, _ = task.batch(torch.Generator().manual_seed(0), 200)
    assert (255 * inputs.amax((0, 2))).round().unique().tolist() == [made_up_digits[source, "train"]]


def test_without_a_word_digits_are_those_that_come_with_the_repository(made_up_digits):
    for task in (DigitGlimpses(validation_size=10), PixelMNIST(validation_size=10)):
        assert (255 * task.held_out("test").inputs.max()).round() == made_up_digits["excerpt", "test"]


@pytest.mark.parametrize(
    ("source", "reader"),
    [("enwik8-excerpt", "enwik8_excerpt"), ("enwik8", "enwik8"), ("text8", "text8"), ("text8-prefix", "text8_prefix")],
)
def test_a_text_is_the_one_that_was_asked_for_and_cut_into_90_5_and_5_percent(source, reader, monkeypatch):
    """Of 1,000 characters the first 900 are a and b, the next 50 begin with c, the last 50 with d."""
    for name in ("enwik8_excerpt", "enwik8", "text8", "text8_prefix"):
        monkeypatch.setattr(data, name, lambda: b"x" * 1000)
    text = b"ab" * 450 + b"c" + b"a" * 49 + b"d" + b"b" * 49
    monkeypatch.setattr(data, reader, lambda: text)
    task = Language(source, 49)
    assert task.characters == b"ab"
    assert len(task.text) == 900
    shown = {split: task.spell(task.windows[split][:, 0]) for split in ("validation", "test")}
    assert shown == {"validation": "·" + "a" * 49, "test": "·" + "b" * 49}
