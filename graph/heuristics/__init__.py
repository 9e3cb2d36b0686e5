"""The catalogue of heuristics: one file a typology family, the cheap ones first.

Every heuristic answers `detect(window, tx, admission)` right after the window has taken the
transaction. The money patterns also answer `at(window, position)`: they are pure functions of the
window and an edge, so that asking again at `window.affected(position)` after a disordered arrival
gives what an orderly arrival would have given.

Those that compare an account, card or merchant with its habit read what `graph.profiles` and
`graph.attempts` remember, as it was before the transaction; `Catalogue.detect` notes it afterwards.

Most transactions never come here: `graph.fast_path` runs the heuristics' searches in compiled code
and asks only those that may have something to say. A heuristic that is added has to be added to
`graph.fast_kernel` as well.
"""

from collections.abc import Sequence
from enum import IntFlag, auto
from typing import Final, Protocol

from graph.admission import Admission
from graph.evidence import Evidence, Pattern
from graph.habits import Habits
from graph.heuristics.bust_out import BustOut
from graph.heuristics.card_testing import CardTesting
from graph.heuristics.chain import Chains
from graph.heuristics.collector import Collectors
from graph.heuristics.collusion import Collusion
from graph.heuristics.cycle import Cycles
from graph.heuristics.dormancy import Dormancy
from graph.heuristics.fan import Fans
from graph.heuristics.feeder_tree import FeederTrees
from graph.heuristics.gather_scatter import GatherScatter
from graph.heuristics.identity import SharedIdentity
from graph.heuristics.layers import Layers
from graph.heuristics.mule import Mules
from graph.heuristics.refunds import RefundAbuse
from graph.heuristics.rules import Blocklist, ImpossibleTravel, Velocity
from graph.heuristics.scatter_gather import ScatterGather
from graph.heuristics.structuring import Structuring
from graph.heuristics.synthetic import SyntheticIdentity
from graph.heuristics.takeover import Takeovers
from graph.heuristics.unfinished import Unfinished
from graph.lists import ListBook, ListName, Lists
from graph.profiles import Profiles
from graph.snapshot import Snapshot, pack, unpack
from graph.thresholds import Thresholds
from graph.transaction import Transaction
from graph.window import TransactionWindow

__all__ = [
    "BustOut",
    "CardTesting",
    "Catalogue",
    "Chains",
    "Collectors",
    "Collusion",
    "Cycles",
    "Dormancy",
    "Fans",
    "FeederTrees",
    "GatherScatter",
    "Heuristic",
    "Layers",
    "Lists",
    "MoneyPattern",
    "Mules",
    "RefundAbuse",
    "ScatterGather",
    "SharedIdentity",
    "Structuring",
    "SyntheticIdentity",
    "Takeovers",
    "Thresholds",
    "catalogue",
]

_VERSION: Final = 2


class Heuristic(Protocol):
    """Looks at one transaction in its window and says what it completed."""

    def detect(
        self, window: TransactionWindow, tx: Transaction, admission: Admission
    ) -> Sequence[Evidence]:
        """Evidence that this transaction completed, in a stable order; empty most of the time.

        `admission` is what `window.add(tx)` has just answered. A transaction that was not accepted
        completes nothing, except that a block list speaks for itself.
        """
        ...


class MoneyPattern(Heuristic, Protocol):
    """A heuristic that is a pure function of the window and the position of an edge."""

    def at(self, window: TransactionWindow, position: int) -> Sequence[Evidence]:
        """Evidence that the edge at a live position completes, looking at earlier edges only."""
        ...


class Speaker(IntFlag):
    """Heuristics by name, where some of them are known to have nothing to say."""

    BLOCKLIST = auto()
    TRAVEL = auto()
    VELOCITY = auto()
    CYCLES = auto()
    MULES = auto()
    FANS = auto()
    COLLECTORS = auto()
    CHAINS = auto()
    SCATTERED = auto()
    GATHERED = auto()
    LAYERS = auto()
    TREES = auto()
    STRUCTURING = auto()
    SHARING = auto()
    DORMANCY = auto()
    TAKEOVERS = auto()
    BUST_OUTS = auto()
    CARD_TESTING = auto()
    COLLUSION = auto()
    REFUNDS = auto()
    SYNTHETIC = auto()


EVERYBODY: Final = sum(Speaker)


