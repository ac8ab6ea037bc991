"""Writes one page a part, print-<part>.html, with all articles of the part below each other, from a built site."""

import re
from pathlib import Path
from posixpath import dirname, normpath, relpath
from urllib.parse import urlsplit

from bs4 import BeautifulSoup, Tag

LINKS = ("href", "src", "data")
REFERENCES = ("id", "for", "name", "aria-labelledby", "aria-describedby", "aria-controls")
PAGE = """<!DOCTYPE html>
<html lang="en" data-mode="light" data-theme="light">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<meta name="robots" content="noindex"/>
<title>{title}</title>
{head}
<style>.part > article {{ break-before: page; }} .part > article h1 {{ display: block !important; }}</style>
</head>
<body>
<main class="bd-main"><div class="bd-content"><div class="bd-article-container part">
<h1>{title}</h1>
{articles}
</div></div></main>
</body>
</html>
"""


def slug(page: str) -> str:
    return page.replace("/", "-")


def moved(address: str, page: str, chapters: list[str]) -> str:
    """Where a link of `page` leads from a page at the root of the site on which all `chapters` stand."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or address.startswith("/"):
        return address
    target = normpath(f"{dirname(page)}/{parts.path}") if parts.path else f"{page}.html"
    chapter = target.removesuffix(".html")
    if target.endswith(".html") and chapter in chapters:
        return f"#{slug(chapter)}" + (f"--{parts.fragment}" if parts.fragment else "")
    return relpath(target, ".") + (f"#{parts.fragment}" if parts.fragment else "")


def article(document: BeautifulSoup, page: str, chapters: list[str]) -> Tag:
    """The article of a page, with links and identifiers as they must be among the other articles.

    Where a network runs in the browser, paper has what stands there without JavaScript.
    """
    found = document.find("article")
    for tag in found.select("[data-live-needs], script"):
        tag.decompose()
    for tag in found.find_all(True):
        for key in LINKS:
            if tag.get(key):
                tag[key] = moved(tag[key], page, chapters)
        for key in REFERENCES:
            if tag.get(key):
                tag[key] = " ".join(f"{slug(page)}--{name}" for name in tag[key].split())
    found["id"] = slug(page)
    return found


def head(document: BeautifulSoup, page: str) -> str:
    """The style sheets, the icon and the mathematics of a page."""
    kept = [tag for tag in document.head.find_all("link", href=True) if {"stylesheet", "icon"} & set(tag["rel"])]
    kept += document.head.find_all("script", string=re.compile(r"window\.MathJax"))
    kept += document.head.find_all("script", src=re.compile("mathjax"))
    for tag in kept:
        for key in LINKS:
            if tag.get(key):
                tag[key] = moved(tag[key], page, [])
    return "\n".join(map(str, kept))


def write(site: Path, toc: dict, title: str) -> list[Path]:
    """Write the page of each part of `toc` that has a caption, and return what was written."""
    written = []
    for part in toc["parts"]:
        if "caption" not in part:
            continue
        chapters = [page["file"] for each in part["chapters"] for page in (each, *each.get("sections", ()))]
        documents = {
            page: BeautifulSoup((site / f"{page}.html").read_text(encoding="utf-8"), "html.parser") for page in chapters
        }
        first, with_mathematics = chapters[0], [page for page in chapters if documents[page].select_one(".math")]
        articles = [str(article(documents[page], page, chapters)) for page in chapters]
        source = (with_mathematics or [first])[0]
        written.append(site / f"print-{part['caption'].lower()}.html")
        written[-1].write_text(
            PAGE.format(
                title=f"{title}: {part['caption']}",
                head=head(documents[source], source),
                articles="\n".join(articles),
            ),
            encoding="utf-8",
        )
    return written
