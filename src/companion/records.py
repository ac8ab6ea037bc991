"""A run's record: made by a training run, kept as one small JSON file, sealed against edits."""

import hashlib
import json
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from companion.settings import essential, profile_parameters
from companion.training import write_whole

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
        search: the candidates that were tried, each with its validation `loss` after it; null if it diverged, or
            if there was nothing to choose.
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


def is_stale(path: Path, notebook: Path, profile: str, steps: int | None = None) -> bool:
    """Whether a record is of other parameters than those that its notebook's profile has now.

    A run may be asked for fewer updates than its profile's; `steps` then says how many.
    """
    parameters = profile_parameters(Path(notebook), profile) | ({"steps": steps} if steps else {})
    return load(Path(path)).parameters != json.loads(json.dumps(essential(parameters)))
