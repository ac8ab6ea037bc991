"""The recorded runs, as tables: of an experiment, beside the paper, and what `make bench` measured."""

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd

from companion.marks import budgets, marks, note
from companion.records import Record, RecordError, commit, environment, label, load
from companion.settings import settings
from companion.storage import write_whole
from companion.training import reached

__all__ = [
    "Record",
    "RecordError",
    "against_paper",
    "benchmark",
    "experiments",
    "label",
    "labelled",
    "load",
    "load_all",
    "names",
    "owed",
    "paper_curves",
    "results_folder",
    "save_benchmark",
    "settings",
    "summary",
    "table",
    "updates_until",
]


def results_folder() -> Path:
    """Where the recorded runs are: $COMPANION_RESULTS, or book/results of the checkout around this folder or package.

    Raises:
        RecordError: there is none, or COMPANION_RESULTS names a folder without papers.toml.
    """
    if asked := os.environ.get("COMPANION_RESULTS"):
        folder = Path(os.path.expanduser(asked))
        if not os.path.isfile(folder / "papers.toml"):
            raise RecordError(
                f"COMPANION_RESULTS names {folder}, where there is no papers.toml; name a folder such as book/results."
            )
        return folder
    for start in (Path.cwd(), Path(__file__).resolve()):
        for folder in (start, *start.parents):
            if (folder / "book" / "results").is_dir():
                return folder / "book" / "results"
    raise RecordError(
        "The folder book/results was not found; run from a clone of the repository, or set COMPANION_RESULTS."
    )


def load_all(experiment: str, profile: str | None = None) -> list[Record]:
    """Load all records of an experiment, or of one of its profiles, by model and seed."""
    paths = sorted((results_folder() / experiment).glob("*.json"))
    records = [load(path) for path in paths]
    return [record for record in records if profile in (None, record.profile)]


def table(records: list[Record], metric: str = "loss") -> pd.DataFrame:
    """Runs as a table, a row a run: model, profile, seed, what the search chose, the test metrics, updates, seconds.

    If one of the models has a label, the labels stand behind the names. The `note` says where a number may yet move, by
    `companion.marks`: of the metric, if the looks measure it.
    """
    labels = any(record.label for record in records)
    rows = [
        {
            "model": record.model,
            **({"label": label(record)} if labels else {}),
            "profile": record.profile,
            "seed": record.seed,
            **record.chosen,
            **{name: value for name, value in record.metrics.items() if not isinstance(value, list)},
            "updates": record.steps,
            "seconds": record.wall_seconds,
            "note": note([marked]),
        }
        for record, marked in zip(records, marks(records, metric), strict=True)
    ]
    return pd.DataFrame(rows, columns=None if rows else ["model", "profile", "seed", "updates", "seconds", "note"])


def labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """A `table` or `summary` for people: the labels in place of the names of models, in a column or in the index."""
    if "label" not in rows:
        return rows
    if "model" in rows:
        return rows.assign(model=rows.label).drop(columns="label")
    others = [name for name in rows.index.names if name != "model"]
    return (
        rows.reset_index("model", drop=True)
        .rename(columns={"label": "model"})
        .set_index("model", append=True)
        .reorder_levels(["model", *others])
    )


def names(rows: pd.DataFrame) -> str:
    """The models of a summary's rows, as a list in a sentence."""
    return ", ".join(rows.index.get_level_values("model")) or "none"


def summary(records: list[Record], metric: str) -> pd.DataFrame:
    """The runs summed up, a row a model and profile: runs, the metric's mean, least and most, mean updates, and a note.

    Runs of a row that had other updates than its longest, and did not end by their goal, are a row of their own, under
    a profile such as "paper, 60,000 updates". If one of the models has a label, the labels come first. The note is that
    of `companion.marks`.
    """
    rows = table(records, metric).reindex(columns=["model", "profile", metric, "updates"])
    rows = rows.assign(profile=budgets(records), note=marks(records, metric))
    grouped = rows.groupby(["model", "profile"], sort=False)
    numbers = grouped[metric].agg(runs="count", mean="mean", least="min", most="max")
    numbers = numbers.join(grouped.updates.mean().round(1)).join(grouped.note.agg(lambda rows: note(list(rows))))
    if any(record.label for record in records):
        labels = {record.model: label(record) for record in records}
        numbers.insert(0, "label", [labels[model] for model, _ in numbers.index])
    return numbers


def updates_until(records: list[Record], goal: dict[str, int | float]) -> pd.Series:
    """The updates until a look at the validation set first reached a goal, such as {"accuracy": 0.99}.

    For each row of `summary` a text: the mean over the runs that got there, and how many of all did.
    """
    rows = [
        {
            "model": record.model,
            "profile": profile,
            "step": next((look["step"] for look in record.history if reached(look, goal)), None),
        }
        for record, profile in zip(records, budgets(records), strict=True)
    ]
    steps = pd.DataFrame(rows, columns=["model", "profile", "step"]).groupby(["model", "profile"], sort=False).step
    found = steps.agg(["mean", "count", "size"]).itertuples()
    texts = {row.Index: f"{row.mean:,.0f} ({row.count} of {row.size})" if row.count else "not reached" for row in found}
    return pd.Series(texts, dtype=str)


