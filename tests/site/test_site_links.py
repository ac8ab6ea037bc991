"""What leads to a page, or away from it: names in code cells, the page for a wrong address, cards."""

import re
from urllib.parse import urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup
from pages import CONFIG, toc_pages
from PIL import Image

pytestmark = pytest.mark.xdist_group("files")
OWNER, NAME = urlsplit(CONFIG["repository"]["url"]).path.strip("/").split("/")
ADDRESS = f"https://{OWNER}.github.io/{NAME}/"


def soup(site, page: str) -> BeautifulSoup:
    return BeautifulSoup((site / page).read_text(), "lxml")


def of_this_site(site, link: str):
    """The file that a link from the root of the host leads to, where the site is below its repository's name."""
    path = urlsplit(link).path
    assert path.startswith(f"/{NAME}/"), link
    return site / path.removeprefix(f"/{NAME}/")


@pytest.mark.parametrize(
    ("page", "name", "anchor"),
    [
        ("notebooks/remind/copying", "SparseAttentiveBacktracking", "companion.mechanisms.SparseAttentiveBacktracking"),
        ("notebooks/remind/copying", "figures.learning_curves", "companion.figures.learning_curves"),
        ("notebooks/attend/associative_retrieval", "FastWeights", "companion.mechanisms.FastWeights"),
        ("notebooks/ponder/parity", "AdaptiveComputation", "companion.mechanisms.AdaptiveComputation"),
    ],
)
def test_name_in_a_cell_leads_to_the_api(site, page, name, anchor):
    links = [tag["href"] for tag in soup(site, f"{page}.html").select(".cell_input a[href]") if tag.get_text() == name]
    assert {urlsplit(link).fragment for link in links} == {anchor}
    target = urlsplit(urljoin(f"{page}.html", links[0])).path
    assert soup(site, target).find(id=anchor).name == "dt"


def test_every_experiment_has_names_that_lead_to_the_api(site):
    for page in toc_pages():
        if page.startswith("notebooks/") and (site / f"{page}.html").read_text().count("companion"):
            assert soup(site, f"{page}.html").select(".cell_input a[href*='#companion.']"), page


def test_page_for_a_wrong_address_is_right_at_any_depth(site):
    page = soup(site, "404.html")
    links = [tag["href"] for tag in page.find_all(["a", "link"], href=True)]
    links += [tag["src"] for tag in page.find_all(["script", "img"], src=True)]
    links += [tag["action"] for tag in page.find_all("form", action=True)]
    own = [link for link in links if not urlsplit(link).netloc and not link.startswith("#")]
    assert len(own) > len(toc_pages())
    for link in own:
        assert of_this_site(site, link).is_file(), link
    in_words = {of_this_site(site, tag["href"]) for tag in page.select("article a[href^='/']")}
    assert in_words >= {site / "book/index.html", site / "search.html"}


@pytest.mark.parametrize("page", toc_pages())
def test_page_has_a_card(site, page):
    text = soup(site, f"{page}.html")
    card = {tag.get("property") or tag.get("name"): tag["content"] for tag in text.select("meta[content]")}
    assert card["og:title"] == re.sub(r"#$", "", text.find("h1").get_text()).strip()
    assert card["og:site_name"] == CONFIG["title"]
    assert len(card["og:description"]) > 50
    assert card["og:url"] == f"{ADDRESS}{page}.html"
    assert card["og:image"].startswith(ADDRESS)
    assert card["twitter:card"] == "summary_large_image"
    assert len(card["og:image:alt"]) > 50
    file = site / card["og:image"].removeprefix(ADDRESS)
    assert file.stat().st_size < 100_000
    with Image.open(file) as picture:
        assert picture.format == "PNG"
        assert picture.size == (1200, 630) == (int(card["og:image:width"]), int(card["og:image:height"]))
