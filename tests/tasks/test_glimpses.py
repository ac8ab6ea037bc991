"""The 24 glimpses, each against a loop over pixels, in the order of the paper's Figure 3, and digits read in them."""

import math

import pytest
import torch

from companion import data
from companion.tasks import DigitGlimpses
from companion.tasks.glimpses import Glimpses, glimpses


def by_hand(picture):
    """The glimpses of one picture, pixel by pixel."""
    side, patch = len(picture), len(picture) // 4
    sequence = []
    for top in (0, side // 2):
        for left in (0, side // 2):
            coarse = []
            for y in range(top, top + side // 2, 2):
                for x in range(left, left + side // 2, 2):
                    square = [int(picture[y + dy, x + dx]) for dy in (0, 1) for dx in (0, 1)]
                    coarse.append(sum(square) / 4 / 255)
            sequence.append(coarse)
            for y in (top, top + patch):
                for x in (left, left + patch):
                    sequence.append([int(v) / 255 for v in picture[y : y + patch, x : x + patch].flatten()])
            sequence.append(coarse)
    return sequence


@pytest.mark.parametrize("side", [4, 28, 48])
def test_glimpses_are_those_of_a_loop_over_pixels(side):
    pictures = torch.randint(256, (3, side, side), dtype=torch.uint8)
    expected = torch.tensor([by_hand(picture) for picture in pictures]).transpose(0, 1)
    assert expected.shape == (24, 3, (side // 4) ** 2)
    torch.testing.assert_close(glimpses(pictures), expected)


def test_a_coarse_look_returns_after_four_fine_ones():
    groups = glimpses(torch.randint(256, (2, 28, 28))).unflatten(0, (4, 6))
    assert torch.equal(groups[:, 0], groups[:, 5])
    torch.testing.assert_close(groups[:, 0].mean(-1), groups[:, 1:5].mean((1, 3)))


def test_no_glimpse_sees_beyond_its_place():
    """A single bright pixel, at the bottom left of the top right quadrant."""
    picture = torch.zeros(1, 28, 28)
    picture[0, 13, 14] = 255
    bright = glimpses(picture).sum(-1).squeeze(1)
    assert bright.nonzero().flatten().tolist() == [6, 9, 11]
    assert bright[[6, 9, 11]].tolist() == [0.25, 1.0, 0.25]


@pytest.mark.parametrize("shape", [(2, 28, 20), (2, 30, 30), (2, 0, 0)])
def test_a_picture_that_cannot_be_cut_is_refused_in_one_sentence(shape):
    with pytest.raises(ValueError, match=r"^A picture has .* pixels; it must be square, with a side that 4 divides\.$"):
        glimpses(torch.zeros(shape))


def test_digits_are_those_of_mnist_and_validation_is_cut_off_the_end():
    task = DigitGlimpses(validation_size=300)
    pictures, classes = data.mnist_excerpt("train")
    assert (task.input_size, task.output_size) == (49, 10)
    assert [len(task.splits[split].targets) for split in ("train", "validation", "test")] == [9700, 300, 2000]
    assert torch.equal(task.held_out("validation").targets, classes[-300:])
    assert torch.equal(task.held_out("validation").inputs, glimpses(pictures[-300:]))
    assert torch.equal(task.held_out("test").inputs, glimpses(data.mnist_excerpt("test")[0]))


def test_the_blind_guess_is_the_most_frequent_digit():
    task = DigitGlimpses()
    train, test = task.splits["train"].targets, task.splits["test"].targets
    assert task.chance == {"error": 0.9, "loss": math.log(10)}
    assert torch.bincount(train).argmax() == 1
    assert task.blind_guess["error"] == pytest.approx((test != 1).double().mean().item())
    shares = (torch.bincount(train) + 1.0) / (len(train) + 10)
    guess = shares.log().expand(len(test), -1)
    scored = {name: values.mean().item() for name, values in task.metrics(guess, test).items()}
    assert scored == pytest.approx(task.blind_guess, rel=1e-5)


def test_a_class_that_training_lacks_costs_the_blind_guess_a_finite_loss():
    pictures = torch.zeros(4, 8, 8)
    classes = torch.tensor([0, 0, 0, 1])
    task = Glimpses(
        {"train": (pictures, 0 * classes), "validation": (pictures, classes), "test": (pictures, classes)}, 2
    )
    assert task.blind_guess["error"] == 0.25
    assert task.blind_guess["loss"] == pytest.approx(-(3 * math.log(5 / 6) + math.log(1 / 6)) / 4)


def test_an_empty_split_is_refused_in_one_sentence():
    pictures, classes = torch.zeros(2, 8, 8), torch.zeros(2, dtype=torch.int64)
    splits = {"train": (pictures, classes), "validation": (pictures[:0], classes[:0]), "test": (pictures, classes)}
    with pytest.raises(ValueError, match=r"^The split 'validation' is empty; it must have at least one picture\.$"):
        Glimpses(splits, 2)


@pytest.mark.parametrize("arguments", [{"source": "fashion"}, {"validation_size": 0}, {"validation_size": 10_000}])
def test_bad_arguments_are_refused_in_one_sentence(arguments):
    with pytest.raises(ValueError, match=rf"^{next(iter(arguments))} is .*; it must [^.]*\.$"):
        DigitGlimpses(**arguments)
