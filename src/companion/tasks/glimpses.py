"""Name a picture that is read in 24 glimpses, in an order that is fixed beforehand.

    a picture is four quadrants           and is read quadrant after quadrant, six glimpses each
    ┌─────┬─────┐
    │ 1 2 │     │                         coarse   the quadrant, averaged down to the size of a patch
    │ 3 4 │     │                         fine 1, fine 2, fine 3, fine 4
    ├─────┼─────┤                         coarse   the same again
    │     │     │
    │     │     │                         4 × 6 = 24
    └─────┴─────┘

A digit of 28 × 28 pixels has quadrants of 14 × 14 and patches of 7 × 7; a face of 48 × 48 has quadrants of 24 × 24 and
patches of 12 × 12. No glimpse says where it was taken, or at which scale: its place in the sequence says both.

Source: Ba et al. 2016, section 4.2 and Figure 3. The text has 24 glimpses at two scales, and four coarse patches with
sixteen fine ones are 20. The figure shows one and the same coarse patch before and after four fine ones: that makes 24.
The order of the quadrants, and of the patches in one, is not printed; here it is that of reading: top left, top right,
bottom left, bottom right. How a quadrant is averaged down is not printed either; here it is by squares of 2 × 2 pixels.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from companion.tasks.task import Batch, Task

QUADRANTS, PER_QUADRANT = 4, 6
GLIMPSES = QUADRANTS * PER_QUADRANT


def glimpses(pictures: Tensor) -> Float[Tensor, "24 pictures pixels"]:
    """Cut each picture into its 24 glimpses.

    Args:
        pictures: (pictures, side, side), grey levels 0 to 255.

    Returns:
        Glimpses (24, pictures, patch · patch), values in [0, 1]; a patch has a quarter of the picture's side.

    Raises:
        ValueError: a picture that is not square, or a side that four does not divide.
    """
    count, side, width = pictures.shape
    if side != width or side % 4 or not side:
        raise ValueError(f"A picture has {side} × {width} pixels; it must be square, with a side that 4 divides.")
    patch, levels = side // 4, pictures.float() / 255
    # Row and column each fall into (quadrant, patch, pixel): the quadrants come first, then the patches.
    fine = levels.reshape(count, 2, 2, patch, 2, 2, patch).permute(1, 4, 2, 5, 0, 3, 6).reshape(4, 4, count, -1)
    halved = functional.avg_pool2d(levels.unsqueeze(1), 2)
    coarse = halved.reshape(count, 2, patch, 2, patch).permute(1, 3, 0, 2, 4).reshape(4, 1, count, -1)
    return torch.cat([coarse, fine, coarse], dim=1).flatten(0, 1)


class Glimpses(Task):
    """Name a picture after its 24 glimpses; what the tasks on digits and on faces have in common.

    Args:
        splits: pictures (n, side, side), levels 0 to 255, and classes (n,) of "train", "validation" and "test".
        classes: how many classes there are.

    Inputs are (24, batch, patch · patch), grey values in [0, 1]. Targets are (batch,), the class. The loss is its
    cross-entropy. Metrics: `error` and `loss`.

    The best blind guess sees no glimpse, and knows how frequent the classes are among the training pictures: its error
    on the test set is that of naming the most frequent one, its loss that of guessing by those shares.

    Raises:
        ValueError: pictures that cannot be cut into glimpses, or a split without pictures.
    """

    answers_at_end = True
    names = {"error": "error rate", "loss": "cross-entropy (nats)"}

    def __init__(self, splits: dict[str, tuple[Tensor, Tensor]], classes: int):
        self.splits = {}
        for split, (pictures, targets) in splits.items():
            if not len(targets):
                raise ValueError(f"The split {split!r} is empty; it must have at least one picture.")
            self.splits[split] = Batch(glimpses(pictures), targets)
        self.input_size, self.output_size = self.splits["train"].inputs.shape[2], classes
        counts = torch.bincount(self.splits["train"].targets, minlength=classes).double()
        shares = (counts + 1) / (counts + 1).sum()  # one more of each, so that none is thought impossible
        targets = self.splits["test"].targets
        self.chance = {"error": 1 - 1 / classes, "loss": math.log(classes)}
        self.blind_guess = {
            "error": (targets != shares.argmax()).double().mean().item(),
            "loss": -shares[targets].log().mean().item(),
        }

    def batch(self, generator: torch.Generator, size: int) -> Batch:
        sequences, classes = self.splits["train"]
        chosen = torch.randint(len(classes), (size,), generator=generator)
        return Batch(sequences[:, chosen], classes[chosen])

    def held_out(self, split: str) -> Batch:
        if split not in self.splits:
            raise ValueError(f"split is {split!r}; it must be one of {', '.join(self.splits)}.")
        return self.splits[split]

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(predictions, targets, reduction="none")

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        wrong = predictions.argmax(1) != targets
        return {"error": wrong.float(), "loss": self.loss(predictions, targets)}
