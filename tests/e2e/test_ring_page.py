"""The ring page in a real browser, against the real server: a ring is born, seen, opened, grows."""

import os
import random
import re
import runpy
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from graph.evidence import Pattern
from graph.wording import pattern_words

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MARKUP = '<img src=x onerror="window.hacked=1">'
TURNED = "mallory\u202etxt.exe"  # the override makes what follows read from right to left
LISTENING = re.compile(r"http://[\w.\[\]:]+:\d+")
START_S = 240  # compiles kernels where no cache is warm


class Server(NamedTuple):
    url: str

    def score(self, *transactions: dict[str, object]) -> list[dict[str, Any]]:
        return [self._post(each) for each in transactions]

    def _post(self, transaction: dict[str, object]) -> dict[str, Any]:
        answer = httpx.post(f"{self.url}/v1/score", json=transaction, timeout=30)
        verdict: dict[str, Any] = answer.raise_for_status().json()
        assert verdict["admission"] == "accepted", verdict
        return verdict


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    found = found or shutil.which("google-chrome")
    if found is None:
        reason = "there is no Chromium on PATH to drive the ring page with"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """`ringfence serve` on a free port, ready to answer; with a model or in dinars on demand."""
    data, environment = str(tmp_path / "data"), dict(os.environ)
    command = [sys.executable, "-m", "api.cli", "serve", "--port", "0", "--data", data]
    if getattr(request, "param", None) == "with a model":
        small = runpy.run_path(str(Path(__file__).parents[1] / "small_model.py"))
        command += ["--model", str(small["save_model"](tmp_path / "model"))]
    if getattr(request, "param", None) == "in dinars":
        (tmp_path / "rates.toml").write_text('base = "RSD"\n[rates]\nEUR = "117"\n')
        environment["RINGFENCE_RATES"] = str(tmp_path / "rates.toml")
    said: list[str] = []
    listening = threading.Event()
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        stderr = process.stderr

        def listen() -> None:
            for line in stderr:
                said.append(line)
                if LISTENING.search(line):
                    listening.set()

        reader = threading.Thread(target=listen, daemon=True)
        reader.start()
        try:
            assert listening.wait(START_S), "".join(said)
            found = LISTENING.search("".join(said))
            assert found is not None
            server = Server(found.group())
            wait_ready(server)
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            reader.join(5)


def wait_ready(server: Server) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if httpx.get(f"{server.url}/readyz", timeout=15).status_code == 200:
            return
        time.sleep(0.1)
    raise AssertionError(f"not ready within {START_S} s")


class Watched(NamedTuple):
    """A page, and everything it must not do."""

    page: Page
    complaints: list[str]
    strangers: list[str]  # requests to anywhere else


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    yield context
    context.close()


@pytest.fixture
def watched(context: BrowserContext, server: Server) -> Watched:
    page = context.new_page()
    page.set_default_timeout(15_000)
    watched = Watched(page, [], [])
    page.on(
        "console",
        lambda said: watched.complaints.append(said.text) if said.type != "log" else None,
    )
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    page.on(
        "request",
        lambda request: (
            watched.strangers.append(request.url)
            if not request.url.startswith((server.url, "data:"))
            else None
        ),
    )
    return watched


def transfer(
    n: int, at: int, payer: str, payee: str, amount: str, device: str | None = None
) -> dict[str, object]:
    return {
        "transaction_id": f"tx-{n}", "timestamp": at, "type": "transfer", "amount": amount,
        "currency": "EUR", "user_id": payer, "counterparty_id": payee,
        "device_id": device or f"phone-{payer[:4]}-{n}",
    }  # fmt: skip


def cycle(at: int) -> list[dict[str, object]]:
    """Four hops that come home within the hour, each a little less; ids that mean harm."""
    minute = 60_000
    return [
        transfer(1, at, "carol", "mule-1", "5210.00"),
        transfer(2, at + 9 * minute, "mule-1", MARKUP, "5000.00"),
        transfer(3, at + 21 * minute, MARKUP, TURNED, "4800.50"),
        transfer(4, at + 40 * minute, TURNED, "carol", "4600.00"),
    ]


