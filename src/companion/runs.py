"""A run's record: made by a training run, kept as one small JSON file, compared with the paper."""

import hashlib
import json
import os
import platform
import subprocess
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from companion.settings import essential, profile_parameters, settings
from companion.training import write_whole

__all__ = [
    "Record",
    "RecordError",
    "against_paper",
    "benchmark",
    "experiments",
    "load",
    "load_all",
    "names",
    "paper_curves",
    "results_folder",
    "save_benchmark",
    "settings",
    "summary",
    "table",
]

HISTORY_POINTS = 200


class RecordError(ValueError):
    """A record cannot be trusted; the message says why in one sentence."""


@dataclass(frozen=True)
class Record:
    """One run: what was asked for, what came out, and on what.

    Attributes:
        experiment: "part/notebook", such as "remind/copying".
        model, profile, seed: which run of it.
        parameters: every parameter that decides the result.
        search: the candidates that were tried, each with its validation `loss` after the search.
        chosen: the candidate that went on.
        metrics: final, on the test set; shares are fractions of one, losses are in nats.
        history: the metrics on the validation set along the way, at most 200 looks.
        steps: updates made. wall_seconds: time spent in them. peak_memory_mb: the process's most memory.
        environment: python, torch, the device's name, threads.
        commit: of the code that ran; ends in "+" if the code had changes.
    """

    experiment: str
    model: str
    profile: str
    seed: int
    parameters: dict[str, Any]
    search: list[dict[str, Any]]
    chosen: dict[str, Any]
    metrics: dict[str, Any]
    history: list[dict[str, Any]]
    steps: int
    wall_seconds: int | float
    peak_memory_mb: int | float
    environment: dict[str, Any]
    commit: str

    @property
    def name(self) -> str:
        """The record's path below the results folder."""
        return f"{self.experiment}/{self.model}.{self.profile}.seed{self.seed}.json"

    def save(self, folder: Path) -> Path:
        """Write the record below `folder`, whole or not at all, with a seal by which an edit is noticed."""
        body = asdict(self)
        path = folder / self.name
        text = json.dumps(body | {"seal": seal(body)}, indent=1) + "\n"
        write_whole(path, lambda scratch: scratch.write_text(text))
        return path


def seal(body: dict[str, Any]) -> str:
    """The SHA-256 of a record's content."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def thin(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most 200 looks, evenly taken, the last one among them."""
    stride = -(-len(history) // HISTORY_POINTS)
    return history[::-1][:: max(stride, 1)][::-1]


def environment(device: str) -> dict[str, Any]:
    """What a record says of the machine."""
    cuda = torch.device(device).type == "cuda"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if cuda else processor(),
        "threads": torch.get_num_threads(),
    }


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def commit() -> str:
    """The commit of the code that runs, with a "+" if src or notebooks have changes; "unknown" outside a checkout."""

    def git(*words: str) -> str:
        here = Path(__file__).parent
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        root = git("rev-parse", "--show-toplevel")
        changed = git("-C", root, "status", "--porcelain", "--untracked-files=no", "--", "src")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def results_folder() -> Path:
    """Where the recorded runs are: $COMPANION_RESULTS, or book/results of the checkout around this folder or package.

    Raises:
        RecordError: there is none.
    """
    if "COMPANION_RESULTS" in os.environ:
        return Path(os.environ["COMPANION_RESULTS"])
    for start in (Path.cwd(), Path(__file__).resolve()):
        for folder in (start, *start.parents):
            if (folder / "book" / "results").is_dir():
                return folder / "book" / "results"
    raise RecordError(
        "The folder book/results was not found; run from a clone of the repository, or set COMPANION_RESULTS."
    )


def load(path: Path) -> Record:
    """Read a record and check its seal.

    Raises:
        RecordError: it is not a whole record, or it was changed after the run.
    """
    try:
        body = json.loads(path.read_text())
        stored = body.pop("seal")
        record = Record(**body)
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError, UnicodeDecodeError):
        raise RecordError(f"{path.name} is not a whole record; delete it and run `make record`.") from None
    if stored != seal(body):
        raise RecordError(
            f"{path.name} was changed after its run; only a training run writes a record, so run it again."
        )
    return record


def load_all(experiment: str, profile: str | None = None) -> list[Record]:
    """All records of an experiment, or of one of its profiles, by model and seed."""
    paths = sorted((results_folder() / experiment).glob("*.json"))
    records = [load(path) for path in paths]
    return [record for record in records if profile in (None, record.profile)]


def is_stale(path: Path, notebook: Path, profile: str) -> bool:
    """Whether a record is of other parameters than those that its notebook's profile has now."""
    return load(Path(path)).parameters != json.loads(json.dumps(essential(profile_parameters(Path(notebook), profile))))


