"""Every claim names a source, an experiment and models that exist, and one criterion; its guesses are the task's."""

import tomllib
from pathlib import Path

import pytest
import yaml

from companion import claims
from companion.data import DataMissing
from companion.notebook import models_of
from companion.settings import notebook_parameters

ROOT = Path(__file__).resolve().parents[2]
FILE = tomllib.loads((ROOT / "book" / "results" / "claims.toml").read_text())
NUMBERS = tomllib.loads((ROOT / "book" / "results" / "papers.toml").read_text())["number"]
ALL = claims.load()


def profile(experiment: str, which: str) -> dict:
    return yaml.safe_load((ROOT / "notebooks" / f"{experiment}.{which}.yaml").read_text())


def of_source(claim: claims.Claim) -> list[dict]:
    """The numbers of the paper that stand where the claim says, in the setting that it names, if it names one."""
    place = {"experiment": claim.experiment, "source": claim.source}
    place |= {"setting": claim.setting} if claim.setting else {}
    return [number for number in NUMBERS if place.items() <= number.items()]


@pytest.mark.parametrize("claim", ALL, ids=lambda claim: claim.claim[:60])
def test_a_claim_names_what_there_is(claim):
    ((kind, _),) = claim.criterion.items()
    assert kind in claims.HOLDS
    assert claim.updates <= profile(claim.experiment, claim.profile)["steps"]
    asked = {claim.profile: claim} | ({"laptop": claims.asked(claim, "laptop")} if claim.smaller else {})
    for which, put in asked.items():
        assert {put.model, *claims.compared(put.criterion)} <= set(profile(claim.experiment, which)["models"])
    assert not claim.source or of_source(claim)
    assert claim.part in ("remind", "attend", "ponder", "ours")


def test_no_claim_stands_twice_or_has_no_sentence():
    asked = [(each.experiment, each.model, each.metric, each.at, str(each.criterion), each.profile) for each in ALL]
    assert len(set(asked)) == len(asked)
    assert all(each.claim and each.claim == each.claim.strip() for each in ALL)


def test_the_papers_claims_have_a_source_and_ours_have_none():
    assert all(table.get("source") for table in FILE["claim"])
    assert not any("source" in table for table in FILE["ours"])
    assert set(FILE["smaller_size"]) <= {each.experiment for each in ALL}


# The paper's size of these is of data that do not come with the package: their guesses are those of all ten classes,
# of MNIST's test set (1,135 of 10,000 are a one), and for faces there is none.
DOWNLOADED = {("remind/pixel_mnist", "paper"), ("remind/cifar10", "paper"), ("attend/glimpses", "paper")}
GUESSED = [(experiment, which) for experiment, metrics in FILE["blind_guess"].items()
           for which in next(iter(metrics.values())) if (experiment, which) not in DOWNLOADED]  # fmt: skip


@pytest.mark.parametrize(("experiment", "which"), GUESSED)
def test_the_blind_guesses_are_those_of_the_tasks(experiment, which, monkeypatch, as_users_run_it):
    monkeypatch.setenv("MPLBACKEND", "agg")
    path = ROOT / "notebooks" / f"{experiment}.ipynb"
    monkeypatch.chdir(path.parent)
    try:
        _, task = models_of(path, notebook_parameters(path) | profile(experiment, which))
    except DataMissing as missing:
        pytest.skip(str(missing))
    if task is None:
        pytest.skip("Without its data this notebook has no task.")
    for metric, guesses in FILE["blind_guess"][experiment].items():
        assert guesses[which] == pytest.approx(task.blind_guess[metric], abs=1e-9)
