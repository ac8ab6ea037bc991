"""Words of the search: a number keeps its point, and a Greek letter counts as its name, so τ and tau find the same."""

import json
import re

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma sigma tau upsilon "
    "phi chi psi omega"
).split()
GREEK = dict(zip("αβγδεζηθικλμνξοπρςστυφχψω", NAMES, strict=True)) | {"ϵ": "epsilon", "ϕ": "phi", "ϑ": "theta"}


class SearchWords(SearchEnglish):
    # The browser splits what is asked for as Python splits the pages; var, since Sphinx's own is there already.
    js_splitter_code = f"""
var splitQuery = ((greek) => (query) => query.toLowerCase()
  .replace(/./gu, (letter) => (letter in greek ? ` ${{greek[letter]}} ` : letter))
  .match(/\\d+(?:\\.\\d+)+|[\\p{{L}}\\p{{N}}_]+/gu) || [])({json.dumps(GREEK)});
"""

    def split(self, text: str) -> list[str]:
        named = "".join(f" {GREEK[letter]} " if letter in GREEK else letter for letter in text.lower())
        return re.findall(r"\d+(?:\.\d+)+|\w+", named)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_search_language(SearchWords)  # in place of English, as it has its code
    return {"parallel_read_safe": True, "parallel_write_safe": True}
