"""Look-alikes: how often legitimate groups that have a ring's shape are taken for one.

A group is falsely alerted when the witness of one ring's alerts holds at least half of its judged
transactions, or when any of them is declined. Judged are the labelled transactions of the test;
groups with a single one of them count only where that is the whole group.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from scorer.ground_truth import LookAlike
from scorer.ring_matching import DetectedRing

RULE: Final = (
    "A group is falsely alerted when the witness of one ring's alerts holds at least half of its "
    "judged transactions, or when any of them is declined."
)


def look_alike_figures(
    groups: Iterable[LookAlike],
    rings: Sequence[DetectedRing],
    begins: int,
    judged: Collection[str],
    declined: Collection[str],
) -> dict[str, Any]:
    """Rows by kind, plain JSON values.

    Args:
        groups: The look-alikes of the whole history.
        rings: Rings that alerted.
        begins: Alerts before this moment do not count, epoch ms.
        judged: Ids of the judged transactions; a set.
        declined: Those of them that were declined; a set.

    Returns:
        `rule`, and `kinds`: by kind `groups`, `alerted` (falsely, either way), `by_ring`,
        `by_decline`, `transactions`, `per_thousand` (alerted groups of a thousand).
    """
    shown: list[tuple[str, tuple[str, ...]]] = []
    for group in groups:
        inside = tuple(each for each in group.transaction_ids if each in judged)
        if len(inside) > 1 or (inside and len(group.transaction_ids) == 1):
            shown.append((group.kind, inside))
    by_ring = _held_by_rings([inside for _, inside in shown], rings, begins)
    kinds: dict[str, dict[str, Any]] = {}
    for number, (kind, inside) in enumerate(shown):
        row = kinds.setdefault(
            kind, {"groups": 0, "transactions": 0, "alerted": 0, "by_ring": 0, "by_decline": 0}
        )
        held, refused = number in by_ring, any(each in declined for each in inside)
        row["groups"] += 1
        row["transactions"] += len(inside)
        row["by_ring"] += held
        row["by_decline"] += refused
        row["alerted"] += held or refused
    for row in kinds.values():
        row["per_thousand"] = 1_000 * row["alerted"] / row["groups"]
    return {"rule": RULE, "kinds": dict(sorted(kinds.items()))}


def _held_by_rings(
    groups: Sequence[tuple[str, ...]], rings: Sequence[DetectedRing], begins: int
) -> set[int]:
    """Numbers of the groups of which one ring's alerts hold at least half."""
    group_of: dict[str, list[int]] = {}
    for number, inside in enumerate(groups):
        for each in inside:
            group_of.setdefault(each, []).append(number)
    held: set[int] = set()
    for ring in rings:
        witness = {each for at, told in ring.alerts if at >= begins for each in told}
        counts: dict[int, int] = {}
        for each in witness:
            for number in group_of.get(each, ()):
                counts[number] = counts.get(number, 0) + 1
        held |= {number for number, count in counts.items() if 2 * count >= len(groups[number])}
    return held
