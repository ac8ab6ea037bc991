"""The house style, and the plots that recur."""

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from companion.pondering import repeating
from companion.records import Record, label
from companion.tasks import Task

WIDE = (7.0, 3.6)


def style() -> None:
    """Set the house style: white ground (dark mode leaves it alone), small type, 100 dots an inch; tables are whole."""
    pd.set_option("display.max_colwidth", None, "display.max_rows", None)
    sns.set_theme(
        context="paper",
        style="whitegrid",
        palette="colorblind",
        rc={
            "figure.dpi": 100,
            "savefig.dpi": 100,
            "figure.figsize": WIDE,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "figure.constrained_layout.use": True,
        },
    )


def colours(models: pd.Series) -> dict | None:
    """For more than six models, some of which decide N: blues for these, reds for repeats, darker for more steps."""
    names = models.drop_duplicates()
    if len(names) <= 6 or not names.str.startswith("act-").any():
        return None
    decides, repeats = names[~repeating(names)], names[repeating(names)]
    repeats = sorted(repeats, key=lambda name: int(name.split("-")[1]) if name.startswith("repeats") else 1)
    blues, reds = sns.color_palette("crest_r", len(decides)), sns.color_palette("flare", len(repeats))
    return dict(zip([*decides, *repeats], [*blues, *reds], strict=True))


def by_model(rows: pd.DataFrame) -> dict[str, Any]:
    """For seaborn: a colour a model, called by its label where the rows have one."""
    palette = colours(rows.model)
    if "label" not in rows:
        return {"hue": "model", "palette": palette}
    labels = dict(zip(rows.model, rows.label, strict=True))
    return {"hue": "label", "palette": palette and {labels[model]: colour for model, colour in palette.items()}}


def oracles(axes: Axes, task: Task, metric: str) -> None:
    """Draw the task's chance, dotted, and its best blind guess, dashed, if the task knows them for this metric."""
    if metric not in task.chance:
        return
    axes.axhline(task.chance[metric], color="0.5", linestyle=":", label="chance")
    if task.blind_guess[metric] != task.chance[metric]:
        axes.axhline(task.blind_guess[metric], color="0.3", linestyle="--", label="best blind guess")


def learning_curves(
    records: list[Record], task: Task, metric: str, axes: Axes | None = None, count: tuple[str, int] = ("updates", 1)
) -> Axes:
    """A metric on the validation set over updates: one colour a model, one line a seed, with the task's oracles.

    `count` says what to count instead of updates, and how many of them an update makes, such as ("frames", 1024).
    """
    axes = axes or plt.subplots()[1]
    looks = [
        (record.model, label(record), record.seed, look["step"], look[metric])
        for record in records
        for look in record.history
    ]
    looks = pd.DataFrame(looks, columns=["model", "label", "seed", "step", metric])
    looks.step *= count[1]
    how = {"units": "seed", "estimator": None, "lw": 1.2, **by_model(looks)}
    sns.lineplot(looks, x="step", y=metric, ax=axes, **how)
    axes.set(xlabel=count[0])
    axes.xaxis.set_major_locator(plt.MaxNLocator(4))
    return finish(axes, task, metric)


def by_setting(
    rows: pd.DataFrame,
    setting: str,
    metric: str,
    task: Task,
    axes: Axes | None = None,
    family: str | None = None,
    legend: bool = True,
) -> Axes:
    """A metric against a setting: a dot a row, a line through the means of each family of rows, such as "model"."""
    axes = axes or plt.subplots()[1]
    how = by_model(rows) if family == "model" and "model" in rows else {"hue": family}
    if setting == "model" and "label" in rows:
        setting = "label"
    rows = rows.reindex(columns=[name for name in (setting, metric, how["hue"]) if name])
    sns.lineplot(rows, x=setting, y=metric, errorbar=None, ax=axes, **how)
    sns.scatterplot(rows, x=setting, y=metric, alpha=0.5, s=12, legend=False, ax=axes, **how)
    return finish(axes, task, metric, legend)


def against_steps(rows: pd.DataFrame, task: Task, metric: str = "error", scale: str = "log") -> Axes:
    """A metric against mean N: a dot a run, a line through the fixed repeats and one through the models that decide.

    These are named by the column "τ" of their rows, if there is one.
    """
    _, axes = plt.subplots(figsize=(5.2, 2.8))
    repeats = repeating(rows.model)
    for kind, part, colour in (("N steps for all", rows[repeats], "C3"), ("decides N, by τ", rows[~repeats], "C0")):
        columns = ["model", "ponder_steps", metric, "τ"]
        means = part.reindex(columns=columns).astype({"τ": float}).groupby("model").mean().sort_values("ponder_steps")
        axes.plot(means.ponder_steps, means[metric], color=colour, label=kind, lw=1.2)
        axes.scatter(part.ponder_steps, part[metric], color=colour, alpha=0.5, s=12)
        for _, n, value, penalty in means.dropna(subset=["τ"]).itertuples():
            how = {"xytext": (0, 8), "textcoords": "offset points", "ha": "center", "fontsize": 7, "color": colour}
            axes.annotate(f"{penalty:g}", (n, value), **how)
    axes.set(xlabel=task.names["ponder_steps"], ylabel=task.names[metric], yscale=scale)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return axes


def error_and_steps(rows: pd.DataFrame, setting: str, task: Task) -> list[Axes]:
    """Two panels of the rows of `pondering.by_difficulty`: the error, mean over seeds, and mean N, a line a seed."""
    _, panels = plt.subplots(1, 2, figsize=(7, 3.4))
    seeds = {"error": {"errorbar": None}, "ponder_steps": {"units": "seed", "estimator": None, "lw": 1}}
    for panel, (metric, how) in zip(panels, seeds.items(), strict=True):
        sns.lineplot(rows, x=setting, y=metric, ax=panel, **by_model(rows), **how)
        finish(panel, task, metric, legend=metric == "ponder_steps")
    return list(panels)


def finish(axes: Axes, task: Task, metric: str, legend: bool = True) -> Axes:
    """Add the oracles, the metric's name and the legend, which stands beside the plot."""
    oracles(axes, task, metric)
    axes.set(ylabel=task.names.get(metric, metric))
    if axes.get_legend() is not None:
        axes.get_legend().remove()
    if legend and axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return axes
