"""The search over candidates: one rule for every model of the book."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from companion.training import Diverged, Number, Trainer

LONGEST = 15_000  # updates after which a search ends, even where no candidate has left the plateau
LEFT = 0.9  # of the plateau: a candidate below it has left it
BEYOND = 2  # learning rates that are tried at most beyond the edge of those that were given


@dataclass
class Tried:
    """A candidate of a search.

    Attributes:
        candidate: its choices, the learning rate among them.
        trainer: its training, which may go on.
        loss: what its task is judged by, on the validation set at the end of the search; None if it diverged, or if
            there was nothing to choose.
        steps: updates after which that was, fewer than were given if it reached the goal or diverged.
    """

    candidate: dict[str, Any]
    trainer: Trainer
    loss: Number | None = None
    steps: int = 0

    def look(self, steps: int, goal: dict[str, Number] | None, label: str) -> None:
        """Train up to `steps` updates and note the loss there. Where a checkpoint has gone on, look back."""
        try:
            if self.trainer.step < steps:
                self.trainer.run(steps, goal, label)
        except Diverged:
            self.loss, self.steps = None, self.trainer.step
            return
        looks = [look for look in self.trainer.history if look["step"] <= steps]
        self.loss, self.steps = looks[-1][self.trainer.task.judged_by], looks[-1]["step"]


def search(
    make: Callable[[dict[str, Any]], Trainer],
    candidates: list[dict[str, Any]],
    steps: int,
    most: int,
    goal: dict[str, Number] | None = None,
    label: str = "",
) -> list[Tried]:
    """Train all candidates for the same number of updates; `best` then says which is to go on.

    A search that ends on the plateau of its task would choose by chance. So it begins with `steps` updates for each
    candidate, and goes on to twice as many, and again, until one of them is a tenth below the plateau, or all have made
    15,000. If the best learning rate is then the smallest or the largest that was tried, half of it, or twice, is tried
    as well, at most two times.

    Args:
        make: gives the trainer of a candidate.
        candidates: what to try, at least one; of one nothing is searched, and nothing trained.
        steps: updates for each candidate, at first.
        most: updates that no candidate may exceed: those of the whole run.
        goal: metrics at which a candidate stops earlier.
        label: of the progress bars.

    Returns:
        What was tried, in this order.

    Raises:
        Diverged: all of them did.
    """
    tried = [Tried(candidate, make(candidate)) for candidate in candidates]
    if len(tried) == 1:
        return tried

    def look(each: Tried) -> None:
        each.look(steps, goal, f"{label} candidate {tried.index(each) + 1}/{len(tried)}")

    for each in tried:
        look(each)
    while best(tried).loss > LEFT * best(tried).trainer.task.plateau and steps < min(LONGEST, most):
        steps = min(2 * steps, LONGEST, most)
        for each in tried:
            look(each)
    for _ in range(BEYOND):
        if (further := beyond_edge(tried)) is None:
            break
        tried.append(Tried(further, make(further)))
        look(tried[-1])
    return tried


def best(tried: list[Tried]) -> Tried:
    """Choose from what `search` tried: the candidate with the least loss, or the only one.

    Raises:
        Diverged: all of them did.
    """
    going = [each for each in tried if not each.trainer.diverged]
    if not going:
        raise Diverged(tried[-1].trainer.diverged)
    return going[0] if len(tried) == 1 else min(going, key=lambda each: each.loss)


def beyond_edge(tried: list[Tried]) -> dict[str, Any] | None:
    """The best candidate with half its learning rate, or twice, if it is at the edge of those tried; else None."""
    rates = {each.candidate["learning_rate"] for each in tried}
    chosen = best(tried).candidate
    rate = chosen["learning_rate"]
    if len(rates) == 1 or min(rates) < rate < max(rates):
        return None
    return chosen | {"learning_rate": rate / 2 if rate == min(rates) else 2 * rate}
