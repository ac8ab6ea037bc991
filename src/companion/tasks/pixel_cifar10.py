"""Pixel CIFAR-10: read a picture one pixel at a time, row after row, then name what it shows.

    red      0.23  0.17  0.20  …  0.48
    green    0.24  0.18  0.19  …  0.33      1024 steps of one pixel (256 when pooled to 16 × 16)
    blue     0.25  0.17  0.16  …  0.28
    target                           6      one of ten classes, after the last

Source: Ke et al. 2018, sequential CIFAR-10, with pictures of Krizhevsky 2009. Whether the paper's pixels have three
colours, as in Trinh et al. 2018, or are grey is not known to us.
"""

from typing import ClassVar

import torch
from torch import Tensor

from companion import checks, data
from companion.data.pictures import SIDE, evenly
from companion.tasks.pixel_by_pixel import CLASSES, PixelByPixel

COLOURS = {"rgb": 3, "grey": 1}
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue, ITU-R BT.601
TRAINING, TEST = 50_000, 10_000


class PixelCIFAR10(PixelByPixel):
    """Name a picture after reading its pixels one by one.

    Args:
        pool: side of the square of pixels that is averaged into one; a divisor of 32 (2 gives 16 × 16).
        colour: "rgb", three numbers a step, or "grey", one.
        source: "exact", the published set, or "jpeg", its lossy copy; results on the copy are called "CIFAR-10 (JPEG
            copy)", and `set_name` says so.
        training_size, test_size: pictures to train on and to test on; None takes all that there are.
        validation_size: training pictures kept for validation. All three sizes are multiples of ten, and each set has
            as many pictures of one class as of another.

    Inputs are (time, batch, 3) or (time, batch, 1), values in [0, 1]. Targets are (batch,), the class. The loss is its
    cross-entropy. Metrics: `accuracy` and `loss`. The best blind guess is chance.

    Raises:
        ValueError: an unknown colour or source, a pool that does not divide the side, or a size out of range.
        companion.data.DataError: the pictures cannot be had; the message says why.
    """

    sets: ClassVar[dict[str, str]] = {"exact": "CIFAR-10", "jpeg": "CIFAR-10 (JPEG copy)"}

    def __init__(
        self,
        pool: int = 1,
        colour: str = "rgb",
        source: str = "exact",
        training_size: int | None = None,
        test_size: int | None = None,
        validation_size: int = 1000,
    ):
        if source not in self.sets:
            raise ValueError(f"source is {source!r}; it must be 'exact' or 'jpeg'.")
        if colour not in COLOURS:
            raise ValueError(f"colour is {colour!r}; it must be 'rgb' or 'grey'.")
        training_size = TRAINING - validation_size if training_size is None else training_size
        test_size = TEST if test_size is None else test_size
        sizes = {"validation_size": validation_size, "training_size": training_size, "test_size": test_size}
        most = {"validation_size": TRAINING - 10, "training_size": TRAINING - validation_size, "test_size": TEST}
        for name, size in sizes.items():
            checks.whole(**{name: size})
            if size % CLASSES or not 0 < size <= most[name]:
                raise ValueError(f"{name} is {size}; it must be a multiple of ten from 10 to {most[name]}.")
        self.input_size = COLOURS[colour]
        self.set_name = self.sets[source]
        wanted = {"train": training_size + validation_size, "test": test_size}

        def read(split: str) -> tuple[Tensor, Tensor]:
            if source == "jpeg":
                pictures, classes = data.cifar10_jpeg(split, wanted[split])
            else:
                pictures, classes = data.cifar10(split)
                chosen = evenly(classes, wanted[split])
                pictures, classes = pictures[chosen], classes[chosen]
            if colour == "grey":
                pictures = torch.einsum("ncyx,c->nyx", pictures.float(), torch.tensor(LUMINANCE)).unsqueeze(1)
            return pictures, classes

        super().__init__(read, SIDE, pool, validation_size)
