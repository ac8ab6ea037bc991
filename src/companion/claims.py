"""What the papers claim, judged by the recorded runs: claims.toml in, verdicts by rule out."""

import tomllib
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from companion import runs
from companion.marks import budget, ended_by_goal, judged, still_falling
from companion.prose import first_reached
from companion.records import Record, RecordError, label
from companion.training import HIGHER_IS_BETTER, Number

__all__ = ["Claim", "Finding", "Verdict", "judge", "load", "verdicts"]

ENOUGH = 3  # seeds
NEVER = float("inf")  # the updates to a goal that was not reached


class Verdict(StrEnum):
    """What the recorded runs say of a claim, best first."""

    REPRODUCED = "reproduced"  # on all seeds, three or more, of the claim's size
    SMALLER = "holds smaller"  # on all seeds, three or more, of a reduced size
    MIXED = "mixed"  # on some of three or more seeds
    NOT_FOUND = "not found"  # on none of three or more seeds
    THIN = "thin"  # fewer than three seeds, or failing ones that still got better when their updates ended
    NOT_RUN = "not run"

    @property
    def symbol(self) -> str:
        """One sign, so that no reader has to tell colours apart."""
        return dict(zip(Verdict, "●◐▲✕○–", strict=True))[self]


@dataclass(frozen=True)
class Claim:
    """One table of claims.toml, see there. `source` is empty if the claim is ours."""

    claim: str
    experiment: str
    model: str
    metric: str
    criterion: dict[str, Any]
    profile: str
    updates: int
    source: str = ""
    setting: str = ""
    at: int | None = None
    smaller: dict[str, Any] = field(default_factory=dict)

    @property
    def part(self) -> str:
        """Whose claim it is: "remind", "attend", "ponder", or "ours"."""
        return self.experiment.partition("/")[0] if self.source else "ours"


@dataclass(frozen=True)
class Seed:
    """A claim on one seed: its number, those it is compared with, whether it holds, and if not, whether it may yet."""

    seed: int
    value: Number
    others: tuple[Number, ...]
    holds: bool
    may_yet: bool


@dataclass(frozen=True)
class Finding:
    """A claim with its verdict: the seeds that decide it, of which profile, how many updates and which model.

    `at_full` is the number of seeds of the claim's own size, also where a reduced size decides.
    """

    claim: Claim
    verdict: Verdict
    seeds: tuple[Seed, ...]
    profile: str
    updates: int
    label: str
    at_full: int

    @property
    def full_size(self) -> bool:
        """Whether these seeds are of the size that the claim is about."""
        return self.profile == self.claim.profile and self.updates >= self.claim.updates


def _file() -> dict[str, Any]:
    """claims.toml, parsed.

    Raises:
        RecordError: it cannot be read.
    """
    path = runs.results_folder() / "claims.toml"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise RecordError(f"{path} cannot be read ({reason}); restore it from the repository.") from None


def load() -> list[Claim]:
    """All claims, those of the papers first, in the order of the file.

    Raises:
        RecordError: the file cannot be read, or a claim lacks a key or has one that no claim has.
    """
    tables, known = _file(), {each.name for each in fields(Claim)}
    needed = {each.name for each in fields(Claim) if each.default is MISSING and each.default_factory is MISSING}
    claims = []
    for table in [*tables.get("claim", []), *tables.get("ours", [])]:
        try:
            claims.append(Claim(**table))
        except TypeError:
            odd = sorted(set(table) - known) or sorted(needed - set(table))
            raise RecordError(
                f"The claim {table.get('claim', '')!r} is not whole (see {', '.join(odd)}); its keys stand at the head "
                "of claims.toml."
            ) from None
    return claims


def smaller_size(experiment: str) -> str:
    """What the laptop profile of an experiment reduces, in words; empty if the updates alone."""
    return _file()["smaller_size"].get(experiment, "")


def blind_guess(experiment: str, metric: str, profile: str) -> float | None:
    """The best that can be scored without the mechanism, or None if that is no number of this metric."""
    return _file()["blind_guess"].get(experiment, {}).get(metric, {}).get(profile)


def verdicts(experiment: str | None = None) -> list[Finding]:
    """Every claim with its verdict, or those of an experiment."""
    recorded: dict[str, list[Record]] = {}
    claims = [claim for claim in load() if experiment in (None, claim.experiment)]
    for claim in claims:
        recorded.setdefault(claim.experiment, runs.load_all(claim.experiment))
    return [judge(claim, recorded[claim.experiment]) for claim in claims]


