"""No typed results: a sentence that reads a result computes its numbers, by `companion.prose.say`.

A reading is the Markdown below a heading of the second level that says so, that of a discussion down to its exercises,
and the templates of `say` wherever they stand. What is left of it without names, formulas, references, sizes and what
`typed_results.toml` allows has no digits and no number words.
"""

import ast
import re
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(path for path in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts)

READINGS = re.compile(
    r"In short|What we read from it|Beside the papers?|What it costs|What each costs|Does it matter"
    r"|Fixed repeats at as many steps|With a gap|Where it thinks|Where the entries sit|At the paper's size"
    r"|Windows that are skipped"
)
NO_READINGS = re.compile(r"Exercises|What the paper leaves out|What came after|^$")  # of a discussion

NO_RESULT = [
    r"```.*?```",
    r"`[^`]*`",  # names of models and of code
    r"\$\$.*?\$\$|\$[^$]*\$",  # formulas
    r"\{[a-z:]+\}`[^`]*`",  # roles, such as citations
    r"\]\([^)]*\)",  # where a link leads
    r"\{[^{}]*\}",  # what a template fills in
    r"\[?\([A-Z]\d+\)\]?",  # numbers of equations
    r"\bet al\. \d{4}|\b\w+ \d{4}\b(?=[,)])",  # years of papers
    r"\b(?:[Ff]igure|[Tt]able|[Ss]ection|[Ee]quation|[Aa]ppendix)s? [A-Z]?\d+(?:\.\d+)*[a-z]?",
    r"\b(?:Adam|float|CIFAR-|Python |MNIST-|T4|H200|A100)\d*",
    # Settings: a symbol with its value, a size, a seed by its number.
    r"(?:\b[KNTRWM]|[λτηγεσμ]) ?[=≤≥<>] ?-?\d(?:[\d.,]*\d)?",
    r"\b[Ss]eed \d+",
]
SIZE = r"(?:bits|units|pairs|pixels|vectors|entries|gates|digits|letters|steps an update|inner steps)"
WORD = (
    r"two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million"
)
NO_RESULT.append(rf"\b(?:\d{{1,3}}(?:,\d{{3}})*|{WORD}) (?:scattered )?{SIZE}\b")
TYPED = re.compile(
    rf"\d[\d.,]*|\b(?:{WORD})s?\b|\b(?:twice|half|halves|thirds?|quarters?|tenths?|hundredths?|thousandths?|dozens?)\b"
    r"|\bone (?:seed|run|row|of|in|point|step|month|week|day|hour|minute|second)\b",
    re.IGNORECASE,
)


def typed(text: str) -> list[str]:
    """The digits and number words that are left of a text without what is no result."""
    for pattern in NO_RESULT:
        text = re.sub(pattern, " ", text, flags=re.DOTALL)
    return TYPED.findall(text)


def is_reading(path: Path, heading: str) -> bool:
    return not NO_READINGS.search(heading) if path.stem == "discussion" else bool(READINGS.search(heading))


def readings(path: Path) -> dict[str, str]:
    """A notebook's reading sections: heading of the second level → the Markdown below it, down to the next one."""
    found, heading = {}, ""
    for cell in nbformat.read(path, as_version=4).cells:
        for line in cell.source.splitlines() if cell.cell_type == "markdown" else []:
            if line.startswith("## "):
                heading = line.removeprefix("## ")
            elif is_reading(path, heading):
                found[heading] = found.get(heading, "") + line + "\n"
    return found


def templates(source: str) -> list[str]:
    """The templates that a code cell says, with what is typed between the places of an f-string."""
    plain = re.sub(r"^(\s*)[!%].*", r"\1pass", source, flags=re.MULTILINE)
    calls = [node for node in ast.walk(ast.parse(plain)) if isinstance(node, ast.Call) and node.args]
    said = [call.args[0] for call in calls if ast.unparse(call.func).rpartition(".")[2] == "say"]
    return [" ".join(part.value for part in ast.walk(text) if isinstance(part, ast.Constant) and
                     isinstance(part.value, str)) for text in said]  # fmt: skip


def name(path: Path) -> str:
    return path.relative_to(ROOT / "notebooks").with_suffix("").as_posix()


LISTED = tomllib.loads((ROOT / "tests" / "house" / "typed_results.toml").read_text())


