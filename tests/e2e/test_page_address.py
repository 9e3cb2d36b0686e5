"""Addresses: a permalink opens its ring, back leads back, and a wrong one says that it is wrong."""

import pytest
from playwright.sync_api import expect

from tests.e2e.driven import Server, Watched
from tests.e2e.payments import cycle, lesser_cycle, now

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_permalink_opens_its_ring_and_a_wrong_one_says_so(
    watched: Watched, server: Server
) -> None:
    start = now() - 60 * 60_000
    server.score(*cycle(start))
    *_, closing = server.score(*lesser_cycle(start))
    (lesser,) = closing["rings"]
    page = watched.page
    page.goto(f"{server.url}/#ring={lesser}")
    expect(page.locator(".ring-title")).to_contain_text("€255.00")
    # A step in a path, another answer of the interface, an id that it refuses, one that nobody has.
    for wrong in ["nobody", ".", "..", "stream", "x" * 200, "a/../b"]:
        page.evaluate("(id) => (location.hash = `ring=${encodeURIComponent(id)}`)", wrong)
        hollow = page.locator("#ring .hollow")
        expect(hollow).to_contain_text(f"None has the id {wrong[:16]}")
        expect(hollow.locator("h2")).to_have_text("There is no such ring")
        expect(hollow).to_contain_text("Try again")

    # A server that starts has not all its rings back: that is no reason to say that there is none.
    starting = {"ready": False, "missing": ["the engine has not caught up"]}
    page.route("**/readyz", lambda route: route.fulfill(status=503, json=starting))
    page.evaluate("location.hash = 'ring=somebody'")
    expect(hollow).to_contain_text("Not ready yet")
    expect(hollow).to_contain_text("The page tries again by itself.")
    page.unroute("**/readyz")
    expect(hollow).to_contain_text("There is no such ring", timeout=30_000)


def test_back_and_the_skip_link_leave_the_ring_that_the_address_is_for(
    watched: Watched, server: Server
) -> None:
    start = now() - 60 * 60_000
    server.score(*cycle(start))
    *_, closing = server.score(*lesser_cycle(start))
    (lesser,) = closing["rings"]
    page = watched.page
    title = page.locator(".ring-title")
    page.goto(server.url)
    expect(title).to_contain_text("€19,610.50")
    page.evaluate(f"location.hash = 'ring={lesser}'")
    expect(title).to_contain_text("€255.00")
    page.go_back()
    expect(page).to_have_url(f"{server.url}/")
    expect(title).to_contain_text("€19,610.50")
    page.go_forward()
    expect(title).to_contain_text("€255.00")

    skip = page.locator(".skip")
    skip.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#ring")).to_be_focused()
    expect(page).to_have_url(f"{server.url}/#ring={lesser}")
    page.reload()
    expect(title).to_contain_text("€255.00")
    assert watched.complaints == []
