"""What bounds a pass of the sweep, each value with its rationale beside it."""

from dataclasses import dataclass
from typing import Final

from graph.limit_checks import require_workable
from graph.transaction import DAY, MINUTE

_SHARES: Final = frozenset(
    {"block_fill", "shops_fill", "fresh_share", "community_young", "community_inside"}
)


@dataclass(frozen=True, slots=True)
class SweepLimits:
    """When a pass is due, how much it may look at, and what it takes for a finding."""

    # A pass takes seconds on a full window; a ring's money is on the move for hours.
    every: int = 15 * MINUTE

    # Budgets of the second search, against those of the first. At most so many edges are searched
    # a pass, the newest: 256 of them, each through 20,000 to 40,000 edges, are seconds.
    patience: int = 20
    again: int = 256

    # Blocks: three by three is the smallest, as for layers; within the day not everybody pays
    # everybody, but two of five pairs are more than a market or a club has.
    block_side: int = 3
    block_fill: float = 0.40
    # What an investigator can look through, and what a ring holds with room to spare.
    block_most: int = 64
    # Peelings a pass, one a block; what is too large or too loose is taken out and counts as one.
    blocks: int = 16
    # Shops: among the users of a ring three shops are a coincidence, unless nearly all went to all.
    shops_fill: float = 0.60
    # Payers of a shop from which on it is popular and says nothing about who pays there.
    popular: int = 256
    # Half of the pairs have to be new to each other: what is old is a custom.
    fresh_share: float = 0.50

    # Communities: five as for a farm; fifty are what one hand can run and one person can check.
    community_least: int = 5
    community_most: int = 50
    communities: int = 32
    # Ties (a shared device or card, money between strangers) against those of a tree over the same
    # members: a star or a chain has 1, five users who share two identifiers 1.7.
    community_ties: float = 1.5
    # Half of the ties are younger than a week; four fifths of their weight stay inside.
    community_young: float = 0.50
    # Also how long a stream has to have gone on before the window began.
    young: int = 7 * DAY
    community_inside: float = 0.80
    # Users of an identifier from which on it is public (a kiosk, a branch).
    public: int = 50
    # Edges given to Leiden; where there are more, the sparsest fringe is left out (higher cores).
    leiden_edges: int = 50_000
    # Constant Potts model: a community is denser inside than this. Unlike modularity it does not
    # lose small communities in a large graph (Traag et al. 2011).
    leiden_resolution: float = 0.05

    # Most hops shown in one piece of evidence: what a person can check.
    witness: int = 32

    def __post_init__(self) -> None:
        require_workable(self, _SHARES)
