"""History: labelled transactions in event-time order, as training and evaluation replay them."""

from dataclasses import dataclass

from graph.transaction import Label, Transaction


@dataclass(frozen=True, slots=True)
class LabelledTransaction:
    """A transaction of the past and what was later known about it.

    Attributes:
        transaction: As it arrived.
        fraud: True, False, or None where nobody knows.
        known_at: When the label became known; None without a label.
        ring_id: Id of the true ring it belongs to, where the data names rings.
        ring_kind: Typology of that ring, where the data names it.
    """

    transaction: Transaction
    fraud: bool | None = None
    known_at: int | None = None
    ring_id: str | None = None
    ring_kind: str | None = None

    @property
    def label(self) -> Label | None:
        """The label as the engine will learn it."""
        if self.fraud is None or self.known_at is None:
            return None
        return Label(self.transaction, self.fraud, self.known_at)
