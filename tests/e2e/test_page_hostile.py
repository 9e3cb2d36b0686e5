"""Hostile input: ids that are markup or turn the reading direction are shown, never obeyed."""

import pytest
from playwright.sync_api import expect

from tests.e2e.driven import DRAWN, Server, Watched
from tests.e2e.payments import cycle, now

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_hostile_ids_are_text_and_nothing_else(watched: Watched, server: Server) -> None:
    server.score(*cycle(now() - 60 * 60_000))
    page = watched.page
    answer = page.goto(server.url)
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy

    expect(page.locator(".people tbody tr")).to_have_count(4)
    names = page.locator(".people tbody bdi").all_text_contents()
    assert any(name.startswith("<img src=x") for name in names)
    assert "mallory\u2039U+202E\u203atxt.exe" in names
    labels = [node["text"].split("\n")[0] for node in page.evaluate(DRAWN)["nodes"]]
    assert any(label.startswith("<img src=x") for label in labels)
    assert not any("\u202e" in text for text in [page.inner_text("body"), *labels])
    assert page.locator(".ring img[src=x]").count() == 0
    assert page.evaluate("window.hacked === undefined")
    assert watched.complaints == []
    assert watched.strangers == []
