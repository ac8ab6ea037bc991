"""The address of the site on GitHub Pages follows from `repository: url:` of _config.yml, and is named nowhere else.

Cards that other sites show of a page need whole addresses. A wrong address, at whatever depth, is answered with
404.html, so its links begin at the root of the host.
"""

from urllib.parse import urlsplit

from sphinx.application import Sphinx
from sphinx.config import Config

NOT_FOUND = """<h1>There is no such page</h1>
<p>It may have moved. <a href="{path}book/index.html">The first page</a> leads to all others,
and <a href="{path}search.html">the search</a> looks through them.</p>"""


def site_address(repository: str) -> str:
    owner, name = urlsplit(repository).path.strip("/").split("/")
    host = f"{owner.lower()}.github.io"
    return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"


def fill_in(app: Sphinx, config: Config) -> None:
    config.ogp_site_url = site_address(config.html_theme_options["repository_url"])
    config.notfound_urls_prefix = urlsplit(config.ogp_site_url).path
    config.ogp_site_name = config.html_title
    body = NOT_FOUND.format(path=config.notfound_urls_prefix)
    config.notfound_context = {"title": "There is no such page", "body": body}


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", fill_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
