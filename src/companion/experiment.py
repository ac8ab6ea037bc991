"""From a notebook's table of models to trained networks and their records."""

import difflib
import hashlib
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

import companion.weights
from companion.memory import peak_memory_mb
from companion.recipe import code_of_this_run, recipe_of_this_run
from companion.records import Record, commit, environment, file_name, refuse_to_overwrite, thin
from companion.search import best, search
from companion.settings import SettingsError, essential
from companion.storage import write_whole
from companion.tasks import Task
from companion.training import Trainer


def grid(**choices: list[Any]) -> list[dict[str, Any]]:
    """Candidates of all combinations: grid(learning_rate=[1e-3, 4e-3], decay=[0.9]) gives two dicts.

    Raises:
        SettingsError: a choice has no values.
    """
    for name, values in choices.items():
        if not values:
            raise SettingsError(f"The search has no {name} to try; it needs at least one.")
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


def random_search(count: int, seed: int, **choices: Callable[[torch.Generator], Any]) -> list[dict[str, Any]]:
    """Candidates drawn at random: random_search(8, 0, learning_rate=log_uniform(1e-4, 1e-2), decay=one_of([0.9, 1])).

    A choice is drawn for all candidates before the next one is, so searches of the same count and seed that begin with
    the same choice share it: name the learning rate first, and all models get the same ones.

    Raises:
        SettingsError: fewer than one candidate.
    """
    if count < 1:
        raise SettingsError(f"A search has {count} candidates; it must have at least 1.")
    generator = torch.Generator().manual_seed(seed)
    columns = {name: [draw(generator) for _ in range(count)] for name, draw in choices.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def log_uniform(*bounds: float) -> Callable[[torch.Generator], float]:
    """For `random_search`: a number of three digits whose logarithm is uniform between two bounds.

    Raises:
        SettingsError: there are not two bounds, or they are not positive, or out of order.
    """
    if len(bounds) != 2 or not 0 < bounds[0] <= bounds[1]:
        raise SettingsError(
            f"A log-uniform range is {list(bounds)}; it must be two positive numbers, the lower bound first."
        )
    low, high = bounds

    def draw(generator: torch.Generator) -> float:
        return float(f"{low * (high / low) ** torch.rand((), generator=generator).item():.3g}")

    return draw


def one_of(values: list[Any]) -> Callable[[torch.Generator], Any]:
    """For `random_search`: each value with the same chance.

    Raises:
        SettingsError: there is no value.
    """
    if not values:
        raise SettingsError("A search was given no values to choose from; it needs at least one.")
    return lambda generator: values[torch.randint(len(values), (), generator=generator)]


@dataclass
class Model:
    """A model of an experiment, a row of its table: how it is built, and what the search tries.

    Attributes:
        build: makes the network from the candidate's choices, all but the learning rate.
        candidates: what the search tries; each has a `learning_rate`.
        task: what to learn, where the models of one notebook differ in it.
        watch: what else to note of the network at each look, to be kept in the record's history.
        averaging: the share that an update leaves of a running average of the weights, which is then what is looked at
            and tested; 0 tests the weights themselves.
        label: what figures and tables call the row, such as "ACT, τ = 0.001"; empty where the row's name says it.
    """

    build: Callable[..., nn.Module]
    candidates: list[dict[str, Any]]
    task: Task | None = None
    watch: Callable[[nn.Module], dict[str, Any]] | None = None
    averaging: float = 0.0
    label: str = ""


@dataclass
class Run:
    """A trained network and its record."""

    network: nn.Module
    record: Record


def known(asked: list[str], models: dict[str, Model]) -> list[str]:
    """The models asked for.

    Raises:
        SettingsError: one of them is unknown, or none was asked for.
    """
    for name in asked:
        if name not in models:
            raise SettingsError(f"The model {name!r} is unknown; this notebook has {some(models, name)}.")
    if not asked:
        raise SettingsError(f"No model was asked for; this notebook has {some(models)}.")
    return asked


def some(models: dict[str, Model], name: str = "") -> str:
    """The models' names in a sentence; of more than twelve those most like a name, and how many more there are."""
    if len(models) <= 12:
        return ", ".join(models)
    nearest = difflib.get_close_matches(name, models, 6, cutoff=0)
    return f"{', '.join(nearest)} and {len(models) - len(nearest)} more"


def writable(folder: str) -> None:
    """Find out before the training whether its results can be kept.

    Raises:
        companion.training.TrainingError: they cannot.
    """
    probe = Path(folder) / ".writable"
    write_whole(probe, lambda path: path.write_text("yes", encoding="utf-8"))
    probe.unlink(missing_ok=True)  # another run may have removed it


def train(experiment: str, models: dict[str, Model], task: Task, settings: SimpleNamespace) -> dict[str, Run]:
    """Train the models that the settings ask for, one after another.

    Each model is tuned by the same search, `companion.search.search`: every candidate makes `settings.search_steps`
    updates or more, and the one with the least validation loss goes on to `settings.steps`. With `search_steps` 0 the
    first candidate is taken. A run ends early once the validation metrics reach `settings.goal`.

    Args:
        experiment: "part/notebook".
        models: the notebook's table.
        task: what they learn.
        settings: the notebook's parameters; `records`, `checkpoints` and `weights` name folders, or are empty.

    Returns:
        Name → run, in the order asked for. With `settings.records`, each record is on disk as soon as it is made, and
        with `settings.weights` the network that was tested.

    Raises:
        SettingsError: an unknown model, a goal that the task does not measure, or a search longer than the run.
        companion.records.RecordError: the folder holds a record of the same name and of other parameters.
        companion.training.TrainingError: a broken checkpoint, or a full disk.
        companion.training.Diverged: a loss that is not a finite number, of all candidates, or of the chosen one after
            the search; there is no record of such a run.
    """
    names = known(settings.models, models)
    for each in (models[name].task or task for name in names):
        for metric in settings.goal:
            if metric not in each.names:
                raise SettingsError(f"The goal names {metric!r}; this task has {', '.join(each.names)}.")
    if settings.search_steps > settings.steps:
        raise SettingsError(
            f"The search takes {settings.search_steps} updates and the run {settings.steps}; ask for at least as many "
            "steps as search_steps."
        )
    for folder in (settings.records, settings.checkpoints, settings.weights):
        if folder:
            writable(folder)
    runs = {name: Running(experiment, name, models[name], models[name].task or task, settings) for name in names}
    if settings.records:
        for name, run in runs.items():
            path = Path(settings.records, file_name(experiment, name, settings.profile, settings.seed))
            refuse_to_overwrite(path, run.parameters)
    return {name: run.train() for name, run in runs.items()}


class Running:
    """One model of an experiment on its way to a record; see `train`."""

    def __init__(self, experiment: str, name: str, model: Model, task: Task, settings: SimpleNamespace):
        self.experiment, self.name, self.model, self.task, self.settings = experiment, name, model, task, settings
        self.parameters = json.loads(json.dumps(essential(vars(settings))))
        # Of the code as it is now: a checkout may change while a run goes on.
        self.recipe, self.commit = recipe_of_this_run(experiment), commit()
        self.code = self.recipe or code_of_this_run() if settings.checkpoints else ""

    def trainer(self, candidate: dict[str, Any]) -> Trainer:
        """Of one candidate; it goes on from its checkpoint, if there is one."""
        settings, choices = self.settings, {key: value for key, value in candidate.items() if key != "learning_rate"}
        decisive = {key: value for key, value in self.parameters.items() if key != "steps"}  # a run may be made longer
        identity = [self.experiment, self.name, settings.seed, settings.device, decisive, candidate]
        identity += [self.code, torch.__version__]
        checkpoint = None
        if settings.checkpoints:
            # Named after what it is: which candidate comes fourth depends on how long the search was.
            digest = hashlib.sha256(json.dumps(candidate, sort_keys=True).encode()).hexdigest()[:8]
            file = f"{self.name}.seed{settings.seed}.{digest}.pt"
            checkpoint = Path(settings.checkpoints) / self.experiment / file
        return Trainer(
            lambda: self.model.build(**choices),
            self.task,
            learning_rate=candidate["learning_rate"],
            seed=settings.seed,
            batch_size=settings.batch_size,
            clip=settings.clip,
            evaluate_every=settings.evaluate_every,
            device=settings.device,
            checkpoint=checkpoint,
            identity=json.dumps(identity, sort_keys=True),
            watch=self.model.watch,
            averaging=self.model.averaging,
        )

    def train(self) -> Run:
        """Search, train, test and record."""
        settings = self.settings
        candidates = self.model.candidates if settings.search_steps else self.model.candidates[:1]
        tried = search(self.trainer, candidates, settings.search_steps, settings.steps, settings.goal, self.name)
        chosen = best(tried)
        trainer = chosen.trainer
        trainer.run(settings.steps, settings.goal, self.name)
        record = Record(
            experiment=self.experiment,
            model=self.name,
            profile=settings.profile,
            seed=settings.seed,
            parameters=self.parameters,
            search=[each.candidate | {"loss": each.loss, "steps": each.steps} for each in tried],
            chosen=chosen.candidate,
            metrics=trainer.test(),
            history=thin(trainer.history),
            steps=trainer.step,
            wall_seconds=round(sum(each.trainer.seconds for each in tried), 1),
            peak_memory_mb=round(peak_memory_mb(settings.device), 1),
            environment=environment(settings.device),
            commit=self.commit,
            recipe=self.recipe,
            label=self.model.label,
        )
        if settings.weights:
            companion.weights.save(Path(settings.weights), trainer.judged, record)
        if settings.records:
            record.save(Path(settings.records))
        return Run(trainer.judged, record)
