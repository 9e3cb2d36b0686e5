"""Words and sums of the page: those of the server, and no more than was seen."""

import pytest
from playwright.sync_api import expect

from graph.evidence import Pattern
from graph.wording import pattern_words
from tests.e2e.driven import DRAWN, Server, Watched
from tests.e2e.payments import cycle, now, transfer

pytestmark = [pytest.mark.browser, pytest.mark.slow]


WRITTEN_SUMS = """async () => {
  const {currencyOf, money, briefMoney} = await import('/js/text.js');
  const yen = currencyOf({decimals: 0, text: '¥3'});
  const euro = currencyOf({decimals: 2, text: '-€1,000.00'});
  const dinar = currencyOf({decimals: 3, text: 'KWD 1.000'});
  const dollar = currencyOf({decimals: 2, text: 'CAD 0.00'});
  return [money(1234567, yen), money(-5, euro), briefMoney(1500, dinar), briefMoney(1000, dinar),
    money(100, dollar), briefMoney(0, euro)];
}"""


@pytest.mark.parametrize("server", ["in dinars"], indirect=True)
def test_amounts_have_the_decimals_of_the_currency_and_not_those_of_the_browser(
    watched: Watched, server: Server
) -> None:
    page = watched.page
    browsers = "new Intl.NumberFormat('en', {style: 'currency', currency: 'RSD'}).format(1)"
    server.score(*(each | {"currency": "RSD"} for each in cycle(now() - 60 * 60_000)))
    page.goto(server.url)
    assert page.evaluate(browsers) == "RSD\u00a01", "a browser knows of no para"
    expect(page.locator(".ring-title")).to_contain_text("RSD 19,610.50")
    amounts = {edge["text"] for edge in page.evaluate(DRAWN)["edges"]}
    assert amounts == {"RSD 5,210", "RSD 5,000", "RSD 4,800.50", "RSD 4,600"}
    carol = page.locator(".people tbody tr", has_text="carol").first
    expect(carol.locator(".at-received")).to_have_text("RSD 4,600.00")
    expect(carol.locator(".at-sent")).to_have_text("RSD 5,210.00")
    assert page.evaluate(WRITTEN_SUMS) == [
        "¥1,234,567", "-€0.05", "KWD 1.500", "KWD 1", "CAD 1.00", "€0",
    ]  # fmt: skip
    assert watched.complaints == []


def test_other_money_is_not_said_to_have_stayed_away(watched: Watched, server: Server) -> None:
    start = now() - 60 * 60_000
    pairs = [
        ("ben", "shop"),
        ("cleo", "host"),
        ("dora", "baker"),
        ("eve", "smith"),
        ("finn", "inn"),
    ]
    pairs += [("anna", "ben")]
    *_, last = server.score(
        *(
            transfer(n, start + n * 60_000, payer, payee, f"{20 + n}.50", "one-phone")
            for n, (payer, payee) in enumerate(pairs)
        )
    )
    assert {piece["pattern"] for piece in last["evidence"]} == {"shared_device"}
    page = watched.page
    page.goto(f"{server.url}/#ring={last['rings'][0]}")
    expect(page.locator(".story")).to_contain_text(
        "no transaction between them is evidence of it, though 1 other transaction of €25.50 went"
    )
    expect(page.locator(".figures")).to_contain_text("Movednone in evidence")
    assert watched.complaints == []


def test_the_page_writes_patterns_as_the_server_does(watched: Watched, server: Server) -> None:
    page = watched.page
    page.goto(server.url)
    said = page.evaluate(
        "async (all) => { const {patternWords} = await import('/js/text.js');"
        " return all.map(patternWords); }",
        [str(each) for each in Pattern],
    )
    assert said == [pattern_words(each) for each in Pattern]