def table(records: list[Record]) -> pd.DataFrame:
    """One row a run: model, profile, seed, what the search chose, the test metrics, updates, seconds."""
    rows = [
        {
            "model": record.model,
            "profile": record.profile,
            "seed": record.seed,
            **record.chosen,
            **{name: value for name, value in record.metrics.items() if not isinstance(value, list)},
            "updates": record.steps,
            "seconds": record.wall_seconds,
        }
        for record in records
    ]
    return pd.DataFrame(rows, columns=None if rows else ["model", "profile", "seed", "updates", "seconds"])


def names(rows: pd.DataFrame) -> str:
    """The models of a summary's rows, as a list in a sentence."""
    return ", ".join(rows.index.get_level_values("model")) or "none"


def summary(records: list[Record], metric: str) -> pd.DataFrame:
    """One row a model and profile: runs, the metric's mean, least and most over the seeds, mean updates and minutes."""
    rows = table(records).reindex(columns=["model", "profile", metric, "updates", "seconds"])
    grouped = rows.assign(minutes=rows.seconds / 60).groupby(["model", "profile"], sort=False)
    numbers = grouped[metric].agg(runs="count", mean="mean", least="min", most="max")
    return numbers.join(grouped[["updates", "minutes"]].mean().round(1))


def paper_numbers(experiment: str) -> pd.DataFrame:
    """The paper's own numbers of an experiment, from papers.toml, a row each.

    Columns: setting, model, metric, value, text, source, seen, scale. A row with neither value nor text is one that
    could not be verified.
    """
    rows = tomllib.loads((results_folder() / "papers.toml").read_text())["number"]
    columns = ["setting", "model", "metric", "value", "text", "source", "seen", "scale"]
    return pd.DataFrame([row for row in rows if row["experiment"] == experiment]).reindex(columns=columns)


def paper_curves(experiment: str) -> pd.DataFrame:
    """The curves of an experiment's figures in the paper, from papers.toml, a row a point.

    Columns: model, metric, x (in the unit of `x_name`), x_name, value, source, seen.
    """
    curves = tomllib.loads((results_folder() / "papers.toml").read_text())["curve"]
    columns = ["model", "metric", "x", "x_name", "value", "source", "seen"]
    rows = pd.DataFrame([curve for curve in curves if curve["experiment"] == experiment]).reindex(columns=columns)
    return rows.explode(["x", "value"], ignore_index=True).astype({"x": float, "value": float})


def against_paper(experiment: str, metric: str) -> pd.DataFrame:
    """Our recorded runs beside the paper's numbers, a row a model and profile; ours as mean (least to most) over seeds.

    A row of the paper's size that was not run says what it would take, as measured by `make bench`.
    """
    ours = summary(load_all(experiment), metric).reset_index()
    theirs = paper_numbers(experiment)
    theirs = theirs[theirs.metric == metric]
    prices = benchmark("paper_rows").query("experiment == @experiment").set_index("model").hours
    rows = []
    for model in dict.fromkeys([*ours.model, *prices.index, *theirs.model]):
        paper = [said(number) for _, number in theirs[theirs.model == model].iterrows()]
        recorded = [
            {
                "profile": row.profile,
                "ours": f"{row['mean']:.4f} ({row.least:.4f} to {row.most:.4f})",
                "runs": str(row.runs),
                "updates": f"{row.updates:,.0f}",
            }
            for _, row in ours[ours.model == model].iterrows()
        ]
        if model in prices and "paper" not in [row["profile"] for row in recorded]:
            price = (
                f"not run: about {prices[model]:,.0f} h on one core"
                if prices[model] >= 1
                else "not run: within an hour"
            )
            recorded.append({"profile": "paper", "ours": price, "runs": "", "updates": ""})
        for row in recorded or [{"profile": "", "ours": "not run", "runs": "", "updates": ""}]:
            rows.append({"model": model, **row, "the paper": "; ".join(paper) or "no such row"})
    return pd.DataFrame(rows, columns=["model", "profile", "ours", "runs", "updates", "the paper"])


def said(number: pd.Series) -> str:
    """What the paper says, where it says it, or that this could not be verified."""
    stated = f"{number.value:.4f}" if pd.notna(number.value) else number.text
    return f"{stated} ({number.setting}, {number.source})" if pd.notna(stated) else f"not verified ({number.setting})"


def experiments() -> list[str]:
    """All experiments that have records, as "part/notebook"."""
    return sorted({"/".join(path.parts[-3:-1]) for path in results_folder().glob("*/*/*.json")})


def save_benchmark(path: Path, setting: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Write what was measured, with the machine and the commit; `benchmark` reads it."""
    record = {"setting": setting, "rows": rows, "environment": environment("cpu"), "commit": commit()}
    write_whole(path, lambda scratch: scratch.write_text(json.dumps(record, indent=1) + "\n"))


def benchmark(name: str) -> pd.DataFrame:
    """The rows of a recorded benchmark, one for each measurement.

    Raises:
        RecordError: there is no such benchmark.
    """
    path = results_folder() / "benchmarks" / f"{name}.json"
    if not path.exists():
        raise RecordError(f"There is no benchmark {path}; `make bench` measures it.")
    return pd.DataFrame(json.loads(path.read_text())["rows"])
