"""Every threshold of the order-free search, each with its rationale beside it."""

from dataclasses import dataclass

from graph.limit_checks import require_workable
from graph.transaction import DAY


@dataclass(frozen=True, slots=True)
class UnorderedLimits:
    """When a pattern counts as one where times are days."""

    # Rhythm: of a payer with six payments and more, two fifths more than chance on one weekday,
    # one day of the month or every n-th day are standing orders, wages, a shop's settlement.
    rhythm_payments: int = 6
    rhythm_share: float = 0.40

    # Where more than a tenth of all payments break a habit, the history has no habits to speak of.
    unusual_share: float = 0.10

    # A pair that dealt up to five times is no habit, whatever the rhythm of its payer.
    fan_dealings: int = 5
    # Three strangers are told; a crowd of three has nothing else that speaks for it.
    fan_counterparties: int = 3

    # Cycles come home within three weeks (AMLSim's planted ones; a month is the cycle of reports).
    cycle_within: int = 20 * DAY
    cycle_hops: int = 10
    cycle_dealings: int = 10
    # A pair that dealt once counts on rhythm as well, if that is rare for the payer or the payee.
    cycle_rare: int = 10
    # Payments looked at in all, and cycles told.
    cycle_scan: int = 2_000_000
    cycle_most: int = 10_000

    # Most transactions and members shown in one piece of evidence: what a person can check.
    witness: int = 64

    def __post_init__(self) -> None:
        require_workable(self, ("rhythm_share", "unusual_share"))
