"""How well order-free evidence finds the rings that a history names, typology by typology."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from graph.evidence import Evidence
from graph.rings import Ring, RingState
from scorer.history import LabelledTransaction
from scorer.ring_matching import DetectedRing, TrueRing, match_rings

_UNNAMED: Final = "ring"


class NamedRings:
    """The true rings of a history, with their typologies where the data name them."""

    def __init__(self) -> None:
        self._rings: dict[str, TrueRing] = {}
        self._kinds: dict[str, str] = {}

    def note(self, item: LabelledTransaction) -> None:
        """Take in one transaction of the history."""
        if item.ring_id is None:
            return
        ring = self._rings.setdefault(item.ring_id, TrueRing(item.ring_id))
        ring.add(item.transaction)
        self._kinds[item.ring_id] = item.ring_kind or _UNNAMED

    def __len__(self) -> int:
        return len(self._rings)

    def figures(self, found: Sequence[Evidence]) -> dict[str, Any]:
        """By typology: true, found (Jaccard of members >= 0.5, one to one), recall.

        `false` counts, by pattern, evidence that is nobody's match.
        """
        detected = [DetectedRing(_ring_of(piece)) for piece in found]
        matched = match_rings(detected, list(self._rings.values()))
        hits = [self._kinds[truth.ring_id] for _, truth in matched]
        real = {ring.ring.ring_id for ring, _ in matched}
        rows: dict[str, Any] = {
            kind: _row(kind, list(self._kinds.values()), hits)
            for kind in sorted(set(self._kinds.values()))
        }
        strays = [str(piece.pattern) for piece in found if piece.evidence_id not in real]
        return {"typologies": rows, "false": _counted(strays)}


def _row(kind: str, kinds: Sequence[str], hits: Sequence[str]) -> dict[str, float]:
    true, matched = kinds.count(kind), hits.count(kind)
    return {"true": true, "found": matched, "recall": matched / true}


def _counted(names: Iterable[str]) -> dict[str, int]:
    names = list(names)
    return {name: names.count(name) for name in sorted(set(names))}


def _ring_of(piece: Evidence) -> Ring:
    """A ring of one piece of evidence."""
    return Ring(
        ring_id=piece.evidence_id,
        revision=1,
        state=RingState.ACTIVE,
        born_at=piece.seen_at,
        changed_at=piece.seen_at,
        members=piece.members,
        patterns=(piece.pattern,),
        score=piece.strength,
        money=piece.money,
        transactions=tuple(hop.transaction_id for hop in piece.hops),
        evidence=(piece.evidence_id,),
        truncated=piece.truncated,
    )
