"""The ConvNet of the glimpse experiments: it has the same patches, but sees all of them at once."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion import checks
from companion.answer import Answer
from companion.layer import Layer
from companion.precision import exact

PATCHES = 4  # fine patches along a side of the picture


def picture_of(inputs: Float[Tensor, "time batch pixels"]) -> Float[Tensor, "batch 1 side side"]:
    """The picture that the sixteen fine glimpses make, (batch, 1, side, side).

    The glimpses are four quadrants of six, each in reading order: coarse, four fine, coarse again. The coarse ones are
    averages of the fine ones and hold nothing more.

    Raises:
        ValueError: not 24 glimpses.
    """
    if len(inputs) != 24:
        raise ValueError(f"The sequence has {len(inputs)} glimpses; it must have 24, a whole picture.")
    patch = math.isqrt(inputs.shape[2])
    fine = inputs.unflatten(0, (2, 2, 6))[:, :, 1:5]
    squares = fine.unflatten(2, (2, 2)).unflatten(5, (patch, patch))  # rows and columns: quadrant, patch, pixel
    return squares.permute(4, 0, 2, 5, 1, 3, 6).reshape(-1, 1, PATCHES * patch, PATCHES * patch)


class PatchConvNet(Layer):
    """The ConvNet that sees all patches of a picture at once; each layer after the first joins neighbours.

    Args:
        input_size: pixels of a glimpse, a square number.
        hidden_size: feature maps of every layer, as many as the recurrent networks have units.
        joins: what the layers after the first join, as sides of squares; their product is 4. (2, 2) makes three layers,
            for a patch, a quadrant and the picture; (4,) makes two, for a patch and the picture.
        overlap: False moves the first layer's filters by a whole patch, so that they see the patches of the others and
            nothing between them. True moves them by a pixel, and pools each map to one number a patch.
        device, dtype: of the weights, as torch's own layers take them.

    Call it with all 24 glimpses of a picture, (24, batch, input_size). It sees the picture at once, so the outputs are
    the same at every step, (24, batch, hidden_size); it has no state, and the answer's is None.

    Raises:
        ValueError: a glimpse that is no square, a hidden size that is no whole number from 1 on, joins whose product is
            not 4; in a call, inputs of another shape, a state, or other than 24 glimpses.

    Source: the "ConvNet" of Ba et al. 2016, Tables 2 and 3. The paper says that it has three layers and uses the same
    patches (digits), or two layers and receptive fields of 12 × 12 (faces). It leaves open what the layers after the
    first see, whether filters overlap, pooling, and what a "feature" of the tables is; ours is a feature map.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        joins: tuple[int, ...] = (2, 2),
        overlap: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        super().__init__()
        checks.whole(input_size=input_size, hidden_size=hidden_size)
        patch = math.isqrt(input_size)
        if patch * patch != input_size or not patch:
            raise ValueError(f"input_size is {input_size}; it must be a square number, the pixels of a square glimpse.")
        if math.prod(joins) != PATCHES or min(joins, default=0) < 1:
            raise ValueError(f"joins is {joins}; it must have the product 4, the patches along a side.")
        self.hidden_size = self.output_size = hidden_size
        self.pixels, where = int(input_size), {"device": device, "dtype": dtype}
        if overlap:
            margin = nn.ZeroPad2d(2 * ((patch - 1) // 2, patch // 2))  # a filter for every pixel
            layers = [margin, nn.Conv2d(1, hidden_size, patch, **where), nn.ReLU(), nn.MaxPool2d(patch)]
        else:
            layers = [nn.Conv2d(1, hidden_size, patch, stride=patch, **where), nn.ReLU()]
        for side in joins:
            layers += [nn.Conv2d(hidden_size, hidden_size, side, stride=side, **where), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, inputs: Float[Tensor, "time batch pixels"], state: Any = None) -> Answer:
        if state is not None:
            raise ValueError("A PatchConvNet takes no state; give it the whole picture in one call.")
        checks.sequence(inputs, self.pixels)
        features = self.layers(picture_of(inputs))
        return Answer(features.expand(len(inputs), -1, -1), None, exact(inputs).new_zeros(inputs.shape[1]), {})
