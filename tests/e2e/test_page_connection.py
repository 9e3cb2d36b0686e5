"""A server that is away: the page says so, and finds it and its rings again by itself."""

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.e2e.driven import Server, Watched
from tests.e2e.payments import cycle, now

LONGEST_WAIT_S = 60
"""Of the page's own clock: two tries in a row, as far apart as any."""

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_ring_that_could_not_be_read_is_read_again_by_itself(
    watched: Watched, server: Server, context: BrowserContext
) -> None:
    *_, closing = server.score(*cycle(now() - 60 * 60_000))
    (ring_id,) = closing["rings"]
    page = watched.page
    page.clock.install()
    page.route(f"**/v1/rings/{ring_id}", lambda route: route.abort())
    page.goto(f"{server.url}/#ring={ring_id}")
    hollow, title = page.locator("#ring .hollow"), page.locator(".ring-title")
    expect(hollow).to_contain_text("The server does not answer")
    expect(hollow).to_contain_text("The page tries again by itself.")
    hollow.locator("button").focus()
    page.clock.run_for(10_000)
    expect(hollow.locator("button")).to_be_focused()
    page.unroute(f"**/v1/rings/{ring_id}")
    # A try that was under way still fails, and only then the next is planned.
    for _ in range(LONGEST_WAIT_S):
        page.clock.run_for(1_000)
        if title.count():
            break
    expect(title).to_contain_text("€19,610.50")

    # The clock stands still, so nothing is waited for: the stream that is back is reason enough.
    page.route(f"**/v1/rings/{ring_id}", lambda route: route.abort())
    page.reload()
    expect(page.locator("#standing-text")).to_have_text("live")
    expect(hollow).to_contain_text("The server does not answer")
    page.evaluate("window.ringfence.streams.rings.close()")
    context.set_offline(True)
    page.evaluate("window.ringfence.streams.rings.open()")
    expect(page.locator("#standing")).to_have_attribute("data-standing", "reconnecting")
    page.clock.pause_at(now() + 120_000)
    page.unroute(f"**/v1/rings/{ring_id}")
    expect(hollow).to_contain_text("The server does not answer")
    context.set_offline(False)
    page.evaluate("window.ringfence.streams.rings.close()")
    page.evaluate("window.ringfence.streams.rings.open()")
    expect(title).to_contain_text("€19,610.50")


def test_a_lost_server_is_told_and_found_again(
    watched: Watched, server: Server, context: BrowserContext
) -> None:
    page = watched.page
    page.goto(server.url)
    expect(page.locator("#standing-text")).to_have_text("live")
    page.evaluate("window.ringfence.streams.rings.close()")
    context.set_offline(True)
    page.evaluate("window.ringfence.streams.rings.open()")
    expect(page.locator("#standing")).to_have_attribute("data-standing", "reconnecting")
    server.score(*cycle(now() - 60 * 60_000))
    context.set_offline(False)
    expect(page.locator("#standing-text")).to_have_text("live")
    expect(page.locator("#rows .row-money")).to_have_text("€19,610.50")
