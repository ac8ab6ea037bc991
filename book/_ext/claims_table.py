"""The results page, and no other, loads DataTables, as itables brings it, and the script that hands it the claims.

A module in a data: address is imported from a page that was opened as a file, too.
"""

from base64 import b64encode
from importlib.resources import files

from sphinx.application import Sphinx

PAGE = "notebooks/results"
BUNDLE = "datatables.js"


def add_scripts(app: Sphinx, page: str, *_) -> None:
    if page != PAGE or app.builder.format != "html":
        return
    module = b64encode(files("itables").joinpath("html", "dt_bundle.js").read_bytes()).decode()
    loads = f'window.dataTables = import("data:text/javascript;base64,{module}").then((module) => module.default);\n'
    static = app.outdir / "_static"
    static.mkdir(exist_ok=True)
    (static / BUNDLE).write_text(loads, encoding="utf-8")
    app.add_js_file(BUNDLE, loading_method="defer")
    app.add_js_file("claims.js", loading_method="defer")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
