"""The built site and the pages it must have."""

import os
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PARTS = [part["caption"].lower() for part in TOC["parts"] if "caption" in part]


def toc_pages() -> list[str]:
    """The pages of _toc.yml, without their suffix."""
    chapters = [chapter for part in TOC["parts"] for chapter in part["chapters"]]
    return [TOC["root"]] + [page["file"] for chapter in chapters for page in [chapter, *chapter.get("sections", [])]]


def built_site() -> Path:
    """The folder of the built site: $COMPANION_SITE, which must hold one, or what `make site` left."""
    asked = os.environ.get("COMPANION_SITE")
    site = (ROOT / (asked or "_build/site")).resolve()
    if not (site / "index.html").exists():
        if asked:
            pytest.fail(f"COMPANION_SITE names {site}, which holds no site: run make site.")
        pytest.skip("there is no built site: run make site")
    return site
