"""How large a verdict may be: a log takes records up to a size, and a ring may outgrow it.

A ring holds up to 500 members and 2,000 transactions, an id has up to 128 characters, and a verdict
may tell of several rings. What is too large is cut where it is least missed: first the transactions
of rings, the oldest first, then members, hops and ids of evidence. Ring and evidence then say
`truncated`, as they do where they reach a bound of their own. The same verdict is always cut alike.
"""

import logging
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, TypeVar

from msgspec.structs import replace

from graph.evidence import Evidence
from graph.rings import Ring, RingEvent
from graph.transaction import Entity
from scorer.verdict import Verdict

T = TypeVar("T")

_ROOM_OF_AN_ID: Final = 1_100
"""Bytes of any id with all that stands around it."""
_AROUND_AN_ID: Final = 100
_ALL: Final = 1 << 30
_STEPS: Final = (
    *((most, _ALL, _ALL) for most in (1_000, 300, 100, 30, 10, 0)),
    *((0, most, _ALL) for most in (250, 100, 30, 10)),
    *((0, 10, most) for most in (100, 30, 10, 3)),
)
"""Transactions of a ring that are kept, of its other lists, and of those of evidence."""
_log: Final = logging.getLogger(__name__)


def cut_to_fit(verdict: Verdict, size: Callable[[Verdict], int], most: int) -> Verdict:
    """The verdict if it has at most so many bytes, else as much of it as has.

    Args:
        verdict: Whatever was said.
        size: Its bytes on the wire.
        most: How many they may be.
    """
    if _surely_fits(verdict, most) or size(verdict) <= most:
        return verdict
    found = verdict
    for transactions, others, witnesses in _STEPS:
        found = replace(
            verdict,
            ring_events=tuple(_event(each, transactions, others) for each in verdict.ring_events),
            evidence=tuple(_piece(each, witnesses) for each in verdict.evidence),
            findings=tuple(_piece(each, witnesses) for each in verdict.findings),
        )
        if size(found) <= most:
            return found
    while found.ring_events or found.evidence or found.findings:
        found = replace(
            found,
            ring_events=found.ring_events[: len(found.ring_events) // 2],
            evidence=found.evidence[: len(found.evidence) // 2],
            findings=found.findings[: len(found.findings) // 2],
        )
        if size(found) <= most:
            break
    _log.warning(
        "the verdict of %s has room for %d of its %d ring events, and for %d of %d pieces",
        verdict.transaction_id,
        len(found.ring_events),
        len(verdict.ring_events),
        len(found.evidence) + len(found.findings),
        len(verdict.evidence) + len(verdict.findings),
    )
    return found


def _surely_fits(verdict: Verdict, most: int) -> bool:
    """Whether it need not be measured: nearly all are small."""
    pieces = (*verdict.evidence, *verdict.findings)
    if not pieces and not verdict.ring_events:
        return True
    count = sum(len(each.members) + 3 * len(each.hops) for each in pieces)
    for event in verdict.ring_events:
        ring = event.ring
        count += 2 * len(ring.members) + len(event.added_members) + len(ring.transactions)
        count += len(ring.evidence) + len(ring.aliases)
    if (count + 4 * len(verdict.ring_events) + 4 * len(pieces)) * _ROOM_OF_AN_ID <= most:
        return True
    letters = sum(map(len, chain.from_iterable(map(_ids, verdict.ring_events))))
    letters += sum(len(entity.id) for piece in pieces for entity, _ in piece.members)
    letters += 3 * 128 * sum(len(piece.hops) for piece in pieces)
    around = _AROUND_AN_ID * count + 2_000 * (len(verdict.ring_events) + len(pieces) + 10)
    return 4 * letters + around <= most


def _ids(event: RingEvent) -> Iterator[str]:
    ring = event.ring
    yield from ring.transactions
    yield from ring.evidence
    yield from ring.aliases
    for entity, _ in ring.members:
        yield entity.id
        yield entity.id  # it may be watched as well
    for entity in event.added_members:
        yield entity.id


def _event(event: RingEvent, transactions: int, others: int) -> RingEvent:
    alert = event.alert
    if alert is not None and len(alert.watched) > others:
        alert = replace(alert, watched=alert.watched[:others])
    added: tuple[Entity, ...] = event.added_members[:others]
    return replace(
        event, ring=_ring(event.ring, transactions, others), added_members=added, alert=alert
    )


def _ring(ring: Ring, transactions: int, others: int) -> Ring:
    cut = replace(
        ring,
        transactions=_newest(ring.transactions, transactions),
        members=ring.members[:others],
        evidence=_newest(ring.evidence, others),
        aliases=_newest(ring.aliases, others),
    )
    return ring if cut == ring else replace(cut, truncated=True)


def _piece(piece: Evidence, most: int) -> Evidence:
    if len(piece.members) <= most and len(piece.hops) <= most:
        return piece
    members, hops = piece.members[:most], piece.hops[:most]
    return with_id(replace(piece, members=members, hops=hops, truncated=True), piece.evidence_id)


def with_id(piece: Evidence, evidence_id: str) -> Evidence:
    """The piece under this id: of one that was cut, its own members and hops would give another."""
    vars(piece)["evidence_id"] = evidence_id
    return piece


def _newest(values: tuple[T, ...], most: int) -> tuple[T, ...]:
    return values[max(0, len(values) - most) :]
