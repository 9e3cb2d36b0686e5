"""Every investigation answered by brute force over a small city, and what is asked of it.

The oracles know nothing of Cypher: they go over lists of movements, links and rings, as slowly and
plainly as the question is put. Each takes the city and the bound parameters and gives the rows in
the order that the investigation promises.
"""

from itertools import product
from types import SimpleNamespace
from typing import Any

from graph.transaction import DAY, HOUR
from tests.oracles import account_questions, money_questions, ring_questions, sharing_questions
from tests.oracles.city import START

ORACLES = (
    ring_questions.ORACLES
    | money_questions.ORACLES
    | sharing_questions.ORACLES
    | account_questions.ORACLES
)
NEO4J, DEEP = money_questions.NEO4J, account_questions.DEEP


def bound(parameters: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(**parameters)


def every(**choices: list[Any]) -> list[dict[str, Any]]:
    """All combinations."""
    return [dict(zip(choices, each, strict=True)) for each in product(*choices.values())]


ASKED: dict[str, list[dict[str, Any]]] = {
    "ring-of-user": every(user=["u00", "u03", "u09"]),
    "ring-members": every(ring=["r-cycle", "r-mules"]),
    "ring-payments": every(ring=["r-cycle", "r-mules"], since=[0, START + 2 * DAY]),
    "ring-cash-flow": every(ring=["r-cycle", "r-mules"], since=[0, START + 2 * DAY]),
    "common-counterparties": every(ring_a=["r-cycle"], ring_b=["r-mules", "r-gone"]),
    "linked-rings": every(ring=["r-cycle", "r-mules", "r-gone"]),
    "rings-at-merchant": every(merchant=["kiosk", "mall"], since=[0, START + 2 * DAY]),
    "merchant-isolated-buyers": every(merchant=["kiosk", "mall"]),
    "first-contact": every(user=["u05", "u00", "victim1"], ring=["r-cycle", "r-mules"]),
    "what-changed": every(since=[START, START + 5 * DAY + HOUR], until=[START + 6 * DAY + 1]),
    "alert-evidence": every(alert=["a-1", "a-2"]),
    "fan-in": every(user=["u05", "u00"], since=[0, START + DAY]),
    "fan-out": every(user=["u05", "sleeper"], since=[0, START + DAY]),
    "fan-in-collectors": every(hours=[6, 72], least=[2, 3], since=[0, START + DAY]),
    "fan-out-distributors": every(hours=[6, 72], least=[2, 3], since=[0, START + DAY]),
    "money-trail": every(source=["u00"], target=["u00", "u03"], hops=[3], hours=[12]),
    "round-trips": every(user=["u00", "u04"], hops=[4], hours=[24], carry=[0, 90]),
    "money-trail-forward": every(user=["u00", "victim0"], hops=[3], hours=[6, 24]),
    "money-trail-backward": every(user=["u05", "u02"], hops=[3], hours=[6, 24]),
    "mule-feeder-tree": every(user=["u05", "u02"], levels=[1, 2, 3], hours=[5, 12]),
    "pass-through": every(hours=[3, 24], carry=[50, 95], least=[1, 2]),
    "structuring": every(limit=[10_000], within=[1, 5, 50], least=[2, 3]),
    "accounts-sharing-device": every(device=["d-farm", "d-0"]),
    "shared-devices": every(least=[2], most=[3, 20], since=[0, START + 4 * DAY]),
    "shared-cards": every(least=[2], most=[3, 20]),
    "shared-ips": every(least=[2], most=[3, 20]),
    "shared-identifiers": every(user=["u00", "u05", "victim0"]),
    "single-link-accounts": every(user=["u00", "bot1", "u13"]),
    "risky-identifiers": every(least=[1, 2], score=[0, 80]),
    "new-devices": every(user=["sleeper", "u00", "u07"], days=[0, 7]),
    "neighbourhood": every(user=["u00", "u05"]),
    "risk-within-two-hops": every(user=["sleeper", "bot0", "victim3"], crowd=[2, 20]),
    "dormant-then-burst": every(days=[3, 30], least=[2, 5], hours=[24]),
    "declined-then-success": every(minutes=[10, 600], least=[1, 3]),
    "entity-timeline": [
        *every(entity=["u05", "sleeper"], kind=["User"], since=[0, START + 5 * DAY]),
        *every(entity=["d-farm"], kind=["Device", "Card"]),
        *every(entity=["kiosk"], kind=["Merchant"]),
    ],
    "path-between": [
        *every(source=["bot1", "victim0"], target=["u00", "u12"], hops=[2, 6]),
        *every(source=["d-v4"], source_kind=["Device"], target=["d-farm", "d-nowhere"],
               target_kind=["Device"], hops=[6]),
    ],
}  # fmt: skip
"""What is asked of the city: every portable investigation, with parameters that find something."""

NEO4J_ASKED: dict[str, list[dict[str, Any]]] = {
    "layering": [
        *every(source=["u00", "u03"], target=["u05", "u02"], hops=[3, 6],
               since=[START + 6 * HOUR], hours=[30], value=[0, 9_500]),
        *every(source=["victim0"], target=["u05"], since=[START + 6 * DAY], hours=[2]),
    ],
    "shortest-money-routes": every(source=["u00", "u03"], target=["u05", "u02"],
                                   value=[0, 9_900]),
}  # fmt: skip

DEEP_ASKED: dict[str, list[dict[str, Any]]] = {
    "fraud-rank": every(outside=["yes", "no"]),
    "community-of-user": every(user=["u00", "u05", "victim1", "sleeper"]),
}
