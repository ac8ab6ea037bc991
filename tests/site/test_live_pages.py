"""The pages to try, touched: by the keyboard alone, on a phone, without a script, and by whom motion disturbs."""

import pytest
from browsing import DESKTOP, PHONE
from layout import assert_accessible
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
NAMES = ["remind", "attend", "ponder", "catch"]
NEEDS = "[data-live-needs]"
DONE = "![...document.querySelectorAll('.live')].some((each) => each.textContent.includes('computing'))"


def hook(page, name, root=""):
    return page.locator(f'{root} [data-live="{name}"]').first


@pytest.fixture
def visited(browser, address):
    """Opens a page to try in a window of its own."""
    contexts = []

    def get(name, **how):
        contexts.append(browser.new_context(**({"viewport": DESKTOP} | how)))
        page = contexts[-1].new_page()
        page.set_default_timeout(120_000)
        page.goto(f"{address}/book/try/{name}.html")
        if how.get("java_script_enabled", True):
            page.wait_for_selector(f"{NEEDS}:not([hidden])")
        return page

    yield get
    for context in contexts:
        context.close()


def tab_to(page, target):
    """Press the tabulator until the element has the focus."""
    page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges()")
    handle = target.element_handle()
    page.evaluate("(e) => { e.closest('.live').setAttribute('tabindex', '-1'); e.closest('.live').focus(); }", handle)
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("(element) => element === document.activeElement", handle):
            return
    pytest.fail(f"the tabulator does not reach {target}")


def type_over(page, target, text):
    tab_to(page, target)
    page.keyboard.press("Control+A")
    page.keyboard.type(text)


def text_of(page, name, root=""):
    return hook(page, name, root).inner_text()


@pytest.mark.parametrize("name", NAMES)
def test_an_example_stands_there_at_once(visited, name):
    page = visited(name)
    assert page.locator("[data-live-without]:visible").count() == 0
    assert page.locator(f"{NEEDS}[hidden]").count() == 0
    made = page.locator('[data-live="made"]')
    for one in range(made.count()):
        assert any(letter.isdigit() for letter in made.nth(one).inner_text()), (
            "the networks are named with their updates"
        )
    page.wait_for_function(DONE)
    assert "NaN" not in page.locator("article").inner_text()
    assert "undefined" not in page.locator("article").inner_text()


@pytest.mark.parametrize("name", NAMES)
def test_without_javascript_the_recorded_example_stands_there(visited, name):
    page = visited(name, java_script_enabled=False)
    examples = page.locator("[data-live-without]")
    assert examples.count() == page.locator(".live").count()
    for one in range(examples.count()):
        expect(examples.nth(one).locator("table").first).to_be_visible()
    assert page.locator(f"{NEEDS}:visible").count() == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_phone_scrolls_one_way_and_its_buttons_are_large(visited, name):
    page = visited(name, viewport=PHONE, is_mobile=True, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    touched = ".live button, .live input:not([type=radio], [type=checkbox]), .live label:has(input)"
    small = """(touched) => [...document.querySelectorAll(touched)]
        .filter((each) => each.offsetParent && each.offsetHeight < 36).map((each) => each.outerHTML.slice(0, 90))"""
    assert page.evaluate(small, touched) == []
    assert_accessible(page)


def test_remind_by_the_keyboard(visited):
    page = visited("remind")
    type_over(page, hook(page, "text"), "12345678")
    expect(hook(page, "fault")).to_contain_text("10 digits")
    page.keyboard.type("12")
    expect(hook(page, "fault")).to_be_empty()
    shown = page.evaluate("Remind.answers('sab-10-10', '1234567812', Live.networks['sab-10-10'].parameters.delay)")
    right = [each["right"] for each in shown].count(True)
    expect(hook(page, "says")).to_contain_text(f"{right} of 10")
    tab_to(page, hook(page, "delay"))
    before = text_of(page, "delay-is")
    page.keyboard.press("ArrowRight")
    expect(hook(page, "delay-is")).not_to_have_text(before)
    page.wait_for_function(DONE)
    broken = page.evaluate("Remind.answers('sab-10-10', '1234567812', Live.networks['sab-10-10'].parameters.delay + 1)")
    assert [each["right"] for each in broken].count(True) < right
    tab_to(page, hook(page, "learned"))
    page.keyboard.press("Enter")
    expect(hook(page, "delay-is")).to_have_text(before)


def test_attend_by_the_keyboard(visited):
    page = visited("attend")
    type_over(page, hook(page, "text"), "a1b2??c")
    expect(hook(page, "fault")).to_contain_text("No pair begins with c")
    page.keyboard.press("Backspace")
    page.keyboard.type("b")
    expect(hook(page, "fault")).to_be_empty()
    expect(hook(page, "fast-says")).to_contain_text("2")
    tab_to(page, hook(page, "rate"))
    page.keyboard.press("Home")
    expect(hook(page, "rate-is")).to_contain_text("0")
    nothing = page.evaluate(
        "Live.run(Live.networks['fast-weights-20'], Attend.encode('a1b2??b'), null, {rate: 0}).at(-1).state.matrix"
    )
    assert not any(nothing.values() if isinstance(nothing, dict) else nothing)
    tab_to(page, hook(page, "trained"))
    page.keyboard.press("Enter")
    expect(hook(page, "rate-is")).to_contain_text("trained")
    tab_to(page, hook(page, "back"))
    where = text_of(page, "step")
    page.keyboard.press("Enter")
    expect(hook(page, "step")).not_to_have_text(where)


def test_ponder_by_the_keyboard(visited):
    page = visited("ponder")
    tab_to(page, hook(page, "clear", "#live-ponder"))
    page.keyboard.press("Enter")
    expect(hook(page, "says", "#live-ponder")).to_contain_text("even")
    first = page.locator("#live-ponder [data-live=places] button").first
    tab_to(page, first)
    page.keyboard.press("Enter")
    expect(page.locator("#live-ponder [data-live=places] button").first).to_contain_text("+1")
    expect(hook(page, "says", "#live-ponder")).to_contain_text("odd")
    type_over(page, hook(page, "text", "#live-text"), "Hello.")
    expect(page.locator("#live-text [data-live=rows] tr")).to_have_count(6)
    steps = page.evaluate("""() => Live.run(PonderText.network(), PonderText.encode("Hello.", PonderText.network()))
        .map(({ state }) => String(state.steps))""")
    assert page.locator("#live-text [data-live=rows] td:last-child").all_text_contents() == steps


def test_catch_by_the_keyboard(visited):
    page = visited("catch")
    tab_to(page, hook(page, "play"))
    page.keyboard.press("Enter")
    expect(hook(page, "yours")).to_be_visible()
    tab_to(page, hook(page, "yours"))
    for key in ("ArrowLeft", "ArrowRight", "ArrowDown", " ") * 4:
        page.keyboard.press(key)
    expect(hook(page, "your-says")).to_contain_text("Frame 16 of 16")
    expect(hook(page, "agent-says")).to_contain_text("Frame 16 of 16")
    expect(hook(page, "score")).to_be_visible()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_moves_for_who_asked_for_no_motion(visited, name):
    page = visited(name, reduced_motion="reduce")
    moving = "() => document.getAnimations().filter((each) => each.playState === 'running').length"
    assert page.evaluate(moving) == 0
    page.wait_for_function(DONE)
    before = page.locator(".live").first.inner_html()
    page.wait_for_timeout(600)
    assert page.locator(".live").first.inner_html() == before