def lesser_cycle(at: int) -> list[dict[str, object]]:
    """Three hops among others, of less money, soon after those of `cycle`."""
    return [
        transfer(11, at + 41 * 60_000, "anna", "ben", "90.00"),
        transfer(12, at + 42 * 60_000, "ben", "cleo", "85.00"),
        transfer(13, at + 43 * 60_000, "cleo", "anna", "80.00"),
    ]


def now() -> int:
    return time.time_ns() // 1_000_000


DRAWN = """() => {
  const cy = window.ringfence.view.drawing;
  return {
    nodes: cy.nodes().map((n) => ({id: n.id(), text: n.data('text'), role: n.data('role'),
      x: n.position('x'), y: n.position('y')})),
    edges: cy.edges('[kind = "witness"]').map((e) => ({source: e.source().id(),
      target: e.target().id(), text: e.data('amount'), bright: e.hasClass('bright')})),
  };
}"""


WRITTEN_SUMS = """async () => {
  const {currencyOf, money, briefMoney} = await import('/js/text.js');
  const yen = currencyOf({decimals: 0, text: '¥3'});
  const euro = currencyOf({decimals: 2, text: '-€1,000.00'});
  const dinar = currencyOf({decimals: 3, text: 'KWD 1.000'});
  const dollar = currencyOf({decimals: 2, text: 'CAD 0.00'});
  return [money(1234567, yen), money(-5, euro), briefMoney(1500, dinar), briefMoney(1000, dinar),
    money(100, dollar), briefMoney(0, euro)];
}"""


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


COVERED = """() => {
  const cy = window.ringfence.view.drawing;
  const only = {includeNodes: false, includeEdges: false, includeOverlays: false};
  const labels = cy.nodes().map((n) => [n.id(), n.boundingBox({...only, includeLabels: true})]);
  const heads = cy.edges('[kind != "shared"]').map((e) => [e, e.targetEndpoint()]);
  return {
    heads: heads.length,
    away: heads.filter(([e, at]) => {
      // Where all round a node are heads, some end at its label.
      const also = {includeLabels: e.data('short') === 1, includeOverlays: false};
      const box = e.target().boundingBox(also);
      return at.x < box.x1 - 4 || at.x > box.x2 + 4 || at.y < box.y1 - 4 || at.y > box.y2 + 4;
    }).map(([e]) => e.id()),
    under: heads.flatMap(([e, at]) => labels
      .filter(([, b]) => at.x > b.x1 + 7 && at.x < b.x2 - 7 && at.y > b.y1 + 7 && at.y < b.y2 - 7)
      .map(([label]) => `${e.id()} under ${label}`)),
  };
}"""


HIDDEN = """() => {
  const cy = window.ringfence.view.drawing;
  const only = {includeNodes: false, includeEdges: false, includeOverlays: false};
  const shrunk = (b, by) => ({x1: b.x1 + by, x2: b.x2 - by, y1: b.y1 + by, y2: b.y2 - by});
  const texts = cy.elements().toArray().filter((e) => e.style('label')).map((e) => {
    // The renderer's box has its margin of error, and the halo of a name or the air of an amount.
    const box = shrunk(e.boundingBox({...only, includeLabels: true}), e.isNode() ? 4.5 : 5);
    return {e, name: e.style('label'), box};
  });
  const over = (a, b) => Math.min(a.x2 - b.x1, b.x2 - a.x1, a.y2 - b.y1, b.y2 - a.y1);
  const found = [];
  texts.forEach((one, i) => {
    for (const other of texts.slice(i + 1)) {
      if (over(one.box, other.box) > 1.5) found.push(`${one.name} on ${other.name}`);
    }
    cy.nodes().forEach((n) => {
      const {x, y} = n.position();
      const half = n.width() / 2 - 3;
      const shape = {x1: x - half, x2: x + half, y1: y - half, y2: y + half};
      if (n.id() !== one.e.id() && over(one.box, shape) > 1.5) found.push(`${one.name} on a node`);
    });
  });
  cy.edges('[kind != "shared"]').forEach((e) => {
    const tip = e.targetEndpoint();
    const before = e.controlPoints()?.[0] ?? e.sourceEndpoint();
    const far = Math.hypot(before.x - tip.x, before.y - tip.y) || 1;
    for (const {name, box} of texts) {
      const b = shrunk(box, 1.5);
      const hidden = [0, 3, 6, 9].some((back) => {
        const x = tip.x + ((before.x - tip.x) / far) * back;
        const y = tip.y + ((before.y - tip.y) / far) * back;
        return x > b.x1 && x < b.x2 && y > b.y1 && y < b.y2;
      });
      if (hidden) found.push(`${name} on the head of ${e.id()}`);
    }
  });
  const dear = cy.nodes('[?member], [?paid]');
  return {
    found,
    texts: texts.length,
    unnamed: dear.filter((n) => !n.style('label')).length / Math.max(1, dear.length),
    letters: 13 * cy.zoom(),
  };
}"""


