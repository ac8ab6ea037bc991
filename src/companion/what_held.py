"""The claims as pictures and tables: what held, beside the papers' numbers."""

import html
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from companion import runs
from companion.claims import NEVER, Claim, Finding, Verdict, asked, blind_guess, compared, smaller_size
from companion.prose import Markdown, count, listing, number, percent, updates, word
from companion.training import HIGHER_IS_BETTER, Number

__all__ = ["draw", "figure", "table", "tally"]

PARTS = {"remind": "Remind", "attend": "Attend", "ponder": "Ponder", "ours": "Ours"}
# Of seaborn's palette for the colour-blind; the shapes say the same.
COLOURS = dict(zip(Verdict, ["#0173b2", "#029e73", "#de8f05", "#d55e00", "#949494", "#949494"], strict=True))
SHARES = {"accuracy", "error", "digit_error", "step_error", "position_error"}
KINDS = {"accuracy": " right", "error": " wrong"}
UNITS = {"bits_per_character": " bits", "ponder_steps": " steps", "loss": " nats"}
CLAIM = '<span class="claims">'  # by which the style sheet knows these tables
LEFT, RIGHT, MIDDLE = 8, 142, 9  # of the track, in pixels


def said(verdict: Verdict, own: bool = False) -> str:
    """Such as "● reproduced"; a claim of ours has no other size at which it could be reproduced, and "holds"."""
    return f"{verdict.symbol} {'holds' if own and verdict is Verdict.REPRODUCED else verdict}"


def tally(findings: list[Finding]) -> str:
    """How many claims have which verdict: "three *hold smaller*, one is *mixed* and ten are *thin*"."""
    counts = Counter(finding.verdict for finding in findings)

    def words(verdict: Verdict, many: bool) -> str:
        if verdict is Verdict.SMALLER:
            return "*hold smaller*" if many else "*holds smaller*"
        return f"{'are' if many else 'is'} *{verdict}*"

    return listing(f"{word(counts[each])} {words(each, counts[each] > 1)}" for each in Verdict if counts[each])


def written(claim: Claim, values: Iterable[Number]) -> str:
    """Numbers of a claim's metric, in its unit; a range if they are several."""
    values = list(values)
    if "sooner" in claim.criterion:
        here = [value for value in values if value != NEVER]
        late = f"not reached on {count(len(values) - len(here), 'seed')}" if len(here) < len(values) else ""
        return ", ".join(filter(None, [f"{updates(here)} updates" if here else "", late]))
    metric = claim.metric.partition("_by_")[0]
    text = percent(values) if metric in SHARES else number(values, 3) + UNITS.get(metric, "")
    return text.replace(" %", "\u00a0%")


def ours(finding: Finding) -> str:
    """Our numbers that decide a claim: the range over the seeds, beside that of each model it is compared with."""
    if not finding.seeds:
        return ""
    put = asked(finding.claim, finding.profile)
    sides = zip(*((seed.value, *seed.others) for seed in finding.seeds), strict=True)
    return against(put, [written(put, side) for side in sides])


def against(claim: Claim, sides: list[str]) -> str:
    """Such as "2 % against 3 %, 4 % wrong": a claim's numbers, with what they are shares of."""
    value, *others = sides
    kind = "" if "sooner" in claim.criterion else KINDS.get(claim.metric.partition("_by_")[0], "")
    return value + (f" against {', '.join(others)}" if others else "") + kind


def printed(claim: Claim) -> list[pd.Series | None]:
    """The paper's rows for a claim's model and for those it is compared with, or None where it has none."""
    numbers = runs.paper_numbers(claim.experiment)
    numbers = numbers[(numbers.source == claim.source) & (not claim.setting or numbers.setting == claim.setting)]
    rows = []
    for model in (claim.model, *compared(claim.criterion)):
        known = numbers[numbers.model == runs.varied_from(model, set(numbers.model))]
        exact = known[known.metric == claim.metric.partition("_by_")[0]]
        rows.append(exact.iloc[0] if len(exact) else known.iloc[0] if len(known) else None)
    return rows


