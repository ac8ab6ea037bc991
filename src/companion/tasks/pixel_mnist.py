"""Pixel MNIST: read a digit one pixel at a time, then name it.

    input    0.00  0.00  0.37  0.99  …  0.00      784 steps of one pixel (196 when pooled to 14 × 14)
    target                                 5      one of ten classes, after the last

With `permuted=True` the pixels come in one fixed random order, the same for all digits and runs, so that neighbours in
time are not neighbours in the image.

Source: Le, Jaitly and Hinton 2015; used by Ke et al. 2018.
"""

from torch import Tensor

from companion import data
from companion.tasks.pixel_by_pixel import PixelByPixel

SIDE = 28


class PixelMNIST(PixelByPixel):
    """Name a digit after reading its pixels one by one.

    Args:
        pool: side of the square of pixels that is averaged into one; 1, 2, 4 or 7 (2 gives 14 × 14).
        permuted: whether the pixels come in one fixed random order.
        source: "excerpt", the committed 10,000 + 2,000 digits, or "full", all 60,000 + 10,000.
        validation_size: digits taken off the end of the training set for validation.

    Inputs are (time, batch, 1), grey values in [0, 1]. Targets are (batch,), the class. The loss is its cross-entropy.
    Metrics: `accuracy` and `loss`. The best blind guess is chance.

    Raises:
        ValueError: an unknown source, or a pool that does not divide the side.
        companion.data.DataError: the digits cannot be had; the message says why.
    """

    input_size = 1

    def __init__(self, pool: int = 1, permuted: bool = True, source: str = "excerpt", validation_size: int = 1000):
        sources = {"excerpt": data.mnist_excerpt, "full": data.mnist}
        if source not in sources:
            raise ValueError(f"source is {source!r}; it must be 'excerpt' or 'full'.")

        def read(split: str) -> tuple[Tensor, Tensor]:
            images, classes = sources[source](split)
            return images.unsqueeze(1), classes

        super().__init__(read, SIDE, pool, validation_size, permuted)
