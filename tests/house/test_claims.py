"""Every claim names a source, an experiment, models and a metric that exist, and one criterion."""

import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = tomllib.loads((ROOT / "book" / "results" / "claims.toml").read_text())
CLAIMS = FILE["claim"]
SOURCES = {
    (number["experiment"], number["source"])
    for number in tomllib.loads((ROOT / "book" / "results" / "papers.toml").read_text())["number"]
}
KEYS = {"claim", "source", "experiment", "model", "metric", "criterion", "profile", "updates"}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["claim"][:60])
def test_a_claim_names_what_there_is(claim):
    assert set(claim) == KEYS
    assert (claim["experiment"], claim["source"]) in SOURCES
    profile = yaml.safe_load((ROOT / "notebooks" / f"{claim['experiment']}.{claim['profile']}.yaml").read_text())
    ((kind, value),) = claim["criterion"].items()
    others = value if kind in ("above", "below") else []
    assert kind in ("above", "below", "at_least", "at_most")
    assert others or isinstance(value, float)
    assert {claim["model"], *others} <= set(profile["models"])
    assert claim["updates"] <= profile["steps"]


def test_no_claim_stands_twice():
    asked = [{name: value for name, value in claim.items() if name != "claim"} for claim in CLAIMS]
    assert all(asked.count(one) == 1 for one in asked)
