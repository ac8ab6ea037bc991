"""Pixel CIFAR-10: colours of pixels in reading order, sets with every class equally often, and which set it was."""

import pytest
import torch

from companion import data
from companion.data.pictures import evenly
from companion.tasks import PixelCIFAR10

pytestmark = pytest.mark.usefixtures("made_up_cifar10")
SIZES = {"training_size": 150, "test_size": 50, "validation_size": 20}


@pytest.mark.parametrize("pool", [1, 2, 4])
def test_pixels_come_row_after_row_and_a_pooled_one_is_the_mean_of_its_square(pool, made_up_cifar10):
    task, side = PixelCIFAR10(pool, **SIZES), 32 // pool
    pictures, classes = (each[evenly(made_up_cifar10["test"][1], 50)] for each in made_up_cifar10["test"])
    pixels, targets = task.held_out("test")
    assert (task.length, task.input_size) == (side * side, 3)
    assert pixels.shape == (side * side, 50, 3)
    assert torch.equal(targets, classes)
    for step in (0, side - 1, side, side * side // 2, side * side - 1):
        row, column = divmod(step, side)
        square = pictures[..., row * pool : (row + 1) * pool, column * pool : (column + 1) * pool]
        torch.testing.assert_close(pixels[step], square.double().mean((2, 3)).float() / 255)


def test_grey_is_the_luminance_of_the_colours():
    colours, grey = PixelCIFAR10(4, **SIZES), PixelCIFAR10(4, "grey", **SIZES)
    assert grey.input_size == 1
    red, green, blue = colours.held_out("test").inputs.unbind(2)
    torch.testing.assert_close(grey.held_out("test").inputs[:, :, 0], 0.299 * red + 0.587 * green + 0.114 * blue)


def test_each_set_has_every_class_equally_often_and_none_of_another():
    task = PixelCIFAR10(8, **SIZES)
    seen = set()
    for split, size in (("train", 150), ("validation", 20), ("test", 50)):
        pixels, classes = task.splits[split]
        assert torch.bincount(classes, minlength=10).tolist() == 10 * [size // 10]
        seen |= {each.numpy().tobytes() for each in pixels.unbind(1)}
    assert len(seen) == 220


def test_both_sources_ask_for_the_pictures_they_need_and_say_what_they_are(monkeypatch, made_up_cifar10):
    asked = []

    def cifar10_jpeg(split, limit):
        asked.append((split, limit))
        pictures, classes = made_up_cifar10[split]
        return pictures[:limit], classes[:limit]

    monkeypatch.setattr(data, "cifar10_jpeg", cifar10_jpeg)
    assert PixelCIFAR10(8, source="jpeg", **SIZES).set_name == "CIFAR-10 (JPEG copy)"
    assert asked == [("train", 170), ("test", 50)]
    assert PixelCIFAR10(8, source="exact", **SIZES).set_name == "CIFAR-10"


def test_all_pictures_are_taken_by_default(monkeypatch):
    def everything(split):
        size = {"train": 50_000, "test": 10_000}[split]
        return torch.zeros(1, 3, 32, 32, dtype=torch.uint8).expand(size, -1, -1, -1), torch.arange(size) % 10

    monkeypatch.setattr(data, "cifar10", everything)
    task = PixelCIFAR10(pool=32, validation_size=5000)
    assert {split: len(classes) for split, (_, classes) in task.splits.items()} == {
        "train": 45_000,
        "validation": 5_000,
        "test": 10_000,
    }


@pytest.mark.parametrize(
    "arguments",
    [
        {"source": "any"},
        {"colour": "hsv"},
        {"pool": 3},
        {"pool": 0},
        {"training_size": 0},
        {"training_size": 15},
        {"training_size": 49_010},
        {"test_size": 10_010},
        {"validation_size": 50_000},
    ],
)
def test_bad_arguments_are_refused_in_one_sentence_before_a_picture_is_read(arguments, monkeypatch):
    monkeypatch.setattr(data, "cifar10", None)
    with pytest.raises(ValueError, match=rf"^{next(iter(arguments))} is .*; it must [^.]*\.$"):
        PixelCIFAR10(**arguments)
