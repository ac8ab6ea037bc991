"""Sentences whose numbers come from the recorded runs.

A cell of a notebook that ends in `say(...)` is a paragraph in Jupyter, on Colab and in the book. Its template has the
words, and each number of ours is a value that is computed from records, for instance

    say("SAB solves it {where}.", where=solved(sab, {"accuracy": 0.99}))

which reads "SAB solves it on all three seeds, after 3,000 to 5,200 updates." A row is the list of records of its seeds.
"""

import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from companion.marks import ended_by_goal
from companion.records import Record
from companion.training import HIGHER_IS_BETTER, Number, reached

Row = list[Record]
WORDS = "no one two three four five six seven eight nine ten eleven twelve".split()
UNITS = {"day": 86_400, "hour": 3600, "minute": 60, "second": 1}
NOT_RECORDED = "(not recorded)"


class Markdown(str):
    """Text that a notebook shows as Markdown."""

    def _repr_markdown_(self) -> str:
        return self


def say(template: str, **values: Any) -> Markdown:
    """A sentence whose numbers are computed: the template with its {values} filled in.

    It is shown as a paragraph, or as a list if its lines begin with stars.

    Indentation that all lines share is dropped, so that a template may stand indented between triple quotes. A brace
    that is to be seen, as in a formula, is written twice.

    Raises:
        ValueError: a value is missing.
    """
    try:
        return Markdown(textwrap.dedent(template).strip().format(**values))
    except (KeyError, IndexError) as error:
        raise ValueError(f"The sentence has a place for {error} and no value; give it to say by that name.") from None


# Words for how many


def word(number: int) -> str:
    """A number in words, such as "three", or "15"; none is "no"."""
    return WORDS[number] if number < len(WORDS) else f"{number:,}"


def count(number: int, noun: str) -> str:
    """How many there are, such as "one seed", "three seeds", "15 seeds" or "no seed"."""
    return f"{word(number)} {noun}{'s' * (number > 1)}"


def seeds(row: Row) -> str:
    """How many seeds are recorded: "three seeds"."""
    return count(len({record.seed for record in row}), "seed")


def how_many(hits: Iterable[Any], noun: str = "seed") -> str:
    """How many of all are hits: "all three seeds", "both seeds", "the one seed", "two of three seeds", "no seed".

    A hit is what is true, such as the update of `first_reached`; None and False are none.
    """
    hits = [bool(hit) for hit in hits]
    found, every = sum(hits), len(hits)
    if not found:
        return count(0, noun) if every < 2 else f"none of {count(every, noun)}"
    if found < every:
        return f"{word(found)} of {count(every, noun)}"
    return {1: f"the one {noun}", 2: f"both {noun}s"}.get(every, f"all {count(every, noun)}")


def listing(names: Iterable[str]) -> str:
    """Names as a sentence lists them: "A, B and C", or "none"."""
    *before, last = list(names) or ["none"]
    return f"{', '.join(before)} and {last}" if before else last


def capital(words: str) -> str:
    """With a capital, to begin a sentence."""
    return words[:1].upper() + words[1:]


# Words for how much; each takes one number, or those of several seeds, and then gives their range


def span(values: Number | Iterable[Number | None], write: Callable[[Number], str], unit: str = "") -> str:
    """The least and the most value, as written, with the unit said once; one where both are written alike.

    None is left out, and if nothing is left the words are "(not recorded)".
    """
    values = [values] if isinstance(values, int | float) else [value for value in values if value is not None]
    if not values:
        return NOT_RECORDED
    ends = list(dict.fromkeys(write(value) for value in (min(values), max(values))))
    return " to ".join(ends) + unit


def significant(value: Number, digits: int = 2) -> str:
    """So many digits from the first that is not zero on, all that stand before the point, and no zeros at the end."""
    if not math.isfinite(value) or not value:
        return f"{value:.0f}"
    places = digits - 1 - math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    written = f"{value:,.{max(0, places)}f}"
    return written.rstrip("0").rstrip(".") if places > 0 else written


def number(values: Number | Iterable[Number | None], digits: int = 2) -> str:
    """A number, or the least and the most of several, such as "3.1" or "3.1 to 3.4"."""
    return span(values, lambda value: significant(value, digits))


