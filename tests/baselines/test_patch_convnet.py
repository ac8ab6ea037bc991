"""The ConvNet on glimpses: it rebuilds the picture, and a sum over patches is what its layers compute."""

from itertools import product

import pytest
import torch

from companion.baselines import PatchConvNet
from companion.baselines.patch_convnet import picture_of
from companion.tasks.glimpses import glimpses


@pytest.mark.parametrize("side", [4, 28, 48])
def test_the_picture_is_rebuilt_from_the_fine_glimpses(side):
    pictures = torch.randint(256, (3, side, side), dtype=torch.uint8)
    inputs = glimpses(pictures)
    torch.testing.assert_close(picture_of(inputs), pictures.unsqueeze(1) / 255)
    inputs[[0, 5, 6, 11, 12, 17, 18, 23]] = torch.nan
    assert not picture_of(inputs).isnan().any()


def test_each_layer_joins_four_neighbours_of_the_one_before():
    """A patch, a quadrant, the picture: three matrices, the same at every place."""
    layer, inputs = PatchConvNet(9, 5).double(), glimpses(torch.rand(2, 12, 12) * 255).double()
    first, second, third = (each for each in layer.layers if isinstance(each, torch.nn.Conv2d))
    quadrants = []
    for quadrant in range(4):
        fine = inputs[6 * quadrant + 1 : 6 * quadrant + 5]
        patches = torch.relu(fine @ first.weight.flatten(1).T + first.bias)
        joined = torch.einsum("pbi,oip->bo", patches, second.weight.flatten(2)) + second.bias
        quadrants.append(torch.relu(joined))
    whole = torch.relu(torch.einsum("pbi,oip->bo", torch.stack(quadrants), third.weight.flatten(2)) + third.bias)
    answer = layer(inputs)
    assert answer.outputs.shape == (24, 2, 5)
    for step in (0, 11, 23):
        torch.testing.assert_close(answer.outputs[step], whole)
    assert answer.state is None
    assert torch.equal(answer.cost, torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize(("joins", "layers"), [((2, 2), 3), ((4,), 2)])
@pytest.mark.parametrize("overlap", [False, True])
def test_it_has_the_layers_asked_for_and_learns_from_every_fine_glimpse(joins, layers, overlap):
    layer = PatchConvNet(144, 6, joins, overlap)
    assert sum(isinstance(each, torch.nn.Conv2d) for each in layer.layers) == layers
    inputs = torch.rand(24, 3, 144, requires_grad=True)
    outputs = layer(inputs).outputs
    assert outputs.shape == (24, 3, layer.output_size)
    (gradient,) = torch.autograd.grad(outputs[-1].sum(), inputs)
    assert (gradient.abs().sum((1, 2)) > 0).tolist() == 4 * [False, True, True, True, True, False]


@pytest.mark.parametrize("patch", [3, 4])
def test_overlapping_filters_move_by_a_pixel_and_the_best_place_in_a_patch_counts(patch):
    layer, picture = PatchConvNet(patch * patch, 2, overlap=True), torch.rand(4 * patch, 4 * patch)
    (_, filters, *_), before = layer.layers, (patch - 1) // 2
    padded = torch.nn.functional.pad(picture, (patch, patch, patch, patch))
    expected = torch.zeros(2, 4, 4)
    for y, x in product(range(4 * patch), repeat=2):
        top, left = y + patch - before, x + patch - before
        window = padded[top : top + patch, left : left + patch]
        response = torch.relu((filters.weight[:, 0] * window).sum((1, 2)) + filters.bias)
        place = (slice(None), y // patch, x // patch)
        expected[place] = torch.maximum(expected[place], response)
    seen = layer.layers[:4](picture_of(glimpses(255 * picture.unsqueeze(0))))
    torch.testing.assert_close(seen.squeeze(0), expected)


@pytest.mark.parametrize("options", [{"input_size": 50}, {"input_size": 0}, {"joins": (2, 3)}, {"joins": ()}])
def test_bad_options_are_refused_in_one_sentence(options):
    with pytest.raises(ValueError, match=rf"^{next(iter(options))} is .*; it must [^.]*\.$"):
        PatchConvNet(**({"input_size": 49, "hidden_size": 4} | options))


def test_it_takes_whole_pictures_and_no_state():
    layer = PatchConvNet(49, 4)
    with pytest.raises(ValueError, match=r"^The sequence has 12 glimpses; it must have 24, a whole picture\.$"):
        layer(torch.zeros(12, 2, 49))
    with pytest.raises(ValueError, match=r"^A PatchConvNet takes no state; give it the whole picture in one call\.$"):
        layer(torch.zeros(24, 2, 49), state=())
