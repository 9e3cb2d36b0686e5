"""Ring lessons: rings of a history as they stood at some of their revisions, with what labels say.

A ring is shown when it is born, whenever its members or its pieces of evidence have doubled since
it was last shown, and as it stood last: each as it was known then, nothing later. What it was in
the end is what all of them teach. It was a true one if its accounts overlap those of one planted
ring's known frauds by Jaccard >= 0.5, as where rings are matched (`scorer.ring_matching`), or if at
least half of its witness are known frauds; without named rings, if at least half of its users did
one.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.evidence import Evidence
from graph.ring_book import RingBook
from graph.ring_policy import RingPolicy
from graph.rings import Ring
from graph.transaction import ACCOUNTS, Entity, EntityKind
from scorer.evidence_log import EvidenceLog
from scorer.judge_lessons import HALF
from scorer.party_columns import RowParties
from scorer.ring_matching import ENOUGH, jaccard
from scorer.table import Rows, Table


class RingRevision(NamedTuple):
    """A ring as it stood, and its evidence then, oldest first."""

    ring: Ring
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class RingLessons:
    """Labelled revisions of rings; N of them, those of a ring in order and side by side.

    Attributes:
        revisions: The rings.
        fraud: Whether its ring was a true one, bool [N].
        rings: Number of the ring that each is a revision of, int64 [N].
        last: Whether it is the last one of its ring, bool [N].
        groups: Number of the planted ring (or user) that its ring was most about in the end, of a
            false one a number of its own, int64 [N]: what belongs into one fold.
    """

    revisions: tuple[RingRevision, ...]
    fraud: NDArray[np.bool_]
    rings: NDArray[np.int64]
    last: NDArray[np.bool_]
    groups: NDArray[np.int64]

    def cut(self, share: float) -> tuple[Rows, Rows]:
        """The revisions of the groups that ended first, and those of the last share of groups."""
        ends = np.zeros(int(self.groups.max(initial=-1)) + 1, np.int64)
        times = np.array([each.ring.changed_at for each in self.revisions], np.int64)
        np.maximum.at(ends, self.groups, times)
        ranked = np.sort(ends)
        later = ends[self.groups] >= (ranked[int((1.0 - share) * len(ranked))] if len(ends) else 0)
        return np.flatnonzero(~later), np.flatnonzero(later)


def revisions_of(log: EvidenceLog, policy: RingPolicy, until: int) -> list[list[RingRevision]]:
    """The rings that evidence makes, each at the revisions at which it is shown, by birth.

    Args:
        log: Evidence with the strengths from which rings are made.
        policy: When a ring is born.
        until: Place in the history of the last transaction that counts.
    """
    book = RingBook(policy)
    shown: dict[str, list[RingRevision]] = {}
    newest: dict[str, RingRevision] = {}
    for told in log.told:
        if told.place > until:
            break
        events = book.observe(told.pieces, told.watermark)
        for ring_id in dict.fromkeys(event.ring.ring_id for event in events):
            ring = book.get(ring_id)
            # One that merged away within these events has been told of as part of the other.
            if ring is None or ring.ring_id != ring_id:
                continue
            newest[ring_id] = now = RingRevision(ring, book.evidence_of(ring_id))
            seen = shown.setdefault(ring_id, [])
            if not seen or _doubled(seen[-1], now):
                seen.append(now)
    for ring_id, seen in shown.items():
        if seen[-1].evidence != newest[ring_id].evidence:
            seen.append(newest[ring_id])
    return list(shown.values())


def _doubled(before: RingRevision, now: RingRevision) -> bool:
    return len(now.ring.members) >= 2 * len(before.ring.members) or len(now.evidence) >= 2 * len(
        before.evidence
    )


def ring_lessons(
    table: Table, past: Rows, evidence: EvidenceLog, policy: RingPolicy
) -> RingLessons:
    """What the labels of the past say about the rings that its evidence made.

    Args:
        table: Of a replay without a judge.
        past: Rows whose labels may be learned from.
        evidence: The table's evidence, `weighed` as rings are to see it.
        policy: When a ring is born.
    """
    known = _Frauds.of(table, past[table.fraud[past]])
    until = int(table.places[past].max(initial=-1))
    lives = revisions_of(evidence, policy, until)
    groups: dict[str, int] = {}
    numbers, fraud, group, last = list[int](), list[bool](), list[int](), list[bool]()
    for number, life in enumerate(lives):
        about = known.about(life[-1])
        own = groups.setdefault(about or f"\x1f{number}", len(groups))
        numbers += [number] * len(life)
        fraud += [about is not None] * len(life)
        group += [own] * len(life)
        last += [*[False] * (len(life) - 1), True]
    return RingLessons(
        tuple(each for life in lives for each in life),
        np.array(fraud, np.bool_),
        np.array(numbers, np.int64),
        np.array(last, np.bool_),
        np.array(group, np.int64),
    )


@dataclass(frozen=True, slots=True)
class _Frauds:
    """What the past knows.

    Attributes:
        rings: Planted ring of each fraud by transaction id; its user where no ring is named.
        members: Users and merchants in the frauds of each planted ring.
        of_account: Planted rings in whose frauds each account took part.
        doers: Users of frauds of which no ring is named.
    """

    rings: Mapping[str, str]
    members: Mapping[str, set[Entity]]
    of_account: Mapping[Entity, set[str]]
    doers: set[Entity]

    @classmethod
    def of(cls, table: Table, frauds: Rows) -> "_Frauds":
        rings: dict[str, str] = {}
        members: dict[str, set[Entity]] = {}
        of_account: dict[Entity, set[str]] = {}
        doers: set[Entity] = set()
        for row in frauds.tolist():
            ring_id, user = table.ring_ids[row], table.users[row]
            rings[table.ids[row]] = ring_id or user
            if ring_id is None:
                doers.add(Entity(EntityKind.USER, user))
                continue
            for account in _accounts(table.parties.of(row, table.ids[row])):
                members.setdefault(ring_id, set()).add(account)
                of_account.setdefault(account, set()).add(ring_id)
        return cls(rings, members, of_account, doers)

    def about(self, revision: RingRevision) -> str | None:
        """The planted ring (or user) that a true ring is most about; None of a false one."""
        accounts = {e for e in revision.ring.core if e.kind in ACCOUNTS}
        near = {ring for e in accounts for ring in self.of_account.get(e, ())}
        overlaps = {ring: jaccard(accounts, self.members[ring]) for ring in near}
        if max(overlaps.values(), default=0.0) >= ENOUGH:
            return _most(overlaps)
        witness = {hop.transaction_id for piece in revision.evidence for hop in piece.hops}
        found = Counter(self.rings[each] for each in witness if each in self.rings)
        if found and found.total() >= HALF * len(witness):
            return _most(found)
        users = [e for e in accounts if e.kind is EntityKind.USER]
        doers = sorted(e.id for e in users if e in self.doers)
        return doers[0] if doers and len(doers) >= HALF * len(users) else None


def _accounts(parties: RowParties) -> Iterator[Entity]:
    """Users and merchants that took part."""
    yield Entity(EntityKind.USER, parties.user_id)
    if parties.counterparty_id is not None:
        yield Entity(EntityKind.USER, parties.counterparty_id)
    if parties.merchant_id is not None:
        yield Entity(EntityKind.MERCHANT, parties.merchant_id)


def _most(found: Mapping[str, float]) -> str:
    return min(found, key=lambda each: (-found[each], each))
