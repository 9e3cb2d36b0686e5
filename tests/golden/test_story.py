"""One small story, told transaction by transaction: a change of scores or rings shows as a diff.

`python tests/golden/test_story.py` writes `story.txt` anew and prints what changed.
"""

import difflib
import sys
from collections.abc import Iterator
from pathlib import Path

from graph.transaction import HOUR, MINUTE, Money, Outcome, Transaction
from graph.transaction import TransactionType as Type
from scorer.detector import Detector

GOLDEN = Path(__file__).with_name("story.txt")
START = 1_700_000_000_000


def transactions() -> Iterator[tuple[str, Transaction]]:
    """A quiet morning, a mule at noon, a circle in the afternoon, and things that go wrong."""
    number = 0

    def make(why: str, at: int, kind: Type, value: int, user: str, other: str | None, **more):
        nonlocal number
        number += 1
        field = "merchant_id" if kind in (Type.PAYMENT, Type.REFUND) else "counterparty_id"
        named = {field: other} if other is not None else {}
        return why, Transaction(
            f"t{number:02}", START + at, kind, Money(value, "EUR"), value, user, **named, **more
        )

    for n, user in enumerate(("ada", "bob", "cyd", "dan")):
        yield make("buys bread", n * MINUTE, Type.PAYMENT, 450, user, "bakery", device_id=user)
    for n, user in enumerate(("ada", "bob", "cyd", "dan")):
        yield make("is deceived", HOUR + n * MINUTE, Type.TRANSFER, 90_000, user, "mia")
    yield make("passes it on", HOUR + 9 * MINUTE, Type.TRANSFER, 200_000, "mia", "boss")
    yield make("takes the rest", HOUR + 12 * MINUTE, Type.WITHDRAWAL, 140_000, "mia", None)
    yield make("starts a circle", 2 * HOUR, Type.TRANSFER, 50_000, "kim", "lou", device_id="d")
    yield make("goes on", 2 * HOUR + 4 * MINUTE, Type.TRANSFER, 48_000, "lou", "max", device_id="d")
    yield make("comes home", 2 * HOUR + 9 * MINUTE, Type.TRANSFER, 46_000, "max", "kim")
    yield make("buys bread again", 3 * HOUR, Type.PAYMENT, 450, "kim", "bakery")
    declined = Outcome.DECLINED
    for n in range(11):
        at = 4 * HOUR + n * 10_000
        yield make("tries a card", at, Type.PAYMENT, 100, "eve", "shop", outcome=declined)
    yield make("comes a day late", 0, Type.PAYMENT, 100, "old", "shop")
    yield make("has a broken clock", 9_999 * HOUR, Type.PAYMENT, 100, "new", "shop")


def told() -> str:
    detector = Detector()
    lines = []
    for why, tx in transactions():
        verdict = detector.observe(tx)
        line = (
            f"{tx.transaction_id} {tx.user_id} {why}: {verdict.admission}, {verdict.decision} "
            f"at {verdict.score:.4f}"
        )
        lines.append(line)
        lines += [f"    saw {e.pattern} {e.strength:.3f}: {e.reason}" for e in verdict.evidence]
        for event in verdict.ring_events:
            ring = event.ring
            lines.append(
                f"    {event.kind} {ring.ring_id} revision {ring.revision}, score "
                f"{ring.score:.3f}, money {ring.money}, "
                + ", ".join(f"{entity} {role}" for entity, role in ring.members)
            )
            if event.alert is not None:
                lines.append(f"    alert {event.alert.alert_id}: {event.alert.headline}")
    return "\n".join(lines) + "\n"


def test_the_story_is_told_as_before() -> None:
    assert told() == GOLDEN.read_text()


if __name__ == "__main__":
    before = GOLDEN.read_text() if GOLDEN.exists() else ""
    after = told()
    GOLDEN.write_text(after)
    sys.stdout.writelines(
        difflib.unified_diff(before.splitlines(True), after.splitlines(True), "before", "after")
    )
