"""What the pages to try ship: the networks of the records that they name, within a budget of bytes."""

import json
import re

import pytest
from pages import ROOT

from companion import runs, weights
from companion.live.networks import PAGES, networks, write
from companion.records import Record

BUDGET = 1_500_000  # bytes of a page, with its networks
PLACES = {name: "ponder" if name == "text" else name for name in PAGES}  # networks, and the page they are on


@pytest.mark.parametrize("name", PAGES)
def test_the_site_ships_the_networks_of_the_records_it_names(site, tmp_path, name):
    shipped = site / "_static" / "live" / f"networks_{name}.js"
    assert shipped.read_text(encoding="utf-8") == write(name, tmp_path).read_text(encoding="utf-8")
    lines = [json.loads(line[line.index("{") : -2]) for line in shipped.read_text(encoding="utf-8").splitlines()]
    for line, record in zip(lines, PAGES[name].records, strict=True):
        recorded = runs.load(ROOT / "book" / "results" / f"{record}.json")
        assert (line["record"], line["seal"]) == (recorded.name, recorded.seal)


def test_weights_of_another_record_are_not_shipped(monkeypatch):
    monkeypatch.setattr(Record, "seal", "0" * 16)
    with pytest.raises(weights.WeightsError, match="of another run than the record"):
        networks("catch")


@pytest.mark.parametrize("name", sorted(set(PLACES.values())))
def test_a_page_and_its_networks_fit_the_budget(site, name):
    html = site / "book" / "try" / f"{name}.html"
    parts = re.findall(r'(?:src|href)="\.\./\.\./(_static/live/[^"?]+)', html.read_text(encoding="utf-8"))
    assert any("networks" in part for part in parts)
    size = html.stat().st_size + sum((site / part).stat().st_size for part in parts)
    print(f"{name}: {size:,} bytes")
    assert size <= BUDGET
