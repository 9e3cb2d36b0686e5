"""The drawing: crowds are stacked, the legend names what is drawn, no text hides another."""

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.driven import Server, Watched, rest
from tests.e2e.payments import cycle, now, town, transfer

pytestmark = [pytest.mark.browser, pytest.mark.slow]


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


KINDS = """() => window.ringfence.view.drawing.nodes()
  .map((n) => [n.data('kind'), n.data('role'), n.data('keys')])"""


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
    # All that the ring holds: also what only evidence shows that newer has taken the place of.
    steps = {hop["transaction_id"]: hop["money"]["minor"] for each in told for hop in each["hops"]}
    assert few["minor"] == sum(steps.values())

    box = page.locator(".canvas").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + few["x"], box["y"] + few["y"])
    page.wait_for_function(f"document.querySelector('.canvas').dataset.nodes > {few['nodes']}")
    many = page.evaluate(CROWD)
    assert 30 < many["nodes"] <= 40
    assert many["minor"] == few["minor"]
    expect(page.locator(".legend")).to_contain_text("user: victim")
    assert watched.complaints == []


def test_the_legend_names_every_kind_of_node_that_is_drawn_and_no_other(
    watched: Watched, server: Server
) -> None:
    start = now() - 60 * 60_000
    server.score(transfer(90, start - 60_000, "anna", "carol", "12.00"))
    *_, circle = server.score(*(each | {"device_id": "one-phone"} for each in cycle(start)))
    cash = {"type": "withdrawal", "counterparty_id": None}
    *_, crowd = server.score(
        *(
            transfer(100 + n, start + 41 * 60_000 + n * 12_000, f"payer-{n}", "hub", f"{10 + n}.37")
            for n in range(45)
        ),
        *(
            transfer(200 + n, start + (51 + n) * 60_000, "hub", "", f"{700 + n}.10") | cash
            for n in range(2)
        ),
    )
    page, named = watched.page, {}
    for ring, told in (("circle", circle), ("crowd", crowd)):
        (ring_id,) = told["rings"]
        members = httpx.get(f"{server.url}/v1/rings/{ring_id}", timeout=30).json()["members"]
        inside = {f"{each['entity']['kind']}:{each['entity']['id']}" for each in members}
        page.goto(f"{server.url}/#ring={ring_id}")
        for view in ("flow", "network"):
            expect(page.locator(".canvas")).to_have_attribute("data-ring", ring_id)
            page.evaluate("view => window.ringfence.view.turn(view)", view)
            legend = page.locator(".legend li:has(.badge)").all_text_contents()
            drawn = {called(*node, members=inside) for node in page.evaluate(KINDS)}
            assert sorted(legend) == sorted(drawn), (ring, view)
            named[ring, view] = set(legend)
    assert named["circle", "flow"] == {"device", "user: controller", "user: mule"}
    assert named["circle", "network"] == named["circle", "flow"] | {"user: not in the ring"}
    assert "cash or outside" in named["crowd", "flow"] & named["crowd", "network"]
    assert "user: of several roles" in named["crowd", "network"]
    assert watched.complaints == []


def called(kind: str, role: str, keys: list[str], *, members: set[str]) -> str:
    """A node as a legend should call it."""
    if kind in ("device", "card", "ip", "outside"):
        return {"ip": "IP address", "outside": "cash or outside"}.get(kind, kind)
    if role != "none":
        return f"{kind}: {role.replace('_', '-')}"
    return f"{kind}: {'not in the ring' if members.isdisjoint(keys) else 'of several roles'}"


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
            rest(page)
            found = page.evaluate(COVERED)
            assert found["heads"] >= 4, view
            assert (found["away"], found["under"]) == ([], []), (view, ring_id)
            page.keyboard.press("v")
    assert watched.complaints == []


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
                rest(page)
                drawn = page.evaluate(HIDDEN)
                assert drawn["found"] == [], (width, view, ring_id)
                assert drawn["unnamed"] < 0.1, (width, view, ring_id)
                if width == 390:
                    assert drawn["letters"] >= 9, (view, ring_id)
                texts += drawn["texts"]
    assert texts > 20 * len(rings)
    assert watched.complaints == []
