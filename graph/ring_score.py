"""How strongly a ring's evidence speaks for fraud, all together."""

from collections.abc import Iterable
from math import prod
from typing import Final

from graph.evidence import Evidence, Pattern, Role
from graph.transaction import EntityKind

# Seen with a ring, but no proof of one: half of all friends pay each other back, and what one user
# does alone is that user's deed.
UNPROVING: Final = frozenset({Pattern.PING_PONG, Pattern.VELOCITY, Pattern.IMPOSSIBLE_TRAVEL})
# A deed as well, unless several users do it together: victims and payees are not accomplices.
DEEDS: Final = frozenset(
    {Pattern.DORMANT_BURST, Pattern.TAKEOVER, Pattern.BUST_OUT, Pattern.REFUND_ABUSE}
)
_PASSIVE: Final = frozenset({Role.VICTIM, Role.SENDER, Role.RECEIVER})
# Money that goes round twice is no accident; a third lap convinces as much as a tenth.
LAPS: Final = 3


class RingScore:
    """Noisy-or of each pattern's strongest proof; of cycles, of each lap.

    Laps are the first three cycles that have no transaction in common with an earlier lap. What
    evidence of the same key (`evidence_key`) said before is forgotten.
    """

    def __init__(self) -> None:
        self._strengths: dict[Pattern, dict[str, float]] = {}
        self._laps: list[tuple[float, frozenset[str]]] = []

    def add(self, key: str, piece: Evidence, *, known: bool) -> None:
        """Take in a piece of evidence; `known`: one of its key was taken in before."""
        if piece.pattern is Pattern.CYCLE and not known and len(self._laps) < LAPS:
            passed = frozenset(hop.transaction_id for hop in piece.hops)
            if all(passed.isdisjoint(lap) for _, lap in self._laps):
                self._laps.append((piece.strength, passed))
        strength = piece.strength if is_proof(piece) else 0.0
        self._strengths.setdefault(piece.pattern, {})[key] = strength

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """What was seen, in a stable order."""
        return tuple(sorted(self._strengths))

    def value(self) -> float:
        """The score, 0 to 1."""
        doubt = 1.0
        for pattern in sorted(self._strengths):
            alone = 1.0 - max(self._strengths[pattern].values())
            laps = prod(1.0 - strength for strength, _ in self._laps)
            doubt *= min(alone, laps) if pattern is Pattern.CYCLE else alone
        return 1.0 - doubt


def score_of(pieces: Iterable[Evidence]) -> float:
    """What a ring that holds exactly this evidence would score, 0 to 1."""
    score = RingScore()
    known: set[str] = set()
    for piece in pieces:
        key = evidence_key(piece)
        score.add(key, piece, known=key in known)
        known.add(key)
    return score.value()


def is_proof(piece: Evidence) -> bool:
    """Whether it shows a ring, not only what somebody in one did; what does not bears none.

    A judge's probability has that in it: judged evidence always proves what its strength says.
    """
    if piece.is_judged:
        return True
    if piece.pattern not in DEEDS:
        return piece.pattern not in UNPROVING
    doers = {e for e, role in piece.members if e.kind is EntityKind.USER and role not in _PASSIVE}
    return len(doers) > 1


def evidence_key(piece: Evidence) -> str:
    """What newer evidence replaces: the fan or mule of one centre; each cycle stands for itself."""
    if piece.pattern in (Pattern.CYCLE, Pattern.PING_PONG):
        return piece.evidence_id
    return f"{piece.pattern} {piece.members[0][0]}"