class Catalogue:
    """All heuristics in order: rules, money patterns, identity, accounts and merchants.

    Attributes:
        thresholds: When a pattern counts as one.
        lists: Who is blocked, allowed and watched; the caller may change it between transactions.
        travel, velocity, cycles, mules, fans, collectors, chains, scattered, gathered, layers,
            trees, structuring, sharing: One heuristic each.
        dormancy, takeovers, bust_outs, card_testing, collusion, refunds, synthetic: The same, of
            those that compare an account with what it usually does.
        profiles: What that is.
        habits: What accounts do every day, and is therefore not told of them.
        money: Those that look at nothing but who paid whom, from cycles to structuring, each with
            its flag as a `Speaker`.
        unfinished: Edges whose search was cut short, for the sweep.
    """

    def __init__(self, thresholds: Thresholds, lists: Lists) -> None:
        self.thresholds: Final = thresholds
        self.lists: Final = ListBook(lists)
        self.habits: Final = Habits(thresholds)
        self.travel: Final = ImpossibleTravel(thresholds)
        self.velocity: Final = Velocity(thresholds)
        self.cycles: Final = Cycles(thresholds)
        self.mules: Final = Mules(thresholds)
        self.fans: Final = Fans(thresholds)
        self.collectors: Final = Collectors(thresholds)
        self.sharing: Final = SharedIdentity(thresholds)
        self.profiles: Final = Profiles(thresholds)
        self.dormancy: Final = Dormancy(thresholds, self.profiles)
        self.takeovers: Final = Takeovers(thresholds, self.profiles)
        self.bust_outs: Final = BustOut(thresholds, self.profiles)
        self.card_testing: Final = CardTesting(thresholds, self.profiles)
        self.collusion: Final = Collusion(thresholds, self.profiles)
        self.refunds: Final = RefundAbuse(thresholds, self.profiles)
        self.synthetic: Final = SyntheticIdentity(thresholds, self.profiles)
        self.chains: Final = Chains(thresholds)
        self.scattered: Final = ScatterGather(thresholds)
        self.gathered: Final = GatherScatter(thresholds)
        self.layers: Final = Layers(thresholds)
        self.trees: Final = FeederTrees(thresholds)
        self.structuring: Final = Structuring(thresholds)
        self.money: Final[tuple[tuple[int, MoneyPattern], ...]] = (
            (int(Speaker.CYCLES), self.cycles),
            (int(Speaker.MULES), self.mules),
            (int(Speaker.FANS), self.fans),
            (int(Speaker.COLLECTORS), self.collectors),
            (int(Speaker.CHAINS), self.chains),
            (int(Speaker.SCATTERED), self.scattered),
            (int(Speaker.GATHERED), self.gathered),
            (int(Speaker.LAYERS), self.layers),
            (int(Speaker.TREES), self.trees),
            (int(Speaker.STRUCTURING), self.structuring),
        )
        self.unfinished: Final = Unfinished((self.cycles, self.chains, self.scattered))
        self._order: Final[tuple[tuple[int, Heuristic], ...]] = (
            (int(Speaker.BLOCKLIST), Blocklist(self.lists)),
            (int(Speaker.TRAVEL), self.travel),
            (int(Speaker.VELOCITY), self.velocity),
            *self.money,
            (int(Speaker.SHARING), self.sharing),
            (int(Speaker.DORMANCY), self.dormancy),
            (int(Speaker.TAKEOVERS), self.takeovers),
            (int(Speaker.BUST_OUTS), self.bust_outs),
            (int(Speaker.CARD_TESTING), self.card_testing),
            (int(Speaker.COLLUSION), self.collusion),
            (int(Speaker.REFUNDS), self.refunds),
            (int(Speaker.SYNTHETIC), self.synthetic),
        )

    def detect(
        self,
        window: TransactionWindow,
        tx: Transaction,
        admission: Admission,
        speakers: int = EVERYBODY,
    ) -> list[Evidence]:
        """Everything this transaction completed, save what its centre is allowed or used to.

        `speakers` are the heuristics that may have something to say, as `Speaker` flags. After they
        have looked, the transaction is noted in the memory of accounts: ask once a transaction.
        """
        found: list[Evidence] = []
        for speaker, heuristic in self._order:
            if speakers & speaker:
                found += heuristic.detect(window, tx, admission)
        self.profiles.note(window, tx, admission)
        self.card_testing.note(window, tx, admission)
        return self._worth_telling(found)

    def at(
        self, window: TransactionWindow, position: int, speakers: int = EVERYBODY
    ) -> list[Evidence]:
        """What the money patterns see at the edge at a live position, less habits.

        Ask this at `window.affected(admission.position)` after a disordered arrival. `speakers`
        are the patterns that may have something to say, as `Speaker` flags.
        """
        found: list[Evidence] = []
        for speaker, pattern in self.money:
            if speakers & speaker:
                found += pattern.at(window, position)
        return self._worth_telling(found)

    def _worth_telling(self, found: list[Evidence]) -> list[Evidence]:
        return self.habits.beyond(self.without_allowed(found)) if found else found

    def without_allowed(self, found: list[Evidence]) -> list[Evidence]:
        """Evidence without that whose centre is on the allow list, unless it says blocked."""
        if not found or not self.lists:
            return found
        # Who is both blocked and allowed is blocked.
        return [
            e
            for e in found
            if e.pattern is Pattern.BLOCKED
            or self.lists.get(ListName.ALLOW, e.members[0][0]) is None
        ]

    def snapshot(self) -> bytes:
        """The state of the stateful heuristics; take it together with the window's."""
        parts = {
            "travel": self.travel.snapshot(),
            "habits": self.habits.snapshot(),
            "profiles": self.profiles.snapshot(),
            "attempts": self.card_testing.attempts.snapshot(),
            "unfinished": self.unfinished.snapshot(),
        }
        return pack("heuristics", _VERSION, Snapshot(parts, {}))

    def restore(self, data: bytes) -> None:
        """Take over a snapshot.

        Raises:
            Incompatible: It is torn, altered, or of another version.
        """
        parts = unpack("heuristics", _VERSION, data).values
        self.travel.restore(parts["travel"])
        self.habits.restore(parts["habits"])
        self.profiles.restore(parts["profiles"])
        self.card_testing.attempts.restore(parts["attempts"])
        self.unfinished.restore(parts["unfinished"])


def catalogue(thresholds: Thresholds = Thresholds(), lists: Lists = Lists()) -> Catalogue:
    """The heuristics, ready for one window."""
    return Catalogue(thresholds, lists)
