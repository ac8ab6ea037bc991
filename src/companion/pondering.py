"""Networks that decide how often to step, beside networks that take the same number of steps for every input.

What Ponder asks of its records: are the steps spent where examples are hard, and does adapting help, or only repeating?
The names of that part's rows say which is which: `act-τ` and `pondernet-λ` decide, `repeats-n` repeats, and so does a
plain `rnn`, `gru` or `lstm`, once.
"""

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from companion.mechanisms import AdaptiveComputation
from companion.records import Record, label
from companion.runs import table


def inner_states(
    layer: AdaptiveComputation, inputs: Float[Tensor, "1 batch features"], steps: int
) -> Float[Tensor, "steps batch hidden"]:
    """The state h after each of so many inner steps on one input, also where the layer would have stopped before."""
    (first,), (again,) = layer.cell.drives(inputs)
    state, hidden = layer.cell.start(inputs, None), []
    for step in range(steps):
        state = layer.cell(again if step else first, state)
        hidden.append(state.hidden)
    return torch.stack(hidden)


def by_difficulty(records: list[Record], setting: str, first: int = 1) -> pd.DataFrame:
    """Error and mean N against what makes an example hard, such as "bits": a row a model, seed and value of it.

    From the metrics `error_by_<setting>` and `ponder_steps_by_<setting>`, lists with a number for each value from
    `first` on. Columns: model, label, seed, the setting, error, ponder_steps.
    """
    rows = []
    for record in records:
        lists = (record.metrics[f"{metric}_by_{setting}"] for metric in ("error", "ponder_steps"))
        run = record.model, label(record), record.seed
        rows += [(*run, at, *pair) for at, pair in enumerate(zip(*lists, strict=True), first)]
    return pd.DataFrame(rows, columns=["model", "label", "seed", setting, "error", "ponder_steps"])


def variants(models: pd.Series) -> pd.Series:
    """What is left of each name without its network, such as "-prefix": which variant of the task it learned.

    A halting bias, as in `act-0.01-bias-0`, is part of the network; a fixed learning rate, as in `act-0.01-0.001`, is
    not, so that both sides of a comparison have it.
    """
    number = r"[0-9]+(?:\.[0-9]+)?(?:e-[0-9]+)?"
    network = rf"^(?:rnn|gru|lstm|[a-z]+-{number})(?:-bias-[a-z-]*[0-9]+)?"
    return models.str.replace(network, "", regex=True)


def repeating(models: pd.Series) -> pd.Series:
    """Say of each name whether its model takes the same number of steps for every input, one or more."""
    return models.str.match("rnn|gru|lstm|repeats-").astype(bool)


def beside_repeats(records: list[Record], metric: str) -> pd.DataFrame:
    """Every model that decides its own N beside the fixed repeats nearest to it in N, a row each, means over seeds.

    Each run of it is matched by its own mean N, since seeds differ in it; all that were matched are named, by their
    labels. "steps apart" says by how much the two differ in N; "there" is of the fixed repeats. Both sides learned the
    same one of the `variants` of the task.
    """
    rows = table(records).reindex(columns=["model", metric, "ponder_steps", "updates"])
    rows["variant"] = variants(rows.model)
    repeats = repeating(rows.model)
    labels = {record.model: label(record) for record in records}
    fixed = rows[repeats].groupby(["model", "variant"], sort=False).mean().reset_index()
    found = []
    for model, made in rows[~repeats].groupby("model", sort=False):
        alike = fixed[fixed.variant == made.variant.iloc[0]].set_index("model")
        if alike.empty:
            continue
        near = alike.loc[[(alike.ponder_steps - n).abs().idxmin() for n in made.ponder_steps]]
        apart = [abs(ours - theirs) for ours, theirs in zip(made.ponder_steps, near.ponder_steps, strict=True)]
        found.append([model, made.ponder_steps.mean(), made[metric].mean(), made.updates.mean()])
        named = "; ".join(dict.fromkeys(labels[each] for each in near.sort_values("ponder_steps").index))
        found[-1] += [named, sum(apart) / len(apart), near[metric].mean(), near.updates.mean()]
    columns = ["model", "mean N", metric, "updates"]
    columns += ["nearest repeats", "steps apart", f"{metric} there", "updates there"]
    beside = pd.DataFrame(found, columns=columns)
    if any(record.label for record in records):
        beside.insert(1, "label", beside.model.map(labels))
    return beside
