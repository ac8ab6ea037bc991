"""The files of the built site: pages, links, images, buttons, and nothing from another host."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import lxml.html
import pytest
from bs4 import BeautifulSoup
from pages import CONFIG, ROOT, toc_pages

pytestmark = pytest.mark.xdist_group("files")  # one worker reads every page once

LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
    "object": "data",
}
LOADED_LINKS = {
    "stylesheet",
    "icon",
    "shortcut",
    "preload",
    "prefetch",
    "modulepreload",
    "preconnect",
    "dns-prefetch",
    "manifest",
}


@cache
def soup(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(), "lxml")


@cache
def anchors(page: Path) -> set[str]:
    return set(lxml.html.parse(page).xpath("//@id | //@name"))


def pages(site: Path) -> list[Path]:
    """All but the page for a wrong address, whose links begin at the root of the host: see test_site_links.py."""
    found = (path for path in site.rglob("*.html") if "_static" not in path.relative_to(site).parts)
    return sorted(path for path in found if path != site / "404.html")


def is_external(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def loaded(page: Path) -> list[str]:
    """What a browser fetches to show the page."""
    addresses = [tag[key] for name, key in LOADED.items() for tag in soup(page).find_all(name) if tag.get(key)]
    return addresses + [
        tag["href"] for tag in soup(page).find_all("link") if tag.get("href") and set(tag.get("rel", [])) & LOADED_LINKS
    ]


def broken(site: Path, page: Path, address: str) -> bool:
    parts = urlsplit(address)
    if parts.scheme in {"data", "mailto", "javascript"} or parts.netloc:
        return False
    path = unquote(parts.path)
    target = page if not path else (site / path.lstrip("/") if path.startswith("/") else page.parent / path)
    if target.is_dir():
        target = target / "index.html"
    if not target.exists():
        return True
    fragment = unquote(parts.fragment)
    return bool(fragment) and target.suffix == ".html" and fragment not in anchors(target.resolve())


def test_expected_pages_exist(site):
    for page in [*toc_pages(), "index", "search", "genindex"]:
        assert (site / f"{page}.html").exists(), page
    assert (site / ".nojekyll").exists()


def test_index_leads_to_the_first_page(site):
    assert "book/index.html" in (site / "index.html").read_text()


def test_pages_are_not_empty(site):
    for page in toc_pages():
        article = soup(site / f"{page}.html").find("article")
        assert len(article.get_text()) > 100, page


def test_internal_links_and_images_resolve(site):
    problems = []
    for page in pages(site):
        links = [tag["href"] for tag in soup(page).find_all("a") if tag.get("href") and tag["href"] != "#"]
        problems += [
            f"{page.relative_to(site)}: {link}" for link in links + loaded(page) if broken(site, page.resolve(), link)
        ]
    assert not problems, "\n".join(problems)


def test_nothing_is_loaded_from_another_host(site):
    for page in pages(site):
        assert not [address for address in loaded(page) if is_external(address)], page
        styles = " ".join(tag.get_text() for tag in soup(page).find_all("style"))
        assert not re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", styles), page
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", sheet.read_text()), sheet


def test_mathjax_is_of_this_site(site):
    for page in toc_pages():
        for script in soup(site / f"{page}.html").find_all("script", src=re.compile("mathjax", re.IGNORECASE)):
            assert not is_external(script["src"])
    assert list((site / "_static" / "mathjax" / "output" / "chtml" / "fonts").rglob("*.woff"))


def repository_links(site: Path) -> list[str]:
    return [
        tag["href"] for page in pages(site) for tag in soup(page).find_all("a", href=True) if is_external(tag["href"])
    ]


def test_colab_buttons_open_notebooks_that_exist(site):
    repository = urlsplit(CONFIG["repository"]["url"]).path
    opened = set()
    for link in repository_links(site):
        if urlsplit(link).netloc == "colab.research.google.com":
            path = urlsplit(link).path.removeprefix(f"/github{repository}/blob/{CONFIG['repository']['branch']}/")
            assert (ROOT / path).is_file(), link
            opened.add(path)
    assert opened == {f"{page}.ipynb" for page in toc_pages() if page.startswith("notebooks/")}


def test_repository_buttons_lead_to_files_that_exist(site):
    url, branch = CONFIG["repository"]["url"], CONFIG["repository"]["branch"]
    found = 0
    for link in repository_links(site):
        match = re.fullmatch(rf"{re.escape(url)}/(?:edit|blob|tree|raw)/{branch}/([^?#]*).*", link)
        if match:
            assert (ROOT / unquote(match[1])).exists(), link
            found += 1
    assert found >= len(toc_pages())


def test_every_page_has_its_buttons(site):
    url = CONFIG["repository"]["url"]
    for page in toc_pages():
        links = [tag["href"] for tag in soup(site / f"{page}.html").find_all("a", href=True)]
        assert url in links, page
        assert any(link.startswith(f"{url}/issues/new") for link in links), page


def test_no_error_is_shown(site):
    for page in toc_pages():
        text = soup(site / f"{page}.html").find("article").get_text()
        assert "Traceback (most recent call last)" not in text, page
        assert not soup(site / f"{page}.html").select("article .system-message, article .problematic"), page


@pytest.mark.parametrize("page", [page for page in toc_pages() if page.startswith("notebooks/")])
def test_notebook_pages_show_outputs(site, page):
    assert soup(site / f"{page}.html").select("article .cell_output"), page
