"""Digits in glimpses: read a digit of MNIST in 24 patches of 7 × 7 pixels, then name it.

    glimpse   coarse  fine  fine  fine  fine  coarse   …   coarse  fine  fine  fine  fine  coarse
    target                                                                                      5

Source: Ba et al. 2016, section 4.2.
"""

from companion import checks, data
from companion.tasks.glimpses import Glimpses

CLASSES = 10


class DigitGlimpses(Glimpses):
    """Name a digit after its 24 glimpses.

    Args:
        source: "excerpt", the committed 10,000 + 2,000 digits, or "full", all 60,000 + 10,000.
        validation_size: digits taken off the end of the training set for validation.

    Inputs are (24, batch, 49), grey values in [0, 1]. Targets are (batch,), the class. The loss is its cross-entropy.
    Metrics: `error` and `loss`. The best blind guess is always a 1.

    Raises:
        ValueError: an unknown source, or a validation set that leaves nothing to train on.
        companion.data.DataError: the digits cannot be had; the message says why.
    """

    def __init__(self, source: str = "excerpt", validation_size: int = 1000):
        sources = {"excerpt": data.mnist_excerpt, "full": data.mnist}
        if source not in sources:
            raise ValueError(f"source is {source!r}; it must be 'excerpt' or 'full'.")
        pictures, classes = sources[source]("train")
        checks.whole(1, len(classes) - 1, validation_size=validation_size)
        cut = len(classes) - validation_size
        splits = {
            "train": (pictures[:cut], classes[:cut]),
            "validation": (pictures[cut:], classes[cut:]),
            "test": sources[source]("test"),
        }
        super().__init__(splits, CLASSES)
