"""What is known about a ring as a whole, for the judge of rings (`scorer.ring_judge`).

The columns of a row, in order:

- `score`, `pieces`, `strongest` .. `fourth`, `mean_strength`, `likely_pieces`, `sure_pieces`: the
  score of the ring, how many pieces of evidence stand, how strong the four strongest are and all in
  the mean, how many are .5 and .9 or stronger;
- `suspects`, `suspects_share`, `suspects_score`: of its transactions those that linked suspects
  show: how many, what share of all, how likely they were fraud (the mean of the surest piece);
- `money`, `step`: logarithms of 1 + minor units: the sum of its transactions and their median;
- `users`, `merchants`, `devices`, `cards`, `addresses`, `accounts`, `fringe`: members by kind, its
  accounts that are not at the fringe, and the share of members that are;
- `hours`, `hours_of_evidence`: since its first evidence, and from that to its newest;
- `named`, `named_most`, `named_second`, `named_mean`: accounts that evidence names, how much of all
  naming is of the account named most, and the second and the mean against that one;
- `merged`: rings that it took in;
- `strongest_P`, `pieces_P` for each pattern P: its strongest piece, 0 where there is none, and how
  many there are.

Nothing here depends on names, dates, or on which way a suspect's money went.

Cost: O(pieces + their members and transactions), at most `RingPolicy.max_evidence` pieces.
"""

from collections.abc import Collection
from math import log1p
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graph.evidence import Evidence, Pattern
from graph.rings import Ring
from graph.transaction import ACCOUNTS, HOUR, Entity, EntityKind

_PATTERNS: Final = tuple(Pattern)
_PLACES: Final = {pattern: place for place, pattern in enumerate(_PATTERNS)}
_KINDS: Final = (
    EntityKind.USER, EntityKind.MERCHANT, EntityKind.DEVICE, EntityKind.CARD, EntityKind.IP,
)  # fmt: skip
_WHOLE: Final = (
    "score", "pieces", "strongest", "second", "third", "fourth", "mean_strength", "likely_pieces",
    "sure_pieces", "suspects", "suspects_share", "suspects_score", "money", "step", "users",
    "merchants", "devices", "cards", "addresses", "accounts", "fringe", "hours",
    "hours_of_evidence", "named", "named_most", "named_second", "named_mean", "merged",
)  # fmt: skip
NAMES: Final = (
    *_WHOLE,
    *(f"strongest_{pattern}" for pattern in _PATTERNS),
    *(f"pieces_{pattern}" for pattern in _PATTERNS),
)


def ring_row(ring: Ring, evidence: Collection[Evidence]) -> NDArray[np.float32]:
    """One row, float32 [len(NAMES)].

    Args:
        ring: At its newest revision.
        evidence: What stands of its evidence: one piece at least.
    """
    strengths = sorted((piece.strength for piece in evidence), reverse=True)
    seen = [piece.seen_at for piece in evidence]
    best, count = np.zeros(len(_PATTERNS)), np.zeros(len(_PATTERNS))
    values: dict[str, int] = {}
    named: dict[Entity, float] = {}
    for piece in evidence:
        place = _PLACES[piece.pattern]
        count[place] += 1
        best[place] = max(best[place], piece.strength)
        for hop in piece.hops:
            values[hop.transaction_id] = hop.value
        for entity, _ in piece.members:
            if entity.kind in ACCOUNTS:
                named[entity] = named.get(entity, 0.0) + piece.strength
    kinds = [0] * len(_KINDS)
    for entity, _ in ring.members:
        kinds[_KINDS.index(entity.kind)] += 1
    whole = (
        ring.score,
        len(evidence),
        *(strengths + [0.0] * 3)[:4],
        sum(strengths) / len(strengths),
        sum(strength >= 0.5 for strength in strengths),
        sum(strength >= 0.9 for strength in strengths),
        *_suspects(evidence, len(values)),
        log1p(sum(values.values())),
        log1p(median(values.values())) if values else 0.0,
        *kinds,
        len(ring.accounts),
        1.0 - len(ring.core) / max(len(ring.members), 1),
        (ring.changed_at - min(seen)) / HOUR,
        (max(seen) - min(seen)) / HOUR,
        *_named(sorted(named.values(), reverse=True)),
        len(ring.aliases),
    )
    return np.concatenate([whole, best, count]).astype(np.float32)


def _suspects(evidence: Collection[Evidence], transactions: int) -> tuple[float, float, float]:
    linked = [piece for piece in evidence if piece.pattern is Pattern.LINKED_SUSPECTS]
    if not linked:
        return 0.0, 0.0, 0.0
    shown = {hop.transaction_id for piece in linked for hop in piece.hops}
    sure = max(linked, key=lambda piece: piece.strength)
    return len(shown), len(shown) / max(transactions, 1), sure.facts["score_mean"]


def _named(sums: list[float]) -> tuple[float, float, float, float]:
    if not sums or sums[0] == 0:
        return len(sums), 0.0, 0.0, 0.0
    second = sums[1] if len(sums) > 1 else 0.0
    most, whole = sums[0], sum(sums)
    return len(sums), most / whole, second / most, whole / len(sums) / most
