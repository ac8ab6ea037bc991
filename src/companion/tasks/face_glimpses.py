"""Faces in glimpses: read a face in 24 patches of 12 × 12 pixels, then say what its expression is.

    glimpse   coarse  fine  fine  fine  fine  coarse   …   coarse  fine  fine  fine  fine  coarse
    target                                                                                  smile

Whoever is tested was never seen in training: the people are dealt into folds, and a fold is tested by a network that
has learned from the others.

Source: Ba et al. 2016, section 4.3, on CMU Multi-PIE, with 317 people to train on and 20 to test on. That set
needs a paid licence. The free sets here are smaller and ask easier questions: a score on one is no score on Multi-PIE.
"""

import math
from typing import ClassVar

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from companion import checks, data
from companion.data.faces import NAMES, SOURCES, check_source
from companion.tasks.glimpses import Glimpses
from companion.tasks.task import seeded

VALIDATION_EVERY = 5  # of the people who are not tested, each fifth is for validation


def by_person(people: Int64[Tensor, " n"], fold: int, folds: int) -> dict[str, Bool[Tensor, " n"]]:
    """Which pictures are for training, validation and test; no person is in two of them.

    The people are shuffled once, in one fixed order, and dealt into folds like cards. Of those who are not in the fold
    that is tested, each fifth is for validation.

    Args:
        people: a number for each person, (n,).
        fold: which to test on, from 1.
        folds: how many there are, at least 2.

    Returns:
        Masks (n,) of "train", "validation" and "test".

    Raises:
        ValueError: fewer than two folds, more folds than people, or a fold that does not exist.
    """
    everyone = people.unique()
    checks.whole(2, len(everyone), folds=folds)
    checks.whole(1, folds, fold=fold)
    dealt = everyone[torch.randperm(len(everyone), generator=seeded("train", 0))]
    tested = torch.arange(len(everyone)) % folds == fold - 1
    others = dealt[~tested]
    groups = {"test": dealt[tested], "validation": others[::VALIDATION_EVERY]}
    masks = {split: torch.isin(people, group) for split, group in groups.items()}
    return {"train": ~(masks["test"] | masks["validation"])} | masks


class FaceGlimpses(Glimpses):
    """Say what a face shows after its 24 glimpses.

    Args:
        source: "london", smile or none, "cmu-pose" or "cmu-sunglasses", or "multi-pie", your own copy of the paper's
            set; see `companion.data.face_set`.
        fold: which fold of people is tested, from 1.
        folds: how many folds there are.

    Inputs are (24, batch, 144), grey values in [0, 1]. Targets are (batch,), the class. The loss is its cross-entropy.
    Metrics: `accuracy` and `loss`. The best blind guess is always the class that is most frequent in training.

    Raises:
        ValueError: an unknown source, or a fold that does not exist.
        companion.data.DataError: the faces cannot be had; the message says why.
    """

    sets: ClassVar[dict[str, str]] = NAMES
    names = {"accuracy": "accuracy", "loss": "cross-entropy (nats)"}

    def __init__(self, source: str = "london", fold: int = 1, folds: int = 3):
        pictures, classes, people, names = data.face_set(source)
        masks = by_person(people, fold, folds)
        super().__init__({split: (pictures[mask], classes[mask]) for split, mask in masks.items()}, len(names))
        self.set_name = self.sets[source]
        self.people = {split: len(people[mask].unique()) for split, mask in masks.items()}
        self.chance, self.blind_guess = (
            {"accuracy": 1 - scores["error"], "loss": scores["loss"]} for scores in (self.chance, self.blind_guess)
        )

    @staticmethod
    def chance_of(source: str) -> dict[str, float]:
        """The metrics of a uniform guess, which need no faces.

        Raises:
            ValueError: an unknown source.
        """
        check_source(source)
        classes = len(SOURCES[source])
        return {"accuracy": 1 / classes, "loss": math.log(classes)}

    def metrics(self, predictions: Tensor, targets: Tensor) -> dict[str, Tensor]:
        right = predictions.argmax(1) == targets
        return {"accuracy": right.float(), "loss": self.loss(predictions, targets)}
