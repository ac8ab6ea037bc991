"""The house style, and the plots that recur."""

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import same_color, to_rgb
from matplotlib.lines import Line2D

from companion.pondering import repeating
from companion.records import Record, label
from companion.runs import paper_numbers, varied_from
from companion.tasks import Task

WIDE = (7.0, 3.6)
MOST_IN_LEGEND = 5  # more names stand at their lines


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


def oracles(axes: Axes, task: Task | type[Task], metric: str, line: Callable | None = None) -> None:
    """Draw the task's chance, dotted, and its best blind guess, dashed, if the task knows them for this metric.

    `line` is the axes' method for it: `axhline`, or `axvline` where the metric runs from left to right.
    """
    if metric not in task.chance:
        return
    line = line or axes.axhline
    line(task.chance[metric], color="0.45", linestyle=":", label="chance")
    if task.blind_guess[metric] != task.chance[metric]:
        line(task.blind_guess[metric], color="0.25", linestyle="--", label="best blind guess")


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

    These are named by the column "τ" of their rows, if there is one, at heights in turn, so that near ones can be read.
    """
    _, axes = plt.subplots(figsize=(5.2, 2.8))
    repeats = repeating(rows.model)
    for kind, part, colour in (("N steps for all", rows[repeats], "C3"), ("decides N, by τ", rows[~repeats], "C0")):
        columns = ["model", "ponder_steps", metric, "τ"]
        means = part.reindex(columns=columns).astype({"τ": float}).groupby("model").mean().sort_values("ponder_steps")
        axes.plot(means.ponder_steps, means[metric], color=colour, label=kind, lw=1.2)
        axes.scatter(part.ponder_steps, part[metric], color=colour, alpha=0.5, s=12)
        for (_, n, value, penalty), height in zip(
            means.dropna(subset=["τ"]).itertuples(), cycle((8, -13, 18)), strict=False
        ):
            how = {"xytext": (0, height), "textcoords": "offset points", "ha": "center", "fontsize": 7, "color": colour}
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


def beside_paper(
    records: list[Record],
    task: Task | type[Task],
    metric: str,
    models: Sequence[str] | None = None,
    scale: str = "linear",
) -> Axes:
    """A row a model, in the order of `models`: a dot a run, the paper's number as a diamond, and the task's oracles."""
    order = list(dict.fromkeys(record.model for record in records)) if models is None else list(models)
    shown = [record for record in records if record.model in order and metric in record.metrics]
    order = [model for model in order if any(record.model == model for record in shown)]
    labels = {record.model: label(record) for record in shown}
    _, axes = plt.subplots(figsize=(6.4, 0.8 + 0.3 * len(order)))
    for profile, colour in zip(dict.fromkeys(record.profile for record in shown), ("C0", "C1", "C2"), strict=False):
        dots = [(record.metrics[metric], order.index(record.model)) for record in shown if record.profile == profile]
        axes.scatter(
            *zip(*dots, strict=True), color=colour, alpha=0.7, s=24, label=f"ours, {profile} profile", zorder=3
        )
    numbers = paper_numbers(shown[0].experiment) if shown else pd.DataFrame(columns=["model", "metric", "value"])
    numbers = (
        numbers[(numbers.metric == metric) & numbers.value.notna()].drop_duplicates("model").set_index("model").value
    )
    said = [(y, varied_from(model, set(numbers.index))) for y, model in enumerate(order)]
    the_paper(axes, *zip(*[(numbers[model], y) for y, model in said if model in numbers], strict=True))
    oracles(axes, task, metric, axes.axvline)
    axes.set(xlabel=task.names.get(metric, metric), xscale=scale, ylim=(len(order) - 0.5, -0.5))
    axes.set_yticks(range(len(order)), [labels[model] for model in order])
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return axes


def the_paper(axes: Axes, x: Sequence[int | float] = (), y: Sequence[int | float] = ()) -> None:
    """Draw the paper's numbers as open diamonds, if there are any."""
    if x:
        axes.scatter(x, y, marker="D", s=36, facecolor="none", edgecolor="black", label="the paper", zorder=4)


def finish(axes: Axes, task: Task, metric: str, legend: bool = True) -> Axes:
    """Add the oracles, the metric's name and a legend beside the plot; more than five lines are named at their ends."""
    oracles(axes, task, metric)
    axes.set(ylabel=task.names.get(metric, metric))
    if axes.get_legend() is not None:
        axes.get_legend().remove()
    handles, labels = axes.get_legend_handles_labels()
    if legend and len(labels) > MOST_IN_LEGEND and all(hasattr(handle, "get_xdata") for handle in handles):
        name_lines(axes, dict(zip(labels, handles, strict=True)))
    elif legend and labels:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return axes


def name_lines(axes: Axes, handles: dict[str, Line2D]) -> None:
    """Write each name beside the right ends of the lines of its colour, moved apart where they would overlap."""
    ends = {}
    for name, handle in handles.items():
        lines = [
            line for line in axes.lines if same_color(line.get_color(), handle.get_color()) and len(line.get_ydata())
        ]
        if lines:
            last = [axes.transData.transform((0, line.get_ydata()[-1]))[1] for line in lines]
            ends[name] = axes.transAxes.inverted().transform((0, sum(last) / len(last)))[1], handle.get_color()
    height = 11 / (axes.get_window_extent().height or 1)  # of a line of type, in shares of the axes
    placed = -1.0
    for name, (y, colour) in sorted(ends.items(), key=lambda end: end[1][0]):
        placed = max(y, placed + height)
        how = {"transform": axes.transAxes, "va": "center", "fontsize": 8}
        axes.text(1.01, placed, name, color=[0.75 * share for share in to_rgb(colour)], **how)  # darker, to be read