def papers(claim: Claim) -> str:
    """What the paper says, in numbers or words, or where it says it; and if we could not read it there, that."""
    if not claim.source:
        return ""
    rows = printed(claim)
    values, texts = (
        [row[kind] for row in rows if row is not None and pd.notna(row[kind])] for kind in ("value", "text")
    )
    text = claim.source
    if "sooner" not in claim.criterion and len(values) == len(rows):
        text = against(claim, [written(claim, [value]) for value in values])
    elif claim.metric == "error" and texts:
        text = texts[0]
    where = {row.seen for row in rows if row is not None}
    if any(seen.startswith("not verified") for seen in where):
        return "not verified †"
    return text + (" †" if any(seen.startswith("a published summary") for seen in where) else "")


def size(finding: Finding) -> str:
    """At what size a claim was decided."""
    if finding.verdict is Verdict.NOT_RUN:
        return ""
    seeds = counted(len(finding.seeds))
    if finding.claim.part == "ours":
        return seeds
    if finding.full_size:
        return f"the paper's, {seeds}"
    if finding.profile == finding.claim.profile:
        reduced = f"{finding.updates:,} updates"
    else:
        other = finding.label if "model" in finding.claim.smaller else ""
        words = smaller_size(finding.claim.experiment) or f"{finding.updates:,} updates"
        reduced = ", ".join(filter(None, [other, words]))
    beside = f"; the paper's, {counted(finding.at_full)}, agrees" if finding.at_full else ""
    return f"{reduced}, {seeds}{beside}"


def counted(seeds: int) -> str:
    """Such as "3 seeds", in figures, for a table."""
    return f"{seeds} seed{'s' * (seeds > 1)}"


def place(claim: Claim, value: Number, profile: str) -> float | None:
    """Where a number stands between the blind guess, 0, and perfect, 1; None if its metric has no such ends."""
    metric = claim.metric.partition("_by_")[0]
    guess = blind_guess(claim.experiment, metric, profile)
    if guess is None or "sooner" in claim.criterion or (perfect := float(metric in HIGHER_IS_BETTER)) == guess:
        return None
    return min(1.0, max(-0.04, (value - guess) / (perfect - guess)))


def track(finding: Finding) -> str:
    """A line from the blind guess to perfect with the paper's number, a diamond, and a mark a seed; or nothing."""
    claim = finding.claim
    dots = [place(claim, seed.value, finding.profile) for seed in finding.seeds]
    row, *_ = printed(claim) if claim.source else [None]
    value = None if row is None or pd.isna(row.value) or row.seen.startswith("not verified") else row.value
    paper = None if value is None else place(claim, value, claim.profile)
    if paper is None and not [dot for dot in dots if dot is not None]:
        return ""
    ends = [f'<line x1="{x}" y1="5" x2="{x}" y2="13" stroke="currentColor"/>' for x in (LEFT, RIGHT)]
    line = f'<line x1="{LEFT}" y1="{MIDDLE}" x2="{RIGHT}" y2="{MIDDLE}" stroke="currentColor" stroke-opacity="0.4"/>'
    marks = [mark(finding.verdict, LEFT + dot * (RIGHT - LEFT)) for dot in dots if dot is not None]
    if paper is not None:
        x = LEFT + paper * (RIGHT - LEFT)
        corners = f"{x:.1f},3 {x + 6:.1f},{MIDDLE} {x:.1f},15 {x - 6:.1f},{MIDDLE}"
        marks.append(f'<polygon points="{corners}" fill="none" stroke="currentColor" stroke-width="1.5"/>')
    theirs = f"The paper: {papers(claim)}. " if claim.source else ""
    told = f"{theirs}Ours: {ours(finding) or finding.verdict}."
    label = html.escape(told, quote=True)
    start = f'<svg class="track" role="img" aria-label="{label}" width="150" height="18" viewBox="0 0 150 18">'
    return "".join([start, line, *ends, *marks, "</svg>"])


