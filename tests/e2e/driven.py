"""What a test of the ring page drives: a server to score with, and a page that is watched."""

from typing import Any, NamedTuple

import httpx
from playwright.sync_api import Page


class Server(NamedTuple):
    url: str

    def score(self, *transactions: dict[str, object]) -> list[dict[str, Any]]:
        return [self._post(each) for each in transactions]

    def _post(self, transaction: dict[str, object]) -> dict[str, Any]:
        answer = httpx.post(f"{self.url}/v1/score", json=transaction, timeout=30)
        verdict: dict[str, Any] = answer.raise_for_status().json()
        assert verdict["admission"] == "accepted", verdict
        return verdict


class Watched(NamedTuple):
    """A page, and everything it must not do."""

    page: Page
    complaints: list[str]
    strangers: list[str]  # requests to anywhere else


DRAWN = """() => {
  const cy = window.ringfence.view.drawing;
  return {
    nodes: cy.nodes().map((n) => ({id: n.id(), text: n.data('text'), role: n.data('role'),
      x: n.position('x'), y: n.position('y')})),
    edges: cy.edges('[kind = "witness"]').map((e) => ({source: e.source().id(),
      target: e.target().id(), text: e.data('amount'), bright: e.hasClass('bright')})),
  };
}"""