def typed_in(path: Path, text: str) -> list[str]:
    """What is typed into a text of a notebook, without the phrases that are allowed there."""
    for phrase in LISTED["allowed"].get(name(path), []):
        text = text.replace(phrase, " ")
    return typed(text)


def test_only_the_listed_readings_have_typed_results():
    """And a listed one that has none any more leaves the list, so that the list only shrinks."""
    found, listed = {}, set()
    for path in NOTEBOOKS:
        found |= {(name(path), head): typed_in(path, text) for head, text in readings(path).items()}
    for notebook, headings in LISTED["to_rewrite"].items():
        listed |= {(notebook, heading) for heading in headings}
    new = {section: numbers for section, numbers in found.items() if numbers and section not in listed}
    assert not new, "say these numbers with companion.prose.say"
    assert not {section for section in listed if not found.get(section)}, "take these out of typed_results.toml"


def test_what_is_allowed_still_stands_in_a_reading():
    for notebook, phrases in LISTED["allowed"].items():
        path = ROOT / "notebooks" / f"{notebook}.ipynb"
        text = "\n".join(readings(path).values())
        for phrase in phrases:
            assert phrase in text, f"{notebook}: {phrase}"
            assert typed(phrase), f"{notebook}: {phrase!r} needs no leave"
            assert not typed_in(path, phrase)


def test_no_number_is_typed_into_a_template():
    said = 0
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            for template in templates(cell.source) if cell.cell_type == "code" else []:
                said += 1
                assert not typed(template), f"{name(path)}: {typed(template)} in {template[:80]!r}"
    assert said, "no notebook says a sentence"


def test_a_sentence_is_folded_and_keeps_its_links():
    """The code of a sentence is folded; without "myst", a link in it to another notebook leads nowhere in the book."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]
    assert config["nb_render_markdown_format"] == "myst"
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code" and templates(cell.source):
                assert {"hide-input", "remove-input"} & set(cell.metadata.get("tags", [])), cell.source
                assert any("text/markdown" in output.get("data", {}) for output in cell.outputs), "run make notebooks"


@pytest.mark.parametrize(
    "text",
    [
        "It errs on 1.2 % of them.",
        "SAB solves it on all three seeds.",
        "**Two of three** seeds went on.",
        "It took twice the time, or half of that.",
        "One seed of each row is recorded.",
        "A month for 44 days.",
        "ended after 15,000 updates",
        "a reward of 0.9 at N = 16",
        "λ = 0.95 ends at 3",
        "a third of the questions",
        "R = 50: 3.1",
        "With eight pairs it errs on eight in a hundred",
        "3.04 bits",
    ],
)
def test_a_typed_result_is_seen(text):
    assert typed(text)


@pytest.mark.parametrize(
    "text",
    [
        "With `lstm-10` and `act-0.001` there is more to say, and no one said it.",
        "By (S3), [(F4)](eq-fast-4) and Figure 2 of section 4.1, Ba et al. 2016 say so.",
        "At R = 50, λ = 0.95 and τ ≤ 0.03 with 64 bits, 1,024 pixels and four pairs.",
        "As {cite:t}`fojo2018repeat` found, $x^2 < 3$ in [the page](page_2.ipynb).",
        "On seed 1 the one is ahead of {other}, by {gap:.3f}.",
        "It comes second, and the others at the first step.",
    ],
)
def test_what_is_no_result_may_be_typed(text):
    assert typed(text) == []


def test_a_reading_ends_at_the_next_section_and_has_its_subsections(tmp_path):
    cells = ["# Title\n\nOne.", "## What we read from it\n\nFour.\n\n### Of it", "More.", "## The task\n\nSix."]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(cell) for cell in cells])
    nbformat.write(notebook, tmp_path / "page.ipynb")
    assert {head: text.split() for head, text in readings(tmp_path / "page.ipynb").items()} == {
        "What we read from it": ["Four.", "###", "Of", "it", "More."]
    }
    (tmp_path / "page.ipynb").rename(tmp_path / "discussion.ipynb")
    assert set(readings(tmp_path / "discussion.ipynb")) == {"What we read from it", "The task"}


def test_templates_are_found_in_code():
    source = 'x = 3\nprose.say(f"It took {x} of 5.", y=4)\nsay("""all {n}""", n=2)\nprint("7")'
    assert [text.split() for text in templates(source)] == [["It", "took", "of", "5."], ["all", "{n}"]]
