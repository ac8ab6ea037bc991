"""Pixel MNIST: pixels in reading order or in one fixed order, averaged over squares."""

import math

import pytest
import torch

from companion import data
from companion.tasks import PixelMNIST


@pytest.mark.parametrize("pool", [2, 4, 7])
def test_a_pooled_pixel_is_the_mean_of_its_square_and_pixels_come_line_by_line(pool):
    task, side = PixelMNIST(pool=pool, permuted=False), 28 // pool
    images, labels = data.mnist_excerpt("test")
    pixels, targets = task.held_out("test")
    assert task.length == side * side
    assert pixels.shape == (side * side, len(labels), 1)
    assert torch.equal(targets, labels)
    for step in (0, side - 1, side, side * side // 2, side * side - 1):
        row, column = divmod(step, side)
        square = images[:, row * pool : (row + 1) * pool, column * pool : (column + 1) * pool]
        torch.testing.assert_close(pixels[step, :, 0], square.double().mean((1, 2)).float() / 255)


def test_without_pooling_it_is_the_image():
    pixels, _ = PixelMNIST(permuted=False).held_out("test")
    assert torch.equal((255 * pixels[:, :, 0]).round().to(torch.uint8).T, data.mnist_excerpt("test")[0].flatten(1))
    assert pixels.min() == 0
    assert pixels.max() == 1


def test_one_fixed_permutation_for_all_digits_splits_and_runs():
    plain, permuted = PixelMNIST(pool=7, permuted=False), PixelMNIST(pool=7)
    torch.rand(3)
    order = PixelMNIST(pool=7).order
    assert torch.equal(order, permuted.order)
    assert sorted(order.tolist()) == list(range(16))
    assert order.tolist() != list(range(16))
    for split in ("validation", "test"):
        assert torch.equal(permuted.held_out(split).inputs, plain.held_out(split).inputs[order])
    mine, yours = (task.batch(torch.Generator().manual_seed(3), 30).inputs for task in (permuted, plain))
    assert torch.equal(mine, yours[order])


def test_validation_is_cut_off_the_end_of_the_training_set():
    task, (_, labels) = PixelMNIST(pool=7, validation_size=300, permuted=False), data.mnist_excerpt("train")
    assert [len(task.splits[split][1]) for split in ("train", "validation", "test")] == [9700, 300, 2000]
    assert torch.equal(task.held_out("validation").targets, labels[-300:])
    assert torch.equal(task.splits["train"][1], labels[:-300])
    drawn = task.batch(torch.Generator().manual_seed(0), 500)
    known = {
        (*pixels, label)
        for pixels, label in zip(task.splits["train"].inputs[:, :, 0].T.tolist(), labels.tolist(), strict=False)
    }
    assert {(*p, t) for p, t in zip(drawn.inputs[:, :, 0].T.tolist(), drawn.targets.tolist(), strict=True)} <= known


def test_a_uniform_guess_scores_chance():
    task = PixelMNIST(pool=7)
    targets = task.held_out("test").targets
    scored = task.metrics(1e-3 * torch.randn(len(targets), 10), targets)
    assert task.chance == task.blind_guess == {"accuracy": 0.1, "loss": math.log(10)}
    assert scored["accuracy"].mean().item() == pytest.approx(0.1, abs=5 * 0.3 / math.sqrt(len(targets)))
    assert scored["loss"].mean().item() == pytest.approx(math.log(10), abs=1e-3)


@pytest.mark.parametrize("pool", [3, 0, -2])
def test_a_pool_that_does_not_divide_the_side_is_refused(pool):
    with pytest.raises(ValueError, match=r"^pool is .*; it must [^.]*\.$"):
        PixelMNIST(pool=pool)


@pytest.mark.parametrize("arguments", [{"source": "fashion"}, {"validation_size": 0}, {"validation_size": 10_000}])
def test_other_bad_arguments_are_refused_in_one_sentence(arguments):
    with pytest.raises(ValueError, match=rf"^{next(iter(arguments))} is .*; it must [^.]*\.$"):
        PixelMNIST(pool=7, **arguments)