def mark(verdict: Verdict, x: Number) -> str:
    """One seed on the track: the shape and colour of the verdict."""
    colour = COLOURS[verdict]
    if verdict is Verdict.MIXED:
        return f'<polygon points="{x:.1f},4 {x + 5:.1f},13 {x - 5:.1f},13" fill="{colour}" fill-opacity="0.8"/>'
    if verdict is Verdict.NOT_FOUND:
        strokes = f"M{x - 4:.1f},5 L{x + 4:.1f},13 M{x - 4:.1f},13 L{x + 4:.1f},5"
        return f'<path d="{strokes}" stroke="{colour}" stroke-width="2.5"/>'
    fill = {Verdict.REPRODUCED: 1, Verdict.SMALLER: 0.45}.get(verdict, 0)
    how = f'fill="{colour}" fill-opacity="{fill}" stroke="{colour}" stroke-width="1.5"'
    return f'<circle cx="{x:.1f}" cy="{MIDDLE}" r="4" {how}/>'


def link(claim: Claim) -> str:
    """The claim's sentence, as a link from the results page to its experiment."""
    return f"[{claim.claim}]({claim.experiment}.ipynb)"


def rows(head: list[str], lines: Iterable[list[str]]) -> str:
    """A table in Markdown."""
    cells = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def figure(findings: list[Finding]) -> Markdown:
    """What held: a row a claim with its track and verdict, grouped by paper; each leads to its experiment."""
    lines = []
    for part, name in PARTS.items():
        group = [finding for finding in findings if finding.claim.part == part]
        lines += [[f"**{name}**", "", ""]] * bool(group)
        lines += [[link(each.claim), track(each), said(each.verdict, part == "ours")] for each in group]
    return Markdown(rows([f"{CLAIM}the claim</span>", "blind guess … perfect", "verdict"], lines))


def table(findings: list[Finding], linked: bool = False) -> Markdown:
    """A row a claim: the claim, the paper, ours, the size that decides it, and the verdict."""
    lines = [
        [
            link(each.claim) if linked else each.claim.claim,
            papers(each.claim) or "ours",
            ours(each),
            size(each),
            said(each.verdict, each.claim.part == "ours"),
        ]
        for each in findings
    ]
    return Markdown(rows([f"{CLAIM}the claim</span>", "the paper", "ours", "size", "verdict"], lines))


def draw(findings: list[Finding], path: Path) -> None:
    """A small picture for the first page: a square a claim, a row a paper, sorted and coloured by verdict."""
    order = list(Verdict)
    groups = {
        name: sorted((each.verdict for each in findings if each.claim.part == part), key=order.index)
        for part, name in PARTS.items()
        if part != "ours"
    }
    _, axes = plt.subplots(figsize=(7, 1.9))
    for y, verdicts in enumerate(groups.values()):
        for x, verdict in enumerate(verdicts):
            solid = verdict not in (Verdict.THIN, Verdict.NOT_RUN)
            face = COLOURS[verdict] if solid else "white"
            axes.add_patch(plt.Rectangle((x, y), 0.86, 0.8, facecolor=face, edgecolor=COLOURS[verdict]))
            ink = "white" if solid else "black"
            axes.text(x + 0.43, y + 0.4, verdict.symbol, ha="center", va="center", color=ink, family="DejaVu Sans")
    for y, name in enumerate(groups):
        axes.text(-0.3, y + 0.4, name, ha="right", va="center", fontsize=11)
    kinds = [verdict for verdict in order if any(verdict in group for group in groups.values())]
    numbers = Counter(each.verdict for each in findings if each.claim.part != "ours")
    legend = "    ".join(f"{verdict.symbol} {verdict}: {numbers[verdict]}" for verdict in kinds)
    axes.text(0, 3.45, legend, va="center", fontsize=9, color="black", family="DejaVu Sans")
    axes.set(xlim=(-2.4, max(map(len, groups.values())) + 1), ylim=(3.8, -0.1))
    axes.set_axis_off()
    plt.savefig(path, bbox_inches="tight")
    plt.close()