CROWD = """() => {
  const cy = window.ringfence.view.drawing;
  const stack = cy.nodes('[?stack]').max((n) => n.data('keys').length).ele;
  const minors = cy.edges('[kind = "witness"]').map((e) => e.data('minor'));
  return {nodes: cy.nodes().length, stacked: stack.data('keys').length,
    minor: minors.reduce((a, b) => a + b), ...stack.renderedPosition()};
}"""


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


def test_a_crowd_is_stacked_opened_and_still_counted_to_the_cent(
    watched: Watched, server: Server
) -> None:
    start = now() - 60 * 60_000
    verdicts = server.score(
        *(
            transfer(100 + n, start + n * 20_000, f"payer-{n}", "hub", f"{10 + n}.37")
            for n in range(60)
        )
    )
    told = [each for verdict in verdicts for each in verdict["evidence"]]
    piece = [each for each in told if each["pattern"] == "fan_in"][-1]
    assert len(piece["hops"]) > 30
    page = watched.page
    page.goto(f"{server.url}/#ring={verdicts[-1]['rings'][0]}")
    expect(page.locator(".canvas")).to_have_attribute("data-view", "flow")
    few = page.evaluate(CROWD)
    assert few["nodes"] <= 12
    assert few["stacked"] > 20
    assert few["minor"] == sum(hop["money"]["minor"] for hop in piece["hops"])

    box = page.locator(".canvas").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + few["x"], box["y"] + few["y"])
    page.wait_for_function(f"document.querySelector('.canvas').dataset.nodes > {few['nodes']}")
    many = page.evaluate(CROWD)
    assert 30 < many["nodes"] <= 40
    assert many["minor"] == few["minor"]
    expect(page.locator(".legend")).to_contain_text("user: victim")
    assert watched.complaints == []


@pytest.mark.parametrize("width", [1440, 390])
def test_no_label_lies_on_the_head_of_an_arrow(
    watched: Watched, server: Server, width: int
) -> None:
    start = now() - 60 * 60_000
    *_, closing = server.score(*(each | {"device_id": "one-phone"} for each in cycle(start)))
    *_, gathered = server.score(
        *(
            transfer(100 + n, start + 45 * 60_000 + n * 20_000, f"payer-{n}", "hub", f"{10 + n}.37")
            for n in range(12)
        ),
        *(
            transfer(200 + n, start + (50 + n) * 60_000, "hub", f"exit-{n}", f"{90 + n}.10")
            for n in range(2)
        ),
    )
    page = watched.page
    page.set_viewport_size({"width": width, "height": 900})
    for ring_id in {closing["rings"][0], gathered["rings"][0]}:
        page.goto(f"{server.url}/#ring={ring_id}")
        page.reload()
        canvas = page.locator(".canvas")
        for view in ("flow", "network"):
            expect(canvas).to_have_attribute("data-view", view)
            expect(canvas).to_have_attribute("data-ring", ring_id)
            found = page.evaluate(COVERED)
            assert found["heads"] >= 4, view
            assert (found["away"], found["under"]) == ([], []), (view, ring_id)
            page.keyboard.press("v")
    assert watched.complaints == []


