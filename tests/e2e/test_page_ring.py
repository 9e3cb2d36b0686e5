"""A ring on the page: it is born, seen, opened and grows; who is in it, and where it leads."""

import math
import re
from itertools import pairwise

import pytest
from playwright.sync_api import expect

from tests.e2e.driven import DRAWN, Server, Watched
from tests.e2e.payments import MARKUP, TURNED, cycle, now, transfer

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_ring_appears_is_opened_and_grows_without_a_reload(
    watched: Watched, server: Server
) -> None:
    page = watched.page
    page.goto(server.url)
    expect(page.locator("#standing-text")).to_have_text("live")
    expect(page.locator("#queue-note")).to_contain_text("No rings yet")
    page.evaluate("window.untouched = true")

    born = now() - 60 * 60_000
    *_, closing = server.score(*cycle(born))
    assert [piece["pattern"] for piece in closing["evidence"]] == ["cycle", "feeder_tree"]
    (ring_id,) = closing["rings"]
    row = page.locator(f'#rows [data-ring="{ring_id}"]')
    expect(row).to_be_visible()
    expect(row.locator(".row-money")).to_have_text("€19,610.50")
    expect(row.locator(".row-members")).to_have_text("4 members")
    expect(row.locator(".chip")).to_have_text(["cycle", "feeder tree"])
    expect(row.locator(".row-state")).to_have_text("active")
    expect(row.locator("xpath=ancestor-or-self::li")).to_have_class(re.compile("alerted"))

    row.click()
    expect(page.locator(".ring-title")).to_contain_text(
        "Cycle and feeder tree among 4 users, 4 transactions"
    )
    expect(page).to_have_url(f"{server.url}/#ring={ring_id}")
    drawn = page.evaluate(DRAWN)
    users = ["carol", "mule-1", MARKUP, TURNED]
    assert {node["id"] for node in drawn["nodes"]} == {f"user:{user}" for user in users}
    assert {(e["source"], e["target"], e["text"]) for e in drawn["edges"]} == {
        ("user:carol", "user:mule-1", "€5,210"),
        ("user:mule-1", f"user:{MARKUP}", "€5,000"),
        (f"user:{MARKUP}", f"user:{TURNED}", "€4,800.50"),
        (f"user:{TURNED}", "user:carol", "€4,600"),
    }
    place = {node["id"]: node for node in drawn["nodes"]}
    steps = [place[f"user:{user}"]["x"] for user in users]
    assert steps == sorted(set(steps)), "money flows from left to right"
    roles = {node["id"]: node["role"] for node in drawn["nodes"]}
    assert roles["user:carol"] == "controller"

    card = page.locator(".card").first
    expect(card.locator(".card-reason")).to_contain_text(
        "Money left carol and came back after 4 hops in 40 min; 88 % of it was kept on the way."
    )
    amounts = card.locator(".amount")
    expect(amounts).to_have_text(["€5,210.00", "€5,000.00", "€4,800.50", "€4,600.00"])
    card.locator('[data-transaction="tx-3"] button').click()
    assert [e["text"] for e in page.evaluate(DRAWN)["edges"] if e["bright"]] == ["€4,800.50"]
    expect(page.locator(".event[data-kind=born]")).to_contain_text("Born. Cycle among 4 users")
    expect(page.locator(".people tbody tr")).to_have_count(4)
    parts = page.locator(".people tbody tr", has_text="carol").locator(".at-part")
    expect(parts.locator(".part-role")).to_have_text("controller")
    expect(parts.locator(".part-reason")).to_have_text(
        "The money begins here and comes home: 88 % of what it sent came back."
    )
    figures = page.locator(".figures")
    expect(figures).to_contain_text("Moved€19,610.50")
    expect(figures).to_contain_text("Recoverable€5,210.00")
    expect(page.locator(".story")).to_contain_text("At most €5,210.00 of it can still be")
    clearing = page.locator(".clearing")
    expect(clearing).to_have_count(4)
    carol = page.locator('.clearing[data-clears="user:carol"]')
    expect(carol).to_have_text("Without carol nothing would be left.")
    page.get_by_text("What its score rests on").click()
    expect(page.locator(".effect[data-effect=evidence]").first).to_contain_text("without it")
    expect(page.locator(".effect-note")).to_contain_text("By the engine's own score")

    server.score(
        transfer(5, born + 44 * 60_000, "carol", "mule-1", "4500.00"),
        transfer(6, born + 46 * 60_000, "mule-1", "new-mule", "4400.00"),
        transfer(7, born + 50 * 60_000, "new-mule", "carol", "4300.00"),
    )
    expect(page.locator(".ring-title")).to_contain_text("5 users, 7 transactions, €32,810.50")
    expect(row.locator(".row-members")).to_have_text("5 members")
    joined = page.locator(".event[data-kind=grew]", has_text="1 member joined")
    expect(joined).to_have_count(1)
    grown = {node["id"]: node for node in page.evaluate(DRAWN)["nodes"]}
    assert grown.keys() == place.keys() | {"user:new-mule"}
    for name, before in place.items():
        assert (grown[name]["x"], grown[name]["y"]) == (before["x"], before["y"]), "nothing jumps"
    whole = page.locator('.card[data-evidence="all"]')
    whole.get_by_text("All 7 transactions of the ring").click()
    expect(whole.locator(".amount")).to_have_count(7)
    page.locator("#filter-text").fill("no-such-account")
    expect(page.locator("#queue-note")).to_contain_text("No ring matches")
    page.locator("#filter-text").fill("new-mule")
    expect(row).to_be_visible()
    expect(page).to_have_title(f"Ring {ring_id[:8]} · Ringfence")
    assert page.evaluate("window.untouched"), "it all happened without a reload"
    assert watched.complaints == []
    assert watched.strangers == []


