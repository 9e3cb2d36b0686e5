"""What a test of the ring page drives: a server to score with, and a page that is watched."""

from typing import Any, NamedTuple

import httpx
from playwright.sync_api import Page


class Server(NamedTuple):
    url: str

    def score(self, *transactions: dict[str, object]) -> list[dict[str, Any]]:
        # One client: to make one reads the certificates of all authorities.
        with httpx.Client(base_url=self.url, timeout=30) as client:
            return [_scored(client, each) for each in transactions]


def _scored(client: httpx.Client, transaction: dict[str, object]) -> dict[str, Any]:
    verdict: dict[str, Any] = client.post("/v1/score", json=transaction).raise_for_status().json()
    assert verdict["admission"] == "accepted", verdict
    return verdict


class Watched(NamedTuple):
    """A page, and everything it must not do."""

    page: Page
    complaints: list[str]
    strangers: list[str]  # requests to anywhere else


FRAMES = """() => new Promise((done) => {
  let left = 4;
  const next = () => (left-- ? requestAnimationFrame(next) : done());
  next();
})"""


def rest(page: Page) -> None:
    """Wait until sizes are what they will be: a drawing follows its panel some frames later."""
    page.evaluate(FRAMES)


DRAWN = """() => {
  const cy = window.ringfence.view.drawing;
  return {
    nodes: cy.nodes().map((n) => ({id: n.id(), text: n.data('text'), role: n.data('role'),
      x: n.position('x'), y: n.position('y')})),
    edges: cy.edges('[kind = "witness"]').map((e) => ({source: e.source().id(),
      target: e.target().id(), text: e.data('amount'), bright: e.hasClass('bright')})),
  };
}"""
