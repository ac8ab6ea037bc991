"""The one training loop: Adam on examples drawn from a seed, with validation, checkpoints and a stop when solved."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from companion.interrupt import CtrlC
from companion.storage import TrainingError, load_checkpoint, save_checkpoint
from companion.tasks import Batch, Task, seeded

Number = int | float
CHECKPOINT_EVERY_SECONDS = 20
HIGHER_IS_BETTER = {"accuracy", "reward"}
CHECKPOINT = {"identity", "network", "average", "optimiser", "generator", "step", "seconds", "history"}


class Diverged(TrainingError):
    """The loss is not a finite number any more."""


def reached(metrics: dict[str, Number], goal: dict[str, Number]) -> bool:
    """Whether every metric named in `goal` is at least as good as there; an empty goal is never reached."""
    return bool(goal) and all(
        metrics[name] >= value if name in HIGHER_IS_BETTER else metrics[name] <= value for name, value in goal.items()
    )


class Trainer:
    """Trains one network on one task; can stop at any update and go on later to the same result.

    Args:
        build: makes the network; called with torch's random state set from `seed`.
        task: what to learn.
        learning_rate: Adam's.
        seed: of the initial weights and of the training examples.
        batch_size: examples in an update.
        clip: the largest norm of the gradient; 0 does not clip.
        evaluate_every: updates between two looks at the validation set.
        device: where to train, as torch names it. On "cpu" the process is set to one thread for good
            (`torch.set_num_threads`), since more gain nothing on networks of this size and stall beside other programs.
        checkpoint: a file to keep the state of training in, so that a later call goes on from it; None keeps none.
        identity: what makes this run this run; a checkpoint of another identity is refused.
        watch: what else to note of the network at each look, by name; None notes nothing more.
        averaging: the share that an update leaves of a running average of the weights; the average is then what is
            looked at and tested. 0 keeps none.

    Raises:
        TrainingError: the checkpoint is broken, or of another run.

    Attributes:
        network, step, seconds: the network that is trained, the updates made, and the seconds they took.
        average: the network with averaged weights, or None.
        history: one dict for each look at the validation set, with `step` and the metrics, and for a layer that skips
            windows in its backward pass the share that the last update `replayed`.
        diverged: why the training cannot go on, or "".
    """

    def __init__(
        self,
        build: Callable[[], nn.Module],
        task: Task,
        *,
        learning_rate: Number,
        seed: int,
        batch_size: int,
        clip: Number = 1.0,
        evaluate_every: int = 200,
        device: str = "cpu",
        checkpoint: Path | None = None,
        identity: str = "",
        watch: Callable[[nn.Module], dict[str, Any]] | None = None,
        averaging: float = 0.0,
    ):
        if torch.device(device).type == "cpu":
            torch.set_num_threads(1)
        self.task, self.batch_size, self.clip = task, batch_size, clip
        self.evaluate_every, self.device = evaluate_every, device
        self.checkpoint, self.identity = checkpoint, identity
        self.watch = watch or (lambda network: {})
        self.generator = seeded("train", seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = build().to(device)
        self.average = None
        if averaging:
            self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(averaging))
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=learning_rate, fused=True)
        self.validation = task.held_out("validation")
        self.step, self.seconds, self.history, self.skipped, self.diverged = 0, 0.0, [], {}, ""
        if checkpoint is not None and checkpoint.exists():
            self.load()

    def update(self) -> None:
        """One update of the weights on one batch.

        Raises:
            Diverged: the loss is not a finite number.
        """
        self.network.train()
        batch = self.task.batch(self.generator, self.batch_size).to(self.device)
        inputs, targets = self.task.play(self.network, batch)
        predictions, answer = self.network(inputs)
        loss = (self.task.loss(predictions, targets) + answer.cost).mean()
        if not math.isfinite(loss.item()):
            self.give_up(f"The loss is {loss.item()} at update {self.step + 1}; try a lower learning rate.")
        self.optimiser.zero_grad()
        loss.backward()
        if "replayed" in answer.trace:
            self.skipped = {"replayed": answer.trace["replayed"].float().mean().item()}
        if self.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimiser.step()
        if self.average:
            self.average.update_parameters(self.network)
        self.step += 1

    def give_up(self, reason: str) -> None:
        self.diverged = reason
        raise Diverged(reason)

    @property
    def judged(self) -> nn.Module:
        """The network that is looked at and tested: that of averaged weights, if there is one."""
        return self.average or self.network

    def run(self, until: int, goal: dict[str, Number] | None = None, label: str = "") -> dict[str, Number]:
        """Train up to update `until`, or until a look at the validation set reaches the `goal`.

        Returns:
            The last metrics on the validation set.

        Raises:
            Diverged: the loss is not a finite number, in training or on the validation set.
            TrainingError: more updates than that were made before, or a checkpoint cannot be written.
            KeyboardInterrupt: Ctrl-C; the checkpoint, if there is one, then holds every update made.
        """
        goal = goal or {}
        if self.diverged:
            raise Diverged(self.diverged)
        if self.step > until:
            raise TrainingError(
                f"The checkpoint {self.checkpoint} has made {self.step} updates, more than the {until} asked for; ask "
                "for as many, or name another folder."
            )
        saved = begun = time.monotonic()
        before = self.seconds
        progress = {"desc": label, "unit": "update", "mininterval": 1, "leave": False}
        with tqdm(total=until, initial=min(self.step, until), **progress) as bar, CtrlC() as ctrl_c:
            while self.step < until and not (self.history and reached(self.history[-1], goal)):
                self.update()
                bar.update()
                if self.step % self.evaluate_every == 0 or self.step == until:
                    noted = self.evaluate(self.validation) | self.skipped | self.watch(self.judged)
                    if (name := infinite(noted)) is not None:
                        self.give_up(
                            f"The {name} on the validation set is {noted[name]} after update {self.step}; try a lower "
                            "learning rate."
                        )
                    self.history.append({"step": self.step, **noted})
                self.seconds = before + time.monotonic() - begun
                if self.checkpoint and (ctrl_c.pressed or time.monotonic() - saved > CHECKPOINT_EVERY_SECONDS):
                    self.save()
                    saved = time.monotonic()
                if ctrl_c.pressed:
                    raise KeyboardInterrupt
        if self.checkpoint:
            self.save()
        return self.history[-1]

    @torch.no_grad()
    def evaluate(self, batch: Batch | list[Batch], chunk: int = 1000) -> dict[str, Number]:
        """The mean of each metric over a batch or several, and mean N (`ponder_steps`) if the layer ponders."""
        self.judged.eval()
        totals: dict[str, Number] = {}
        batches = [batch] if isinstance(batch, Batch) else batch
        parts = [
            Batch(*part)
            for each in batches
            for part in zip(each.inputs.split(chunk, 1), each.targets.split(chunk, -1), strict=True)
        ]
        for part in parts:
            inputs, targets = self.task.play(self.judged, part.to(self.device))
            predictions, answer = self.judged(inputs)
            metrics = self.task.metrics(predictions, targets)
            if "ponder_steps" in answer.trace:
                metrics["ponder_steps"] = answer.trace["ponder_steps"].float().mean(0)
            for name, values in metrics.items():
                totals[name] = totals.get(name, 0.0) + values.sum().item()
        count = sum(each.inputs.shape[1] for each in batches)
        return {name: total / count for name, total in totals.items()}

    @torch.no_grad()
    def follow(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """The predictions, and N at each step, (time, batch), if the layer ponders, else None; both on the CPU."""
        self.judged.eval()
        inputs, _ = self.task.play(self.judged, batch.to(self.device))
        predictions, answer = self.judged(inputs)
        steps = answer.trace.get("ponder_steps")
        return predictions.cpu(), None if steps is None else steps.cpu()

    def test(self) -> dict[str, Any]:
        """The metrics on the test set, what more the task records, and the share of windows that were `replayed`.

        Raises:
            Diverged: a metric is not a finite number.
        """
        metrics = self.evaluate(self.task.held_out("test"))
        skipped = {name: value for name, value in (self.history or [{}])[-1].items() if name == "replayed"}
        found = metrics | self.task.details(self.evaluate) | self.task.along(self.follow) | skipped
        if (name := infinite(found)) is not None:
            self.give_up(f"The {name} on the test set is not a finite number; try a lower learning rate.")
        return found

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "identity": self.identity,
            "network": self.network.state_dict(),
            "average": self.average and self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
        }
        save_checkpoint(self.checkpoint, state)

    def load(self) -> None:
        """Go on from the checkpoint.

        Raises:
            TrainingError: it is broken, or of another run.
        """
        state = load_checkpoint(self.checkpoint, CHECKPOINT, self.device)
        if state["identity"] != self.identity:
            raise TrainingError(
                f"The checkpoint {self.checkpoint} is of a run with other settings, or of other code; delete it or "
                "move it."
            )
        try:
            self.network.load_state_dict(state["network"])
            if self.average:
                self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (AttributeError, KeyError, RuntimeError, ValueError):
            reason = f"The checkpoint {self.checkpoint} is of another network; delete it or move it."
            raise TrainingError(reason) from None
        self.generator.set_state(state["generator"].cpu())
        self.step, self.seconds, self.history = state["step"], state["seconds"], state["history"]


def infinite(values: dict[str, Any]) -> str | None:
    """The name of the first value that is not finite, or has such a number in a list of it; None if all are."""
    for name, value in values.items():
        leaves = [value]
        while leaves:
            leaf = leaves.pop()
            if isinstance(leaf, list | tuple):
                leaves += leaf
            elif isinstance(leaf, float) and not math.isfinite(leaf):
                return name
    return None
