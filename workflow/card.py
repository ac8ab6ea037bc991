"""Draws the card that other sites show of a page: python workflow/card.py writes book/_static/card.png.

A Chromium draws it from the three ideas, without their small print, which could not be read at the size of a card.
"""

import base64
import shutil
from pathlib import Path

from build import with_palette
from playwright.sync_api import sync_playwright

STATIC = Path(__file__).resolve().parents[1] / "book" / "_static"
SIZE = {"width": 1200, "height": 630}
PAGE = """<style>
  body {{ margin: 72px 50px; background: #fff; color: #1f3a5f; font-family: Helvetica, Arial, sans-serif }}
  h1 {{ font-size: 76px; margin: 0 }}
  p {{ color: #4a5a6e; font-size: 31px; margin: 10px 0 40px }}
  svg {{ width: 1100px }}
  svg [fill="#4a5a6e"] {{ display: none }}
</style>
<h1>Remind, Attend, Ponder</h1>
<p>What a recurrent network does with its past and its time, as code that runs</p>
{drawing}"""


def main() -> None:
    drawing = (STATIC / "three_ideas.svg").read_text(encoding="utf-8").replace("0 0 960 300", "0 14 960 256")
    installed = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=installed, args=["--headless", "--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.set_content(PAGE.format(drawing=drawing))
        png = with_palette(base64.b64encode(page.screenshot()).decode())
        browser.close()
    (STATIC / "card.png").write_bytes(base64.b64decode(png))


if __name__ == "__main__":
    main()