def test_whom_little_of_the_evidence_names_is_told_apart_from_the_members(
    watched: Watched, server: Server
) -> None:
    start = now() - 60 * 60_000
    server.score(*(each | {"device_id": "one-phone"} for each in cycle(start)))
    (last,) = server.score(transfer(5, start + 50 * 60_000, "eve", "frank", "12.00", "one-phone"))
    assert [piece["pattern"] for piece in last["evidence"]] == ["shared_device"]
    page = watched.page
    page.goto(f"{server.url}/#ring={last['rings'][0]}")
    expect(page.locator(".ring-title")).to_contain_text("among 4 users, 4 transactions")
    expect(page.locator(".story")).to_contain_text("among 4 users, with 1 more at the fringe.")
    part = page.locator(".people tbody tr", has_text="eve").locator(".at-part")
    expect(part.locator(".part-role")).to_have_text("fringe")
    expect(page.locator(".figures")).to_contain_text(re.compile(r"Members\d and \d at the fringe"))
    title, figure = page.locator(".people h3"), page.locator(".figures div", has_text="Members")
    assert title.inner_text().removeprefix("Members · ") == figure.locator("dd").inner_text()
    core, fringe = (int(n) for n in re.findall(r"\d+", title.inner_text()))
    expect(page.locator(".people tbody tr")).to_have_count(core + fringe)
    assert watched.complaints == []


def test_a_ring_leads_to_those_it_shares_accounts_with_and_says_who_was_told(
    watched: Watched, server: Server
) -> None:
    start, names = now() - 60 * 60_000, ["anna", "ben", "cleo", "carol", "anna"]
    *_, first = server.score(*cycle(start))
    *_, second = server.score(
        *(
            transfer(11 + n, start + (41 + n) * 60_000, payer, payee, f"{90 - n}.00")
            for n, (payer, payee) in enumerate(pairwise(names))
        )
    )
    (older,), (younger,) = first["rings"], set(second["rings"]) - set(first["rings"])
    page = watched.page
    page.goto(f"{server.url}/#ring={younger}")
    related = page.locator(".related li")
    expect(related).to_have_count(1)
    expect(related).to_contain_text(
        re.compile("^Shares 1 of 4 accounts with Cycle and feeder tree")
    )
    expect(related).to_contain_text(", which was alerted")
    expect(page.locator(".figures")).to_contain_text("Alerted")
    related.locator("a").click()
    expect(page).to_have_url(f"{server.url}/#ring={older}")
    expect(page.locator(".ring-title")).to_contain_text("among 4 users")
    expect(related).to_contain_text("Shares 1 of 4 accounts with Cycle")


@pytest.mark.parametrize("server", ["with a model"], indirect=True)
def test_the_score_of_what_completed_the_evidence_is_taken_apart(
    watched: Watched, server: Server
) -> None:
    born = now() - 60 * 60_000
    *_, closing = server.score(*cycle(born))
    page = watched.page
    page.goto(server.url)
    fold = page.locator('[data-why="tx-4"]').first  # of the circle; a feeder tree is told as well
    expect(fold.locator(".why-table")).to_have_count(0)  # asks only once it is opened
    fold.locator("summary").click()
    told = fold.locator(".why-sum")
    expect(told).to_contain_text(f"Score {closing['score']:.3f}")
    said = told.inner_text().replace("\N{MINUS SIGN}", "-")
    *terms, whole = (float(term) for term in re.findall(r"[+-]\d+\.\d\d", said))
    assert sum(terms) == pytest.approx(whole, abs=0.01 * len(terms)), said
    assert 1 / (1 + math.exp(-whole)) == pytest.approx(closing["score"], abs=0.01), said
    page_scrolls = "document.documentElement.scrollHeight > document.documentElement.clientHeight"
    assert not page.evaluate(page_scrolls), "the ring scrolls, the page does not"
    rows = fold.locator("tbody tr")
    expect(rows.first).to_contain_text("An average transaction")
    expect(rows.last).to_contain_text("other features together")
    shown = rows.filter(has_text="evidence cycle").get_by_role("button")
    expect(shown).to_have_text("shown by 1 piece of evidence")
    shown.click()
    assert all(edge["bright"] for edge in page.evaluate(DRAWN)["edges"])
    expect(page.locator(".card").first.locator(".hops tr.lit")).to_have_count(4)

    # The ring grows: the cards are made anew, and what was open stays open.
    server.score(
        transfer(5, born + 44 * 60_000, "carol", "mule-1", "4500.00"),
        transfer(6, born + 46 * 60_000, "mule-1", "new-mule", "4400.00"),
        transfer(7, born + 50 * 60_000, "new-mule", "carol", "4300.00"),
    )
    expect(page.locator(".ring-title")).to_contain_text("5 users, 7 transactions")
    expect(fold).to_have_attribute("open", "")
    expect(fold.locator(".why-table")).to_be_visible()
    assert watched.complaints == []
    assert watched.strangers == []
