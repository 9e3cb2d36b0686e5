"""The page for everybody: by keyboard alone, in forced colours, on a narrow screen."""

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.driven import Server, Watched, rest
from tests.e2e.payments import cycle, lesser_cycle, now, transfer

pytestmark = [pytest.mark.browser, pytest.mark.slow]


CUT = """() => ({
  sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  tables: [...document.querySelectorAll('.scrolling')].length,
  cut: [...document.querySelectorAll('.scrolling, .card, .panel')]
    .filter((box) => box.scrollWidth > box.clientWidth)
    .map((box) => `${box.className} ${box.scrollWidth} > ${box.clientWidth}`),
})"""


MARKED = """(marked) => {
  const {outlineStyle, borderTopStyle} = getComputedStyle(marked);
  return outlineStyle === 'solid' || borderTopStyle === 'solid';
}"""


def test_the_keyboard_alone_goes_everywhere(watched: Watched, server: Server) -> None:
    start = now() - 60 * 60_000
    server.score(*cycle(start))
    server.score(*lesser_cycle(start))
    page = watched.page
    page.goto(server.url)
    expect(page.locator("#rows li[data-ring]")).to_have_count(2)
    expect(page.locator("[aria-current] .row-money")).to_have_text("€19,610.50")
    page.keyboard.press("j")
    expect(page.locator(".ring-title")).to_contain_text("€255.00")
    page.keyboard.press("k")
    expect(page.locator(".ring-title")).to_contain_text("€19,610.50")
    page.keyboard.press("v")
    expect(page.locator(".canvas")).to_have_attribute("data-view", "network")
    page.keyboard.press("v")
    expect(page.locator(".canvas")).to_have_attribute("data-view", "flow")

    page.keyboard.press("/")
    expect(page.locator("#filter-text")).to_be_focused()
    page.keyboard.type("255")
    expect(page.locator("#rows li[data-ring]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("#rows li[data-ring]")).to_have_count(2)
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    assert watched.complaints == []


def test_escape_clears_the_state_too_and_a_still_ring_is_not_just_born(
    watched: Watched, server: Server
) -> None:
    start = now() - 10 * 60 * 60_000
    server.score(*cycle(start))
    page = watched.page
    page.goto(server.url)
    lived = page.locator(".figures div", has_text="Lived").locator("dd")
    expect(lived).to_have_text("no change yet")
    server.score(*(transfer(20 + n, now(), f"a-{n}", f"b-{n}", "9.00") for n in range(3)))
    expect(page.locator(".figures")).to_contain_text("StateQuiet")
    expect(lived).to_have_text(re.compile(r"^\d+ h$"))

    rows = page.locator("#rows li[data-ring]")
    expect(rows).to_have_count(1)
    page.locator("#filter-state").select_option("ended")
    expect(page.locator("#queue-note")).to_contain_text("Press Esc to clear the filter.")
    page.keyboard.press("Escape")
    expect(rows).to_have_count(1)
    expect(page.locator("#filter-state")).to_have_value("live")

    page.emulate_media(forced_colors="active")
    for chosen in ("[aria-current]", ".tabs", ".chip"):
        assert page.locator(chosen).first.evaluate(MARKED), chosen
    assert watched.complaints == []


def test_no_table_is_cut_and_the_page_never_scrolls_sideways(
    watched: Watched, server: Server
) -> None:
    start = now() - 60 * 60_000
    long = cycle(start)
    for each in long:
        each["transaction_id"] = f"{each['transaction_id']}-of-a-bank-that-numbers-with-care"
        each["amount"] = f"9{each['amount']}"
    server.score(*long)
    page = watched.page
    page.goto(server.url)
    expect(page.locator(".people tbody tr")).to_have_count(4)
    for width in (1920, 1440, 1280, 800, 390, 320):
        page.set_viewport_size({"width": width, "height": 900})
        rest(page)
        assert page.evaluate(CUT) == {"sideways": 0, "tables": 3, "cut": []}, width
        expect(page.locator(".members").get_by_role("row")).to_have_count(5)
        expect(page.locator(".members").get_by_role("columnheader")).to_have_count(4)
    page.evaluate(
        "document.getElementById('standing-text').textContent = 'stale: nothing new since 12:04:31'"
    )
    assert page.evaluate(CUT)["sideways"] == 0
    copied = page.locator(".hops .at-id button").first
    expect(copied).to_have_attribute("title", re.compile("^tx-1-of-a-bank-that-numbers-with-care$"))
    assert watched.complaints == []