def percent(shares: Number | Iterable[Number | None]) -> str:
    """A share of one as "1.2 %" or "0.9 to 1.7 %"; near the whole with the digits of what it lacks, as in "99.96 %"."""

    def write(share: Number) -> str:
        lacking = significant(100 * min(share, 1 - share)) if 0 < share < 1 else ""
        return f"{100 * share:.{len(lacking.partition('.')[2])}f}"

    return span(shares, write, " %")


def updates(steps: Number | Iterable[Number | None]) -> str:
    """How many updates, such as "3,000" or "3,000 to 5,200"."""
    return span(steps, lambda step: f"{step:,.0f}")


def duration(seconds: Number | Iterable[Number | None]) -> str:
    """How long, in the largest unit that is filled: "23 minutes", "2 to 4 days" or "50 seconds to 3 hours"."""

    def write(time: Number) -> str:
        unit = next((unit for unit, length in UNITS.items() if time >= length), "second")
        amount = significant(time / UNITS[unit])
        return f"{amount} {unit}{'s' * (amount != '1')}"

    least, to, most = span(seconds, write).partition(" to ")
    same = least.split()[-1].rstrip("s") == most.split()[-1].rstrip("s") if to else False
    return f"{least.split()[0]} to {most}" if same else least + to + most


# What a row says


def of(records: list[Record], model: str, profile: str | None = None) -> Row:
    """The runs of a model."""
    return [record for record in records if record.model == model and profile in (None, record.profile)]


def values(row: Row, metric: str) -> list[Number]:
    """The metric on the test set, a number for each seed that has it."""
    return [record.metrics[metric] for record in row if metric in record.metrics]


def first_reached(row: Row, goal: dict[str, Number]) -> list[int | None]:
    """For each run the updates after which a look at the validation set first reached the goal, or None."""
    return [next((look["step"] for look in record.history if reached(look, goal)), None) for record in row]


def solved(row: Row, goal: dict[str, Number]) -> str:
    """How many seeds reached the goal, and when.

    Such as "on two of three seeds, after 3,000 to 5,200 updates" or "on none of three seeds in 14,000 updates".
    """
    when = first_reached(row, goal)
    if any(when):
        return f"on {how_many(when)}, after {updates(when)} updates"
    return f"on {how_many(when)} in {updates(record.steps for record in row)} updates"


def unfinished(row: Row) -> str:
    """How many of the runs used up their updates before they reached their goal: "all three seeds"."""
    return how_many(not ended_by_goal(record) for record in row)


# What two rows say of each other


def standing(row: Row, other: Row, metric: str) -> str:
    """ "ahead" or "behind" if the seeds can tell, else "level" or "one seed".

    They can if both rows have more than one, and the means differ by more than the seeds of either row do.
    """
    ours, theirs = values(row, metric), values(other, metric)
    if min(len(ours), len(theirs)) < 2:
        return "one seed"
    gap = sum(ours) / len(ours) - sum(theirs) / len(theirs)
    if not abs(gap) > max(max(ours) - min(ours), max(theirs) - min(theirs)):
        return "level"
    return "ahead" if (gap > 0) == (metric in HIGHER_IS_BETTER) else "behind"


def ahead(row: Row, other: Row, metric: str) -> str:
    """What may be said between "A is" and "B": "ahead of", "behind", or that these runs cannot tell."""
    return {
        "ahead": "ahead of",
        "behind": "behind",
        "level": "no different, as far as the seeds can tell, from",
        "one seed": "not yet comparable, with fewer than two seeds, to",
    }[standing(row, other, metric)]


def first(rows: dict[str, Row], metric: str) -> str:
    """The label of the row that is ahead of every other, as `standing` tells, or "none that the seeds can tell"."""
    return foremost(rows, metric, "ahead")


def last(rows: dict[str, Row], metric: str) -> str:
    """The label of the row that is behind every other, as `standing` tells, or "none that the seeds can tell"."""
    return foremost(rows, metric, "behind")


def foremost(rows: dict[str, Row], metric: str, place: str) -> str:
    """The label of the row that stands at a place beside every other."""
    for label, row in rows.items():
        others: Sequence[Row] = [rows[other] for other in rows if other != label]
        if others and all(standing(row, other, metric) == place for other in others):
            return label
    return "none that the seeds can tell"
