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
from companion.storage import write_whole

HISTORY_POINTS = 200
ROOT = Path(__file__).resolve().parents[2]
CODE = ("src", "notebooks", "pyproject.toml", "constraints.txt")  # what a commit is of


class RecordError(ValueError):
    """A record cannot be trusted; the message says why in one sentence."""


@dataclass(frozen=True)
class Record:
    """One run: what was asked for, what came out, and on what.

    Attributes:
        experiment: "part/notebook", such as "remind/copying".
        model, profile, seed: which run of it.
        parameters: every parameter that decides the result.
        search: the candidates that were tried, each with the updates it was given, `steps`, and its validation `loss`
            after them; null if it diverged, or if there was nothing to choose.
        chosen: the candidate that went on.
        metrics: final, on the test set; shares are fractions of one, losses are in nats.
        history: the metrics on the validation set along the way, at most 200 looks.
        steps: updates made. wall_seconds: time spent in them. peak_memory_mb: the process's most memory.
        environment: python, torch, the kind of device and its name, threads.
        commit: of the code that ran; ends in "+" if the code had changes.
        recipe: a digest of the code that decides the result, see `companion.recipe`; "" if that is not known.
        label: what people call the model, if its name does not say it; no part of the result, so not sealed.
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
    recipe: str = ""
    label: str = ""

    @property
    def name(self) -> str:
        """The record's path below the results folder."""
        return file_name(self.experiment, self.model, self.profile, self.seed)

    @property
    def kind(self) -> str:
        """The kind of device that it ran on, such as "cpu", "cuda" or "mps".

        Older records do not say; they are of CPUs, and of GPUs whose names begin with their maker's.
        """
        return self.environment.get("kind") or ("cuda" if self.environment["device"].startswith("NVIDIA") else "cpu")

    @property
    def seal(self) -> str:
        """The SHA-256 of the record's content, by which an edit is noticed."""
        return seal(asdict(self))

    def save(self, folder: Path) -> Path:
        """Write the record below `folder`, whole or not at all, with its seal.

        Raises:
            RecordError: a number of it is not finite.
        """
        body = asdict(self)
        path = folder / self.name
        try:
            text = json.dumps(body | {"seal": seal(body)}, indent=1, allow_nan=False) + "\n"
        except ValueError:
            raise RecordError(f"The record {self.name} holds a number that is not finite; it is not kept.") from None
        write_whole(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))
        return path


def file_name(experiment: str, model: str, profile: str, seed: int) -> str:
    """A record's path below the results folder."""
    return f"{experiment}/{model}.{profile}.seed{seed}.json"


def label(record: Record) -> str:
    """What figures and tables call a record's model: its label, or its name where that says it."""
    return record.label or record.model


def seal(body: dict[str, Any]) -> str:
    """The SHA-256 of a record's content, but for the label: another one makes no other result."""
    sealed = {name: value for name, value in body.items() if name != "label"}
    return hashlib.sha256(json.dumps(sealed, sort_keys=True).encode()).hexdigest()


def refuse_to_overwrite(path: Path, parameters: dict[str, Any]) -> None:
    """Refuse a path that holds the record of another run, such as one of a sweep; the same run may be made longer.

    Raises:
        RecordError: it does, or is no whole record.
    """
    if not path.exists():
        return
    other = load(path).parameters
    if other.get("steps", 0) > parameters.get("steps", 0):
        raise RecordError(
            f"{path} is the record of a longer run, of {other['steps']:,} updates; name another folder for records, or "
            "delete it."
        )
    for name in sorted((other.keys() | parameters.keys()) - {"steps"}):
        if other.get(name) != parameters.get(name):
            raise RecordError(
                f"{path} is the record of a run whose {name} is {other.get(name)}, not {parameters.get(name)}; name "
                "another folder for records, or delete it."
            )


def thin(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most 200 looks, evenly taken, the last one among them."""
    stride = -(-len(history) // HISTORY_POINTS)
    return history[::-1][:: max(stride, 1)][::-1]


def environment(device: str) -> dict[str, Any]:
    """What a record says of the machine."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "kind": torch.device(device).type,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
    }


def device_name(device: str) -> str:
    """The name of a device, as its maker calls it; of one that torch has no name for, the processor's."""
    name = getattr(getattr(torch, torch.device(device).type, None), "get_device_name", None)
    return name(device) if name else processor()


def processor() -> str:
    """The processor's name, with its family and model as far as the system tells them: clouds hide them in the name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in reversed(lines))}
    if "model name" not in told:
        return platform.machine()
    kind = ", ".join(f"{name} {told[name]}" for name in ("cpu family", "model", "stepping") if name in told)
    return f"{told['model name']} ({kind})" if kind else told["model name"]


def commit() -> str:
    """The commit of the code that runs, with a "+" if it has changes; "unknown" outside a checkout of this project."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != ROOT:  # unpacked in somebody else's repository
            return "unknown"
        changed = git("status", "--porcelain", "--", *CODE)
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def load(path: Path) -> Record:
    """Read a record and check its seal.

    Raises:
        RecordError: it is not a whole record, or it was changed after the run.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        stored = body.pop("seal")
        record = Record(**body)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RecordError(f"{path.name} is not a whole record; delete it and run `make record`.") from None
    if stored != seal(body):
        raise RecordError(
            f"{path.name} was changed after its run; only a training run writes a record, so run it again."
        )
    return record


def is_stale(path: Path, notebook: Path, profile: str, steps: int | None = None) -> bool:
    """Whether a record is of other parameters than those that its notebook's profile has now.

    A run may be asked for fewer updates than its profile's; `steps` then says how many, and one of more is not stale.
    """
    asked = json.loads(json.dumps(essential(profile_parameters(Path(notebook), profile))))
    made = load(Path(path)).parameters
    if steps:
        return made.get("steps", 0) < steps or made | {"steps": steps} != asked | {"steps": steps}
    return made != asked
