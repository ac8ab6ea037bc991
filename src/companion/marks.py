"""What a table has to say of a run beside its number: words that warn where the number may yet move."""

from companion.records import Record
from companion.training import HIGHER_IS_BETTER, reached

EDGE, FEWER, FALLING = "rate at edge", "fewer updates", "still falling"


def ended_by_goal(record: Record) -> bool:
    """Whether the run ended because its last look at the validation set reached its goal."""
    return bool(record.history) and reached(record.history[-1], record.parameters.get("goal", {}))


def budget(record: Record) -> int:
    """The updates that the run was given, of which it needs fewer where it ends by its goal."""
    return record.parameters.get("steps", record.steps)


def at_edge(record: Record, choice: str = "learning_rate") -> bool:
    """Whether the search took the smallest or the largest of the values it tried, so that one beyond might be better.

    What was tried and diverged counts as tried. A choice with a single value was not searched.
    """
    tried = {candidate[choice] for candidate in record.search if choice in candidate}
    return len(tried) > 1 and record.chosen[choice] in (min(tried), max(tried))


def judged(record: Record, metric: str) -> str:
    """What tells whether the run still gets better: the metric, or where no look measures it the goal's, or the loss.

    Mean N is no such metric, since more of it is neither better nor worse.
    """
    looked = record.history[-1] if record.history else {}
    names = (metric, *record.parameters.get("goal", {}), "loss")
    return next((name for name in names if name in looked and name != "ponder_steps"), "loss")


def still_falling(record: Record, metric: str, by: float = 0.05) -> bool:
    """Whether over the last third of the run the metric came nearer to its best value by more than a share `by`.

    The best is 1 for an accuracy and a reward, and 0 for an error and a loss. A tenth of the looks at either end is
    averaged, since one look scatters. A run that ended by its goal has ended falling.
    """
    distances = [1 - look[metric] if metric in HIGHER_IS_BETTER else look[metric] for look in record.history
                 if metric in look]  # fmt: skip
    third = round(len(distances) / 3)
    if not third or ended_by_goal(record):
        return False
    few = max(1, round(len(distances) / 10))
    before, now = distances[:-third][-few:], distances[-few:]
    return sum(now) / few < (1 - by) * sum(before) / len(before)


def budgets(records: list[Record]) -> list[str]:
    """Under which name each run is averaged with others of its model: its profile, and its updates where they differ.

    A run that ended by its goal would have ended so with more updates, too, and goes with the longest.
    """
    longest: dict[tuple[str, str], int] = {}
    for record in records:
        row = (record.model, record.profile)
        longest[row] = max(longest.get(row, 0), budget(record))
    whole = [ended_by_goal(each) or budget(each) == longest[each.model, each.profile] for each in records]
    names = zip(records, whole, strict=True)
    return [each.profile if same else f"{each.profile}, {budget(each):,} updates" for each, same in names]


def marks(records: list[Record], metric: str) -> list[list[str]]:
    """For each run of a table its marks: the rate at the edge of its search, fewer updates than another run of its
    profile had, or a curve that still falls."""
    most: dict[str, int] = {}
    for record in records:
        most[record.profile] = max(most.get(record.profile, 0), budget(record))
    return [
        [EDGE] * at_edge(record)
        + [FEWER] * (budget(record) < most[record.profile] and not ended_by_goal(record))
        + [FALLING] * still_falling(record, judged(record, metric))
        for record in records
    ]


def note(rows: list[list[str]]) -> str:
    """The marks of the runs that a row is made of, in words; how many of them have a mark where not all do."""
    counts = {mark: sum(mark in row for row in rows) for mark in (EDGE, FEWER, FALLING)}
    found = {mark: count for mark, count in counts.items() if count}
    return "; ".join(mark + f" ({count} of {len(rows)})" * (count < len(rows)) for mark, count in found.items())
