"""Typology figures: ring detection, kind by kind and variant by variant.

A false ring has no true kind. It is attributed to the kind that its strongest evidence speaks of,
so that a kind cannot look good while its detector floods the queue.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from graph.evidence import Pattern
from scorer.ground_truth import PLAIN, RingFacts
from scorer.ring_matching import DetectedRing, RingMatch, TrueRing, delay_medians, mean

UNKNOWN: Final = "unknown"
"""Kind of a true ring of which nobody said what it is."""

_ALSO: Final[Mapping[str, tuple[str, ...]]] = {
    "ping_pong": ("cycle",),
    "shared_device": ("device_farm", "synthetic_identity", "identity"),
    "shared_card": ("device_farm", "synthetic_identity", "identity"),
    "shared_ip": ("device_farm", "synthetic_identity", "identity"),
}
"""Kinds that a pattern of another name speaks of, the likeliest first."""


def kind_of(pattern: Pattern | None, kinds: Mapping[str, RingFacts] | frozenset[str]) -> str:
    """The kind of ring, of those the data has, that a pattern speaks of; else its own name."""
    if pattern is None:
        return UNKNOWN
    candidates = (pattern.value, *_ALSO.get(pattern.value, ()))
    return next((name for name in candidates if name in kinds), pattern.value)


def typology_figures(match: RingMatch, facts: Mapping[str, RingFacts]) -> dict[str, Any]:
    """Rows by kind and by variant, plain JSON values; None where there is nothing to divide by.

    Args:
        match: Alerted and true rings, and which is which.
        facts: What is known about true rings, by their id.

    Returns:
        `kinds`: by kind `true`, `matched`, `recall`, `false` (alerted rings that match no true one,
        by their strongest pattern), `false_per_10_true`, `member_precision`, `member_recall`,
        `delay`, and `variants`, the same but for the false ones. `variants`: the same over all
        kinds.
    """
    kind = {ring.ring_id: _facts(facts, ring).kind for ring in match.true}
    variant = {ring.ring_id: _facts(facts, ring).variant for ring in match.true}
    known = frozenset(kind.values())
    false: dict[str, int] = {}
    for ring in match.false:
        name = kind_of(ring.pattern, known)
        false[name] = false.get(name, 0) + 1
    kinds: dict[str, Any] = {}
    for name in sorted(known | set(false)):
        true = [ring for ring in match.true if kind[ring.ring_id] == name]
        wrong = false.get(name, 0)
        row = _row(true, match.pairs)
        row["false"] = wrong
        row["false_per_10_true"] = 10 * wrong / len(true) if true else None
        row["variants"] = _by_variant(true, variant, match.pairs)
        kinds[name] = row
    return {"kinds": kinds, "variants": _by_variant(match.true, variant, match.pairs)}


def _facts(facts: Mapping[str, RingFacts], ring: TrueRing) -> RingFacts:
    return facts.get(ring.ring_id) or RingFacts(UNKNOWN, PLAIN)


def _by_variant(
    true: Sequence[TrueRing],
    variant: Mapping[str, str],
    pairs: Sequence[tuple[DetectedRing, TrueRing]],
) -> dict[str, Any]:
    names = sorted({variant[ring.ring_id] for ring in true}, key=lambda name: (name != PLAIN, name))
    return {
        name: _row([ring for ring in true if variant[ring.ring_id] == name], pairs)
        for name in names
    }


def _row(
    true: Sequence[TrueRing], pairs: Sequence[tuple[DetectedRing, TrueRing]]
) -> dict[str, Any]:
    ids = {ring.ring_id for ring in true}
    found = [(ring, truth) for ring, truth in pairs if truth.ring_id in ids]
    members = [(ring.members, truth.members) for ring, truth in found]
    return {
        "true": len(true),
        "matched": len(found),
        "recall": len(found) / len(true) if true else None,
        "member_precision": mean([len(a & b) / len(a) for a, b in members]),
        "member_recall": mean([len(a & b) / len(b) for a, b in members]),
        "delay": delay_medians(found),
    }
