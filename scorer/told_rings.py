"""The rings that are told: of evidence, and of what was scored.

There are two ring books. The observer's is made of evidence alone; its score is what a verdict is
blended from and what features see. The one here is told everything that one is told and, after the
score, the suspects that hang together (`scorer.suspects`): it is what investigators see and what
alerts are of. Were there one, a score would make a ring that makes the next score, and a model
could not be taught on what it will be shown.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from msgspec.structs import replace

from graph.evidence import Evidence
from graph.ring_book import Likelihood, RingBook
from graph.ring_index import Parties
from graph.ring_policy import RingPolicy
from graph.rings import Ring, RingEvent
from scorer.suspects import Suspect, Suspects


class RingNews(NamedTuple):
    """What a transaction did to the rings that are told.

    Attributes:
        rings: Those it touches, the strongest first.
        events: What happened to rings, in order.
        suspects: What hangs together with it.
    """

    rings: tuple[Ring, ...]
    events: Sequence[RingEvent] = ()
    suspects: tuple[Evidence, ...] = ()


class ToldRings:
    """Keeps the rings that are told.

    Args:
        policy: When a ring is born and told.
        likelihood: Says how likely a ring is a true one; without it the score alone decides.

    Attributes:
        book: The ring book.
    """

    def __init__(self, policy: RingPolicy, likelihood: Likelihood | None = None) -> None:
        self.book = RingBook(policy, likelihood)
        self._suspects = Suspects()
        self._due = self.book.next_rest

    def take(
        self, tx: Parties, pieces: Sequence[Evidence], watermark: int, suspect: Suspect | None
    ) -> RingNews:
        """What an accepted transaction does to them.

        Args:
            tx: Who takes part.
            pieces: What it completed, and what the sweep had found.
            watermark: Event time as far as it has come, epoch ms.
            suspect: It, if it was scored more likely fraud than not.
        """
        book = self.book
        if not pieces and suspect is None and watermark < self._due:
            return RingNews(book.touched_by(tx))
        events = book.observe(pieces, watermark)
        suspects: tuple[Evidence, ...] = ()
        if suspect is not None:
            suspects = self._suspects.note(suspect, watermark)
            events += book.observe(suspects, watermark)
        self._due = book.next_rest
        return RingNews(book.touched_by(tx), events, suspects)

    def state(self) -> dict[str, Any]:
        """The whole state, as plain values by name."""
        return {"told": self.book.snapshot(), "suspects": self._suspects.snapshot()}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Take over a `state`, to go on by the policy of this one.

        Raises:
            Incompatible: A part of it is torn, altered, or of another version.
        """
        self.book = RingBook.restore(values["told"], self.book.policy, self.book.likelihood)
        self._suspects = Suspects.restore(values["suspects"])
        self._due = self.book.next_rest


def as_scored(rings: tuple[Ring, ...], ring_score: float) -> tuple[Ring, ...]:
    """Told rings as far as a score was made of them: of suspects it was not.

    Args:
        rings: Those that a transaction touches.
        ring_score: Score of the strongest ring of evidence that it touches.
    """
    if ring_score == 0:
        return ()
    return tuple(replace(ring, score=min(ring.score, ring_score)) for ring in rings)