def town(start: int) -> list[dict[str, object]]:
    """A morning with six rings in it, and what people do around them; ids as long as the demo's."""
    chance = random.Random(7)
    people = [f"{chance.getrandbits(48):012x}" for _ in range(60)]
    shops = [f"{chance.getrandbits(48):012x}" for _ in range(6)]
    told: list[tuple[int, dict[str, object]]] = []

    def deed(minute: float, payer: str, payee: str, euros: float, **more: object) -> None:
        at = start + round(minute * 60_000)
        to = "merchant_id" if payee in shops else "counterparty_id"
        told.append((at, {
            "transaction_id": f"town-{len(told)}", "timestamp": at,
            "type": "payment" if payee in shops else "transfer", "amount": f"{euros:.2f}",
            "currency": "EUR", "user_id": payer, to: payee, "device_id": f"phone-{payer}",
            "ip_address": f"203.0.113.{people.index(payer) % 9}", **more,
        }))  # fmt: skip

    for _ in range(130):
        payer, friend = chance.sample(people, 2)
        payee = friend if chance.random() < 0.4 else chance.choice(shops)
        deed(chance.uniform(0, 175), payer, payee, chance.uniform(5, 90))
    for first, minute in ((0, 20), (3, 60), (7, 90)):
        ring = people[first : first + 3 + first % 2]
        for n, (payer, payee) in enumerate(pairwise([*ring, ring[0]])):
            deed(minute + 7 * n, payer, payee, 3000 - 90 * n, device_id=f"farm-{first % 2}")
    for mule, minute in ((12, 100), (24, 130)):
        for n in range(11):
            deed(minute + n / 2, people[mule + 1 + n], people[mule], 300 + 7.31 * n)
        for n in range(3):
            deed(minute + 9 + n, people[mule], people[36 + n], 1000 - 40 * n, device_id="farm-1")
    for n in range(12):
        deed(150 + n, people[40 + n], shops[0], 480.50, device_id=f"farm-{2 + n % 2}")
    return [deed for _, deed in sorted(told, key=lambda each: each[0])]


def test_no_text_of_a_drawing_hides_another_or_the_head_of_an_arrow(
    watched: Watched, server: Server
) -> None:
    server.score(*town(now() - 180 * 60_000))
    answer = httpx.get(f"{server.url}/v1/rings?limit=100", timeout=30).raise_for_status().json()
    rings = [ring["ring_id"] for ring in answer["rings"]]
    assert len(rings) >= 5
    page, texts = watched.page, 0
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(server.url)
        page.reload()
        canvas = page.locator(".canvas")
        for ring_id in rings:
            page.evaluate("id => { location.hash = `ring=${id}` }", ring_id)
            expect(canvas).to_have_attribute("data-ring", ring_id)
            for view in ("flow", "network"):
                page.evaluate("view => window.ringfence.view.turn(view)", view)
                expect(canvas).to_have_attribute("data-view", view)
                page.wait_for_timeout(50)  # a narrow canvas grows first
                drawn = page.evaluate(HIDDEN)
                assert drawn["found"] == [], (width, view, ring_id)
                assert drawn["unnamed"] < 0.1, (width, view, ring_id)
                if width == 390:
                    assert drawn["letters"] >= 9, (view, ring_id)
                texts += drawn["texts"]
    assert texts > 20 * len(rings)
    assert watched.complaints == []


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
    page.clock.run_for(30_000)
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


def test_the_page_writes_patterns_as_the_server_does(watched: Watched, server: Server) -> None:
    page = watched.page
    page.goto(server.url)
    said = page.evaluate(
        "async (all) => { const {patternWords} = await import('/js/text.js');"
        " return all.map(patternWords); }",
        [str(each) for each in Pattern],
    )
    assert said == [pattern_words(each) for each in Pattern]


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
    expect(fold.locator(".why-sum")).to_contain_text(f"Score {closing['score']:.3f}")
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