def _papers(kind: str) -> list[dict[str, Any]]:
    """The tables of one kind in papers.toml, such as "number".

    Raises:
        RecordError: the file cannot be read, or lacks them, or one of them has no experiment.
    """
    path = results_folder() / "papers.toml"
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))[kind]
        if isinstance(rows, list) and all(isinstance(row, dict) and "experiment" in row for row in rows):
            return rows
        reason = f"a [[{kind}]] has no experiment"
    except KeyError:
        reason = f"it has no [[{kind}]]"
    except (OSError, ValueError) as error:  # what is no TOML, and what is no UTF-8
        reason = " ".join(str(error).split()).rstrip(".")
    raise RecordError(f"{path} cannot be read ({reason}); restore it from the repository.")


def paper_numbers(experiment: str) -> pd.DataFrame:
    """The paper's own numbers of an experiment, from papers.toml, a row each.

    Columns: setting, model, metric, value, text, source, seen, scale. A row with neither value nor text is one that
    could not be verified.
    """
    rows = _papers("number")
    columns = ["setting", "model", "metric", "value", "text", "source", "seen", "scale"]
    return pd.DataFrame([row for row in rows if row["experiment"] == experiment]).reindex(columns=columns)


def paper_curves(experiment: str) -> pd.DataFrame:
    """The curves of an experiment's figures in the paper, from papers.toml, a row a point.

    Columns: model, metric, x (in the unit of `x_name`), x_name, value, source, seen.
    """
    curves = _papers("curve")
    columns = ["model", "metric", "x", "x_name", "value", "source", "seen"]
    rows = pd.DataFrame([curve for curve in curves if curve["experiment"] == experiment]).reindex(columns=columns)
    return rows.explode(["x", "value"], ignore_index=True).astype({"x": float, "value": float})


def against_paper(experiment: str, metric: str) -> pd.DataFrame:
    """Our recorded runs beside the paper's numbers, a row a model and profile; ours as mean (least to most) over seeds.

    A row that varies something of another, as "lstm-20-0.001" its learning rate or "lstm-200-averaged" what is tested,
    stands beside the paper's row of the rest of its name. A row of the paper's size says of how many updates at most it
    made its own. What the paper has and we have not run stands at the end; `owed` sums up what else was not run. The
    note is that of `companion.marks`.
    """
    records = load_all(experiment)
    ours = summary(records, metric).reset_index()
    theirs = paper_numbers(experiment)
    theirs = theirs[theirs.metric == metric]
    priced = benchmark("paper_rows").query("experiment == @experiment")
    most = {(model, "paper"): f" of {updates:,}" for model, updates in zip(priced.model, priced.updates, strict=True)}
    labels = {record.model: label(record) for record in records}

    def printed(model: str) -> str:
        name = varied_from(model, set(theirs.model))
        return "; ".join(said(number) for _, number in theirs[theirs.model == name].iterrows()) or "no row known to us"

    rows = [
        {
            "model": labels[row.model],
            "profile": row.profile,
            "ours": f"{row['mean']:.4f} ({row.least:.4f} to {row.most:.4f})",
            "runs": str(row.runs),
            "updates": f"{row.updates:,.0f}{most.get((row.model, row.profile), '')}",
            "note": row.note,
            "the paper": printed(row.model),
        }
        for _, row in ours.iterrows()
    ]
    beside = {varied_from(model, set(theirs.model)) for model in ours.model}
    known = theirs[theirs.value.notna() | theirs.text.notna()].model.drop_duplicates()
    left = {"profile": "", "ours": "not run", "runs": "", "updates": "", "note": ""}
    rows += [{"model": model, **left, "the paper": printed(model)} for model in known if model not in beside]
    return pd.DataFrame(rows, columns=["model", "profile", "ours", "runs", "updates", "note", "the paper"])


def owed(experiment: str) -> dict[str, int | float]:
    """The rows of the paper's size that were not run: how many `rows`, and the `hours` of one core they would take.

    As measured by `make bench`, for one seed; the search comes on top.
    """
    made = {record.model for record in load_all(experiment, "paper")}
    priced = benchmark("paper_rows").query("experiment == @experiment")
    missing = priced[~priced.model.isin(made)]
    return {"rows": len(missing), "hours": float(missing.hours.sum())}


def varied_from(model: str, known: set[str]) -> str:
    """The row of the paper that a row of ours varies: its name, less what it varies, from the last on, until known."""
    while model not in known and (varied := list(re.finditer(r"-(?:0\.\d+|averaged)", model))):
        model = model[: varied[-1].start()] + model[varied[-1].end() :]
    return model


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
    write_whole(path, lambda scratch: scratch.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8"))


def benchmark(name: str) -> pd.DataFrame:
    """The rows of a recorded benchmark, one for each measurement.

    Raises:
        RecordError: there is no such benchmark, or its file is damaged.
    """
    path = results_folder() / "benchmarks" / f"{name}.json"
    if not path.exists():
        raise RecordError(f"There is no benchmark {path}; `make bench` measures it.")
    try:
        return pd.DataFrame(json.loads(path.read_text(encoding="utf-8"))["rows"])
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise RecordError(f"{path} is not a whole benchmark; restore it, or measure anew with `make bench`.") from error
