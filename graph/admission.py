"""What the window answers: what became of a transaction, and what it knew of it before."""

from enum import StrEnum
from typing import NamedTuple


class Status(StrEnum):
    """What became of a transaction."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    LATE = "late"
    AHEAD = "ahead"


class Link(NamedTuple):
    """A user's relation to another entity before a transaction; count 0 = not seen in 30 days."""

    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    first: int
    last: int


class Admission(NamedTuple):
    """What became of a transaction, and the dense ids of what it touches (-1 = none).

    Attributes:
        status: Accepted, duplicate, late or ahead.
        position: Where it stands in the edge log; of the first one if it is a duplicate.
        user: Account id of the transaction's user.
        other: Account id of the counterparty or merchant.
        device, ip, card: Identifier ids.
        links: The user's relation to device, ip, card and other before this transaction.
        disordered: Accepted beneath newer transactions of its accounts.
    """

    status: Status
    position: int
    user: int
    other: int
    device: int
    ip: int
    card: int
    links: tuple[Link, Link, Link, Link]
    disordered: bool

    @property
    def parties(self) -> tuple[int, int, int, int, int]:
        """Ids of user, other party, device, IP and card."""
        return self.user, self.other, self.device, self.ip, self.card
