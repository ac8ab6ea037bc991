"""Puts the address of a repository on the pages: python workflow/set_repository.py https://github.com/owner/name.

The address is the setting repository: url: of _config.yml. Wherever a page or a notebook repeats it, it is changed too.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SETTING = re.compile(r"^repository:\n  url: (\S+)$", re.MULTILINE)
REPEATED = ["_config.yml", "README.md", "CITATION.cff", "book/**/*.md", "notebooks/**/*.ipynb"]


def main() -> None:
    if len(sys.argv) != 2 or not re.fullmatch(r"https://[\w.-]+/[\w.-]+/[\w.-]+", sys.argv[1]):
        sys.exit("Give one address, such as https://github.com/owner/name.")
    setting = SETTING.search((ROOT / "_config.yml").read_text(encoding="utf-8"))
    if setting is None:
        sys.exit("_config.yml has no setting repository: url:.")
    address = re.compile(re.escape(setting[1]) + r"(?![\w-])")
    for file in sorted(path for pattern in REPEATED for path in ROOT.glob(pattern)):
        text = file.read_text(encoding="utf-8")
        if address.search(text):
            file.write_text(address.sub(sys.argv[1], text), encoding="utf-8")


if __name__ == "__main__":
    main()
