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

    Laps are the first three cycles that have no transaction in common with an earlier lap.
    """

    def __init__(self) -> None:
        self._strengths: dict[Pattern, dict[str, float]] = {}
        self._laps: list[tuple[float, frozenset[str]]] = []

    def add(self, piece: Evidence) -> None:
        """Let a piece of evidence count that does not yet."""
        if piece.pattern is Pattern.CYCLE and len(self._laps) < LAPS:
            passed = frozenset(hop.transaction_id for hop in piece.hops)
            if all(passed.isdisjoint(lap) for _, lap in self._laps):
                self._laps.append((piece.strength, passed))
        strengths = self._strengths.setdefault(piece.pattern, {})
        strengths[piece.evidence_id] = piece.strength if is_proof(piece) else 0.0

    def remove(self, piece: Evidence) -> None:
        """Let a piece count no longer that was added; a cycle, which nothing replaces, never is."""
        strengths = self._strengths[piece.pattern]
        del strengths[piece.evidence_id]
        if not strengths:
            del self._strengths[piece.pattern]

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
    for piece in pieces:
        score.add(piece)
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
    """What newer evidence may say again: the fan or mule of one centre; a cycle only itself."""
    if piece.pattern in (Pattern.CYCLE, Pattern.PING_PONG):
        return piece.evidence_id
    return f"{piece.pattern} {piece.members[0][0]}"


def says_again(newer: Evidence, older: Evidence) -> bool:
    """Whether evidence of the same key takes the other's place.

    A fan seen again with one more payer does: it contains it. One that shows none of the same
    transactions is another deed, and what the first one showed stays true: a front goes on selling
    when the ring that used it has gone, and a mule's next week may be honest. That somebody is
    blocked is no deed: his next attempt says nothing new.
    """
    if newer.pattern is Pattern.BLOCKED:
        return True
    shown = {hop.transaction_id for hop in older.hops}
    return not shown or not newer.hops or any(hop.transaction_id in shown for hop in newer.hops)
