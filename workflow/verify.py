"""Trains recorded runs again up to their first look, and keeps what came out: python workflow/verify.py.

Of each model, profile-free, and of each code that made records of it, one record is enough. Those that have no row of
today's recipe come in an order drawn at random, so that one sample after another gets to all of them.
"""

import argparse
import json
import random
import sys
import time

from companion import runs
from companion.data import DataMissing
from companion.records import Record
from companion.storage import write_whole
from companion.verified import again, made_by, rows_of, standing, todays

LONGEST = 600  # seconds that a run up to its first look may be expected to take


def expected_seconds(record: Record) -> float:
    """As the run itself took them, its search included."""
    others = [each for each in record.search if any(each[name] != value for name, value in record.chosen.items())]
    made = record.steps + sum(each.get("steps", record.parameters["search_steps"]) for each in others)
    return record.wall_seconds / max(made, 1) * record.history[0]["step"]


def owed(records: list[Record], rows: list[dict]) -> list[Record]:
    """One record of each model and code that today's code was not tried on yet; the cheapest to run."""
    tried = {(row["experiment"], row["model"], row["made_by"], row["today"]) for row in rows}
    chosen = {}
    for record in sorted(records, key=expected_seconds, reverse=True):
        key = (record.experiment, record.model, made_by(record), todays(record.experiment))
        if standing(record, rows) == "other" and key not in tried and record.history:
            chosen[key] = record
    return list(chosen.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=20, help="how many to try; 0 for all")
    parser.add_argument("--only", default="", help="records whose names begin like this")
    asked = parser.parse_args()
    if asked.sample < 0:
        sys.exit(f"SAMPLE is {asked.sample}; it must be 0, for all, or more.")
    folder = runs.results_folder()
    records = [record for experiment in runs.experiments() for record in runs.load_all(experiment)]
    records = [record for record in records if record.name.startswith(asked.only)]
    if not records:
        sys.exit(f"No record's name begins with {asked.only!r}.")
    rows = [row for row in rows_of(folder) if row["today"] == todays(row["experiment"])]
    waiting = owed(records, rows)
    random.Random(len(rows)).shuffle(waiting)
    long = [record for record in waiting if expected_seconds(record) > LONGEST]
    chosen = [record for record in waiting if record not in long][: asked.sample or None]
    begun, reproduced, missing = time.monotonic(), 0, 0
    for record in chosen:
        try:
            row = again(record)
        except DataMissing as reason:
            print(f"{'not tried':24} {reason}", flush=True)
            missing += 1
            continue
        rows.append(row)
        reproduced += row["reproduced"]
        how = "diverges" if row["difference"] is None else f"differs by {row['difference']:.1e}"
        if row["reproduced"]:
            how = f"within {row['difference']:.1e}" if row["difference"] else "to the last digit"
        print(f"{how:24} {record.name}, {row['updates']:,} updates", flush=True)
        ordered = sorted(rows, key=lambda row: (row["experiment"], row["model"], row["made_by"]))
        text = json.dumps(ordered, indent=1) + "\n"
        write_whole(folder / "verified.json", lambda scratch, text=text: scratch.write_text(text, encoding="utf-8"))
    left = len(waiting) - len(chosen) + missing
    seconds = time.monotonic() - begun
    print(
        f"{reproduced} of {len(chosen) - missing} reproduced by today's code in {seconds:.0f} s; {left} models and "
        f"codes were not tried, {len(long)} of them since they would take more than {LONGEST // 60} minutes."
    )


if __name__ == "__main__":
    main()
