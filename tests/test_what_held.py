"""What held, in words and pictures: made-up findings, and the committed ones."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from test_claims import LAPTOP, PAPER, claim, row

from companion import claims, what_held
from companion.claims import Verdict, judge

TABLE1 = {"experiment": "attend/associative_retrieval", "source": "Table 1", "model": "lstm-20", "profile": "paper"}


def found(values, size=PAPER, **changes):
    put = claim(**TABLE1 | changes)
    return judge(put, row(values, size, model=put.model, metric=put.metric))


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_of_the_table_has_the_paper_ours_the_size_and_the_verdict():
    (line,) = what_held.table([found([0.1, 0.05, 0.0])]).splitlines()[2:]
    assert cells(line)[:3] == ["It errs little", "61\u00a0% wrong", "0 to 10\u00a0% wrong"]
    assert cells(line)[3:] == ["the paper's, 3 seeds", "● reproduced"]
    (line,) = what_held.table([found([0.1, 0.05, 0.0], LAPTOP)]).splitlines()[2:]
    assert cells(line)[3:] == ["100 updates, 3 seeds", "◐ holds smaller"]
    (line,) = what_held.table([found([0.1, 0.05, 0.0], {**PAPER, "budget": 500, "steps": 500})]).splitlines()[2:]
    assert cells(line)[3:] == ["500 updates, 3 seeds", "◐ holds smaller"]
    (line,) = what_held.table([found([])]).splitlines()[2:]
    assert cells(line) == ["It errs little", "61\u00a0% wrong", "", "", "– not run"]


def test_verdicts_are_counted_in_words():
    smaller, thin = found([0.1, 0.05, 0.0], LAPTOP), found([0.2])
    assert what_held.tally([smaller, thin, thin]) == "one *holds smaller* and two are *thin*"
    assert what_held.tally([smaller, smaller, found([])]) == "two *hold smaller* and one is *not run*"


def test_the_size_says_what_stood_for_the_claims_model_and_that_the_papers_size_agrees():
    both = claim(**TABLE1)
    few = row([0.1], model="lstm-20") + row([0.1, 0.0, 0.0], LAPTOP, model="lstm-20")
    assert what_held.size(judge(both, few)) == "100 updates, 3 seeds; the paper's, 1 seed, agrees"
    put = claim(**TABLE1, smaller={"model": "sab"})
    assert what_held.size(judge(put, row([0.1] * 3, LAPTOP, label="SAB, small"))) == "SAB, small, 100 updates, 3 seeds"
    assert what_held.size(judge(claim(), row([0.1] * 3, LAPTOP))) == "delay 30, 3 seeds"


def test_a_claim_of_ours_holds_and_names_no_paper():
    ours = judge(claim(profile="laptop", updates=100, source=""), row([0.1, 0.05, 0.0], LAPTOP))
    (line,) = what_held.table([ours]).splitlines()[2:]
    assert cells(line) == ["It errs little", "ours", "0 to 10\u00a0% wrong", "3 seeds", "● holds"]


def test_what_is_compared_stands_beside_it():
    put = claim({"above": ["sab"]}, **TABLE1)
    both = judge(put, row([0.4] * 3, model="lstm-20") + row([0.1, 0.2, 0.3]))
    assert what_held.ours(both) == "40\u00a0% against 10 to 30\u00a0% wrong"
    put = claim({"sooner": {"goal": {"error": 0.1}, "than": ["sab"]}}, **TABLE1)
    fast = row([0.1] * 3, model="lstm-20", looks=[{"error": 0.1}])
    assert what_held.ours(judge(put, fast + row([0.1] * 3))) == "100 updates against not reached on three seeds"
    assert what_held.papers(claim({"below": ["irnn-20"]}, **TABLE1)) == "61\u00a0% against 62\u00a0% wrong"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"experiment": "remind/copying", "source": "the copying tables", "model": "lstm"}, "not verified †"),
        ({"experiment": "remind/transfer", "source": "the transfer table", "setting": "T=5000", "model": "sab-10-10",
          "metric": "accuracy_by_delay"}, "41\u00a0% right †"),
        ({"experiment": "ponder/logic", "source": "Section 3.2", "model": "lstm"}, "about 0.2 at best"),
        ({"experiment": "ponder/wikipedia", "source": "Section 3.5", "model": "lstm", "metric": "ponder_steps_by_kind"},
         "Section 3.5"),
    ],
)  # fmt: skip
def test_what_could_not_be_read_in_the_paper_is_marked(changes, said):
    assert what_held.papers(claim(**changes)) == said


def test_the_track_runs_from_the_blind_guess_to_perfect():
    perfect, blind = (float(re.findall(r'cx="([\d.]+)"', what_held.track(found([value])))[0]) for value in (0, 0.6165))
    assert (blind, perfect) == (what_held.LEFT, what_held.RIGHT)
    (diamond,) = re.findall(r'<polygon points="([\d.]+)', what_held.track(found([0.1])))
    assert float(diamond) == pytest.approx(
        what_held.LEFT + (1 - 0.6081 / 0.6165) * (what_held.RIGHT - what_held.LEFT), abs=0.1
    )
    assert what_held.track(judge(claim(metric="loss", **TABLE1), [])) == ""
    worse = float(re.findall(r'cx="([\d.]+)"', what_held.track(found([0.9])))[0])
    assert 0 < worse < what_held.LEFT, "worse than blind stays in the picture"


def test_each_verdict_has_a_shape_of_its_own():
    shapes = {re.sub(r"#\w+", "", what_held.mark(verdict, 10)) for verdict in Verdict if verdict is not Verdict.NOT_RUN}
    assert len(shapes) == len(Verdict) - 1
    assert len({verdict.symbol for verdict in Verdict}) == len(Verdict)


def test_the_committed_claims_are_drawn_and_lead_to_their_experiments(tmp_path):
    findings = claims.verdicts()
    figure = what_held.figure(findings).splitlines()
    assert len(figure) == 2 + len(findings) + 4, "a row each, and the names of the groups"
    assert all(
        any(f"{each.claim.claim}]({each.claim.experiment}.ipynb)" in line for line in figure) for each in findings
    )
    for svg in re.findall(r"<svg.*?</svg>", "\n".join(figure)):
        label = ElementTree.fromstring(svg).get("aria-label")
        assert re.fullmatch(r"(The paper: .+\. )?Ours: (not run|.*\d.*)\.", label), label
    what_held.draw(findings, tmp_path / "small.svg")
    text = (tmp_path / "small.svg").read_text()
    drawn = [each for each in findings if each.claim.part != "ours"]
    assert f"{Verdict.THIN}: {sum(each.verdict is Verdict.THIN for each in drawn)}" in text
    squares = [path for path in re.findall(r'<g id="patch_\d+">', text)]
    assert len(squares) == len(drawn) + 1, "a square a claim, and the ground"
