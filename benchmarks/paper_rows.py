"""What the papers' rows would take here: python benchmarks/paper_rows.py [EXPERIMENT ...]

For each experiment and each model of its paper profile: the seconds of one update at the paper's sizes, on one thread,
and with them the hours of all its updates. The models are the notebook's own: its cells are run up to the training,
with the parameters of the paper profile.

One update, the slowest, warms up. Then at least five are timed, and at least a second of them, and their median counts;
of long updates as many as six seconds hold. All rows are measured in a first round and again in a second, so that a
noisy minute does not hit a row twice, and the lesser median is its price; a row keeps both. It is the processor's time
that counts; still, leave the machine alone, for a program beside it takes some of the memory's speed.

A network that ponders does so before it is trained, so its rows say the least it may take. How long an update takes
does not depend on what the data say, so what comes with the package stands in for what would be downloaded, and blank
pictures for CIFAR-10 and for faces. The text that stands in has 195 characters where text8 has 27: those rows say a
little too much.

With experiments named, such as attend/catch, only these are measured; the other rows of the file stay as they are.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from companion import data, runs
from companion.data.faces import SOURCES
from companion.experiment import Model
from companion.notebook import models_of
from companion.settings import profile_parameters
from companion.tasks import Task
from companion.training import Trainer

ROOT = Path(__file__).resolve().parents[1]
STANDS_IN = {"full": "excerpt", "text8": "enwik8-excerpt", "enwik8": "enwik8-excerpt"}
ROUNDS = 2
LEAST_UPDATES, LEAST_SECONDS = 5, 1.0  # that a median is of, in each round
MOST_SECONDS = 6.0  # of a round; a median of long updates is of fewer


def updating(model: Model, task: Task, parameters: dict) -> Callable[[], None]:
    """What makes one update, of a network with the first choice of the search."""
    choices = {key: value for key, value in model.candidates[0].items() if key != "learning_rate"}
    options = {key: parameters[key] for key in ("seed", "batch_size", "clip")}
    return Trainer(lambda: model.build(**choices), model.task or task, learning_rate=1e-3, **options).update


def seconds_of(update: Callable[[], None], clock: Callable[[], float] = time.process_time) -> float:
    """The median seconds of an update, after one to warm up."""
    update()
    taken: list[float] = []
    while (len(taken) < LEAST_UPDATES or sum(taken) < LEAST_SECONDS) and sum(taken) < MOST_SECONDS:
        begun = clock()
        update()
        taken.append(clock() - begun)
    return statistics.median(taken)


def in_rounds(rows: list[dict], measure: Callable[[dict], float]) -> None:
    """Measure every row once, then every row again; each keeps what all rounds said, and the least."""
    for number in range(ROUNDS):
        for row in rows:
            row["rounds"] = [*row.get("rounds", []), float(f"{measure(row):.3g}")]
            row["seconds"] = min(row["rounds"])
            row["hours"] = float(f"{row['seconds'] * row['updates'] / 3600:.3g}")
            said = "{experiment:28} {model:24} {seconds:9.4f} s {hours:9.1f} h".format(**row)
            print(f"round {number + 1} of {ROUNDS}  {said}", flush=True)


def blank_pictures(split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """As many pictures as CIFAR-10 has, all black."""
    size = {"train": 50_000, "test": 10_000}[split]
    return torch.zeros(1, 3, 32, 32, dtype=torch.uint8).expand(size, -1, -1, -1), torch.arange(size) % 10


def blank_faces(source: str) -> data.Faces:
    """A black face of each of 100 people and classes."""
    names = SOURCES[source]
    people = torch.arange(100).repeat(len(names))
    classes = torch.arange(len(names)).repeat_interleave(100)
    return data.Faces(torch.zeros(len(people), 48, 48, dtype=torch.uint8), classes, people, names)


def main(asked: list[str]) -> None:
    data.cifar10, data.face_set = blank_pictures, blank_faces
    rows, made = [], {}
    for file in sorted((ROOT / "notebooks").glob("*/*.paper.yaml")):
        notebook = file.with_name(file.name.split(".")[0] + ".ipynb")
        experiment = f"{notebook.parent.name}/{notebook.stem}"
        if asked and experiment not in asked:
            continue
        parameters = profile_parameters(notebook, "paper") | {"device": "cpu"}
        if "source" in parameters:
            parameters["source"] = STANDS_IN.get(parameters["source"], parameters["source"])
        made[experiment] = (*models_of(notebook, parameters), parameters)
        for name in parameters["models"]:
            rows.append({"experiment": experiment, "model": name, "updates": parameters["steps"]})

    def measure(row: dict) -> float:
        table, task, parameters = made[row["experiment"]]
        return seconds_of(updating(table[row["model"]], task, parameters))

    begun = time.monotonic()
    in_rounds(rows, measure)
    print(f"{len(rows)} rows in {(time.monotonic() - begun) / 60:.0f} minutes")
    kept = runs.benchmark("paper_rows").to_dict("records") if asked else []
    rows += [row for row in kept if row["experiment"] not in asked]
    rows.sort(key=lambda row: row["experiment"])
    setting = {"profile": "paper", "rounds": ROUNDS, "least_updates": LEAST_UPDATES, "least_seconds": LEAST_SECONDS}
    setting["most_seconds"] = MOST_SECONDS
    runs.save_benchmark(runs.results_folder() / "benchmarks" / "paper_rows.json", setting, rows)


if __name__ == "__main__":
    os.environ.setdefault("MPLBACKEND", "agg")
    main(sys.argv[1:])