def judge(claim: Claim, records: list[Record]) -> Finding:
    """A claim's verdict by the records of its experiment.

    Three seeds of the claim's size decide. Where there are fewer, three of the largest reduced size do, unless those of
    the full size say something else: then, as where there are no three seeds of any size, the verdict is `THIN`.
    """
    labels = {record.model: label(record) for record in records}

    def finding(verdict: Verdict, size: tuple[str, int], seeds: list[Seed]) -> Finding:
        model = asked(claim, size[0]).model
        return Finding(claim, verdict, tuple(seeds), *size, labels.get(model, model), len(at_full))

    full = (claim.profile, claim.updates)
    found = {size: seeds for size in sizes(claim, records) if (seeds := on_seeds(claim, records, *size))}
    at_full = found.get(full, [])
    if len(at_full) >= ENOUGH:
        return finding(by_count(at_full, Verdict.REPRODUCED), full, at_full)
    size, seeds = next(((size, seeds) for size, seeds in found.items() if len(seeds) >= ENOUGH), (full, []))
    if seeds and (not at_full or share(at_full) == share(seeds)):
        verdict = by_count(seeds, Verdict.SMALLER)
        return finding(Verdict.THIN if any(seed.may_yet for seed in seeds) else verdict, size, seeds)
    if found:
        return finding(Verdict.THIN, *next(iter(found.items())))
    return finding(Verdict.NOT_RUN, full, [])


def share(seeds: list[Seed]) -> float:
    """1 if the claim holds on all seeds, 0 if on none, else a half."""
    held = {seed.holds for seed in seeds}
    return 0.5 if len(held) > 1 else float(held.pop())


def by_count(seeds: list[Seed], on_all: Verdict) -> Verdict:
    """The verdict of three or more seeds."""
    return {1.0: on_all, 0.5: Verdict.MIXED, 0.0: Verdict.NOT_FOUND}[share(seeds)]


def asked(claim: Claim, profile: str) -> Claim:
    """The claim as it is put to runs of a profile: a smaller one may have another model and criterion."""
    return claim if profile == claim.profile else replace(claim, **claim.smaller)


def sizes(claim: Claim, records: list[Record]) -> list[tuple[str, int]]:
    """The profiles and budgets in which the claim's model was run, the claim's own first, then the largest."""
    found = {(claim.profile, claim.updates)}
    for record in records:
        if record.model == asked(claim, record.profile).model:
            most = claim.updates if record.profile == claim.profile else budget(record)
            found.add((record.profile, min(budget(record), most)))
    return sorted(found, key=lambda size: (size[0] != claim.profile, -size[1]))


def on_seeds(claim: Claim, records: list[Record], profile: str, updates: int) -> list[Seed]:
    """The claim on each seed whose runs, its model's and those it is compared with, are all of a size.

    A run of more updates counts at the claim's own size, and one that ended by its goal at any that it needed less for.
    """
    put = asked(claim, profile)

    def of_size(record: Record) -> bool:
        full = profile == claim.profile and updates == claim.updates
        enough = budget(record) >= updates if full else budget(record) == updates
        return record.profile == profile and (enough or (ended_by_goal(record) and record.steps <= updates))

    rows: dict[str, dict[int, Record]] = {}
    for record in filter(of_size, records):
        rows.setdefault(record.model, {})[record.seed] = record
    ours, *theirs = (rows.get(model, {}) for model in (put.model, *compared(put.criterion)))
    whole = [seed for seed in sorted(ours) if all(seed in row for row in theirs)]
    found = [tested(put, ours[seed], [row[seed] for row in theirs]) for seed in whole]
    return [seed for seed in found if seed]


def compared(criterion: dict[str, Any]) -> list[str]:
    """The models that a criterion compares with."""
    ((kind, limit),) = criterion.items()
    if kind == "sooner":
        return limit["than"]
    return list(limit) if kind in ("above", "below", "near") else []


HOLDS: dict[str, Callable[[Number, Any, list[Number]], bool]] = {
    "at_least": lambda value, limit, _: value >= limit,
    "at_most": lambda value, limit, _: value <= limit,
    "above": lambda value, _, others: value > max(others),
    "below": lambda value, _, others: value < min(others),
    "near": lambda value, limits, others: all(
        abs(value - other) <= limit for other, limit in zip(others, limits.values(), strict=True)
    ),
    "above_at": lambda value, _, others: value > others[0],
    "at_most_at": lambda value, _, others: value <= others[0],
    "sooner": lambda value, _, others: value < min(others),
}


def tested(claim: Claim, record: Record, others: list[Record]) -> Seed | None:
    """The claim on one seed, or None if the runs did not measure it."""
    ((kind, limit),) = claim.criterion.items()
    if kind == "sooner":
        value, *beside = (first or NEVER for first in first_reached([record, *others], limit["goal"]))
    else:
        value, *beside = (measured(run, claim.metric, claim.at) for run in (record, *others))
        if kind in ("above_at", "at_most_at"):
            beside = [measured(record, claim.metric, limit)]
    if value is None or None in beside:
        return None
    holds = HOLDS[kind](value, limit, beside)
    wanted = {"at_least": True, "above": True, "at_most": False, "below": False}.get(kind)
    better = wanted is not None and wanted == (claim.metric.partition("_by_")[0] in HIGHER_IS_BETTER)
    may_yet = better and not holds and still_falling(record, judged(record, claim.metric))
    return Seed(record.seed, value, tuple(beside), holds, may_yet)


def measured(record: Record, metric: str, at: int | None) -> Number | None:
    """A number of the test set, or one place of a list of them."""
    value = record.metrics.get(metric)
    return value[at] if isinstance(value, list) else value
