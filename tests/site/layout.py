"""What a page must be at any width and on paper, measured in the browser."""

from axe_playwright_python.sync_playwright import Axe

PAPER = 680  # pixels: A4 between margins of 15 mm
BOXES = "article :is(pre, table, figure, img, .output, .pst-scrollable-table-container, mjx-container[display='true'])"
NOT_PRINTED = "button, nav, .headerlink, .prev-next-footer, .bd-sidebar-primary, .bd-sidebar-secondary, .above-input"

CUT = """boxes => {
    const edge = document.querySelector('article').getBoundingClientRect().right + 1;
    return boxes.filter(box => box.checkVisibility())
        .filter(box => box.scrollWidth > box.clientWidth + 1 && box.clientWidth > 0
            || box.getBoundingClientRect().right > edge)
        .map(box => [box.tagName, box.className, box.scrollWidth, box.textContent.slice(0, 60)].join(' '))
}"""
SILENT = """boxes => boxes
    .filter(box => box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX === 'auto')
    .filter(box => !getComputedStyle(box).backgroundImage.includes('linear-gradient'))
    .map(box => box.outerHTML.slice(0, 120))"""
FOLDED = """folds => folds.filter(fold => [...fold.children]
    .some(child => child.tagName !== 'SUMMARY' && child.textContent.trim() && !child.checkVisibility(
        {contentVisibilityAuto: true, opacityProperty: true})))
    .map(fold => fold.outerHTML.slice(0, 120))"""
# axe looks at each coloured word and each cell for seconds; one of each kind tells the same.
THIN = """() => {
    document.querySelectorAll('tbody tr:nth-child(n + 4)').forEach(row => row.remove());
    const seen = new Set();
    document.querySelectorAll('pre span[class]').forEach(word => {
        if (word.children.length || word.id) return;
        const kind = [word.className, word.closest('.output') !== null, word.parentElement.className].join();
        if (seen.has(kind)) word.replaceWith(word.textContent);
        seen.add(kind);
    });
}"""


def assert_nothing_is_cut(page):
    assert page.eval_on_selector_all(BOXES, CUT) == []


def assert_what_scrolls_shows_it(page):
    assert page.eval_on_selector_all(BOXES, SILENT) == []


def assert_paper_has_all_and_no_buttons(page):
    assert_nothing_is_cut(page)
    shown = "els => els.filter(el => el.checkVisibility()).map(el => el.outerHTML.slice(0, 120))"
    assert page.eval_on_selector_all(NOT_PRINTED, shown) == []
    folds = "article details:not(.above-input, .below-input, [data-live-needs] *), article .toggle"
    assert page.eval_on_selector_all(folds, FOLDED) == []


# A colour on its way to that of the other theme is neither's.
SETTLED = """() => document.getAnimations().forEach((each) => {
  if (Number.isFinite(each.effect.getComputedTiming().endTime)) each.finish();
})"""


def assert_accessible(page, **options):
    """axe-core finds nothing serious; its lesser findings are matters of taste (an empty corner of a table)."""
    page.evaluate(SETTLED)
    found = Axe().run(page, options={"resultTypes": ["violations"], "preload": False, **options}).response
    serious = [
        f"{rule['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
        if node["impact"] in {"serious", "critical"}
    ]
    assert not serious, "\n".join(serious)
