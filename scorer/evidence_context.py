"""The context of evidence: what is known about those it names, as figures for a judge.

A heuristic says what happened; whether that is fraud depends on to whom. A marketplace seller is
paid by strangers every day, a family sends money round in a circle, an exchange passes it on within
the hour. So every piece of evidence is looked at together with the accounts in it: how old and how
busy they are, whether they had dealt with each other before or with the same others, how far apart
they live, what devices, cards and rare addresses they share, whether money was paid in before and
taken out after, how the amounts compare with what they usually pay, and on how many days before the
same was seen of the same centre.

Everything is as of the transaction that completed the evidence, and nothing later. Cost: bounded by
the constants of `scorer.context_kernel`, some 20 microseconds a piece; only evidence is looked at,
which is rare.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import log1p
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.compiled import bind
from graph.evidence import SEEN, Evidence, Hop
from graph.heuristics.rules import ImpossibleTravel
from graph.profiles import BEGAN as BEGAN_AT
from graph.profiles import Profiles
from graph.snapshot import Snapshot, pack, unpack
from graph.transaction import DAY, HOUR, Entity, EntityKind
from graph.window import TransactionWindow
from scorer import context_kernel as kernels
from scorer.feature_kernels import FeatureState

_VERSION: Final = 1
_KIND: Final = "evidence_context"

MOST_CENTRES: Final = 100_000
"""Centres remembered; the one longest without evidence is forgotten first."""

_SPREAD: Final = ("least", "median", "most")

PIECE: Final = (
    "pattern",
    "strength",
    *(f"{kind.value}s" for kind in EntityKind),
    "hops",
    "retained",
    "value_log",
    "value_spread",
    "hours",
    "gaps_spread",
)
"""What the piece itself says."""
AROUND: Final = (
    *(
        f"member_{what}_{which}"
        for what in ("age", "acts_log", "acts_a_day", "others", "payers")
        for which in _SPREAD
    ),
    "centre_others",
    "centre_payers",
    "centre_acts_log",
    "centre_age",
    "centre_payers_a_day",
    "pairs_fresh",
    "pairs_reciprocal",
    "pair_count",
    *(f"pair_age_{which}" for which in _SPREAD),
    "on_one_device",
    "device_users",
    "on_one_device_share",
    "on_one_address",
    "on_one_card",
    "device_outsiders",
    "taken_out_to_received",
    "paid_in_to_sent",
    "taken_out_log",
    "paid_in_log",
    "taken_out_to_witness",
    "paid_in_to_witness",
    "moves_outside",
    "moves_a_member",
    *(f"value_to_usual_{which}" for which in _SPREAD),
    "values_distinct",
    "values_round",
    "value_most_log",
    "ways_tried",
    "known_frauds",
    "known_honest",
    *(
        f"{what}_{which}"
        for what in ("new_others", "new_payers", "declined", "declined_to")
        for which in (*_SPREAD, "centre")
    ),
    "members_acquainted",
    "members_with_acquaintances",
    "members_paying_members",
    "contacts_common",
    "contacts_common_of_pairs",
    "tried_days_least",
    "tried_days_median",
    "met_today_median",
    "met_today_most",
    "centre_met_today",
    "members_placed",
    "near_centre",
    "in_one_place",
    "pairs_km_log_median",
    "pairs_km_log_most",
)
"""What the window, the profiles and the features say about its members."""
BEFORE: Final = ("same_before", "same_days_before", "any_days_before")
"""What was told about its centre before."""
NAMES: Final = (*PIECE, *AROUND, *BEFORE)
"""The columns of a context row."""

_KINDS: Final = tuple(EntityKind)
_PATTERNS: Final = {pattern: float(place) for place, pattern in enumerate(SEEN)}

# pieces, distinct days, the last day
_Told = list[int]


class EvidenceContext:
    """Makes context rows, and remembers of which centres what was told on how many days.

    Args:
        window: Whose transactions completed the evidence.
        profiles: Of its accounts.
        travel: Where they were last seen.
        state: Of the features over the same ids.
    """

    def __init__(
        self,
        window: TransactionWindow,
        profiles: Profiles,
        travel: ImpossibleTravel,
        state: FeatureState,
    ) -> None:
        self._window = window
        self._profiles = profiles
        self._travel = travel
        self._state = state
        self._told: OrderedDict[Entity, dict[str, _Told]] = OrderedDict()
        self._values = np.zeros(max(kernels.MOST_MEMBERS, kernels.MOST_HOPS), np.float64)
        self._ids = np.zeros(kernels.SCRATCH, np.int64)
        self._ends = np.zeros(6, np.int64)
        self._kernel: Callable[..., Any] | None = None

    def rows(self, pieces: Sequence[Evidence]) -> NDArray[np.float32]:
        """Context of pieces that were just completed, float32 [pieces, len(NAMES)].

        NaN where nothing is known.
        """
        out = np.full((len(pieces), len(NAMES)), np.nan, np.float32)
        out[:, : len(PIECE)] = [_itself(piece) for piece in pieces]
        self._around(pieces, out)
        out[:, -len(BEFORE) :] = [self._before(piece) for piece in pieces]
        return out

    def note(self, pieces: Iterable[Evidence]) -> None:
        """Remember that these were told."""
        for piece in pieces:
            centre, day = piece.members[0][0], piece.seen_at // DAY
            told = self._told.setdefault(centre, {})
            self._told.move_to_end(centre)
            before = told.setdefault(piece.pattern.value, [0, 0, -1])
            before[0] += 1
            before[1] += day > before[2]
            before[2] = max(day, before[2])
            if len(self._told) > MOST_CENTRES:
                self._told.popitem(last=False)

    def snapshot(self) -> bytes:
        """What is remembered; equal memories give equal bytes."""
        told = [
            [centre.kind.value, centre.id, sorted(patterns.items())]
            for centre, patterns in self._told.items()
        ]
        return pack(_KIND, _VERSION, Snapshot({"told": told}, {}))

    def restore(self, data: bytes) -> None:
        """Remember what was remembered at `snapshot`.

        Raises:
            Incompatible: The bytes are no such snapshot.
        """
        values = unpack(_KIND, _VERSION, data).values
        self._told = OrderedDict(
            (Entity(EntityKind(kind), id_), {name: list(told) for name, told in patterns})
            for kind, id_, patterns in values["told"]
        )

    def _before(self, piece: Evidence) -> tuple[float, float, float]:
        told = self._told.get(piece.members[0][0])
        if not told:
            return 0.0, 0.0, 0.0
        today = piece.seen_at // DAY
        days = {name: each[1] - (each[2] == today) for name, each in told.items()}
        same = told.get(piece.pattern.value)
        return (
            float(same[0]) if same else 0.0,
            float(days.get(piece.pattern.value, 0)),
            float(sum(days.values())),
        )

    def _around(self, pieces: Sequence[Evidence], out: NDArray[np.float32]) -> None:
        """Fill the figures `AROUND` of the rows of pieces."""
        ids = _Ids(self._window.accounts.find)
        members: list[int] = []
        hops: list[int] = []
        upto: list[tuple[int, int, int]] = []
        for piece in pieces:
            users = [ids[entity] for entity, _ in piece.members if entity.kind is EntityKind.USER]
            known = [id_ for id_ in dict.fromkeys(users) if id_ >= 0]
            members += known[: kernels.MOST_MEMBERS]
            for hop in sorted(piece.hops, key=_by_time)[-kernels.MOST_HOPS :]:
                hops += (ids[hop.source], ids[hop.target], hop.value, hop.timestamp)
            upto.append((len(members), len(hops) // 4, piece.seen_at))
        self._fill(
            np.array(members, np.int64),
            np.array(hops, np.int64).reshape(-1, 4),
            np.array(upto, np.int64),
            out,
        )

    def prepare(self) -> None:
        """Load the compiled code now and not with the first piece of evidence."""
        nobody, nothing = np.zeros(0, np.int64), np.zeros((0, 4), np.int64)
        upto, out = np.zeros((1, 3), np.int64), np.zeros((1, len(NAMES)), np.float32)
        self._fill(nobody, nothing, upto, out)

    def _fill(
        self,
        members: NDArray[np.int64],
        hops: NDArray[np.int64],
        upto: NDArray[np.int64],
        out: NDArray[np.float32],
    ) -> None:
        window, profiles = self._window, self._profiles.columns(self._window)
        seen, _, _, places = self._travel.columns()
        began, now = profiles.span[BEGAN_AT], 0  # each piece has a moment of its own
        ends = (window.tail, window.cutoff, window.link_tail, window.link_end, now, began)
        self._ends[:] = ends
        arguments = (
            window.edges,
            window.links,
            window.link_index,
            window.identifiers.kind,
            self._state,
            profiles.users,
            seen,
            places,
            self._ends,
            members,
            hops,
            upto,
            self._values,
            self._ids,
            out,
            len(PIECE),
        )
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel = self._kernel or bind(kernels.contexts, *arguments)
        self._kernel(*arguments)


class _Ids(dict[Entity | None, int]):
    """Ids of accounts, each looked up when it is first asked for; -1 of nobody."""

    def __init__(self, find: Callable[[EntityKind, str], int]) -> None:
        super().__init__({None: -1})
        self._find = find

    def __missing__(self, entity: Entity) -> int:
        found = self[entity] = self._find(entity.kind, entity.id)
        return found


def _itself(piece: Evidence) -> tuple[float, ...]:
    """The figures `PIECE` of a piece of evidence."""
    kinds = [entity.kind for entity, _ in piece.members]
    nothing = float("nan")
    mean = spread = hours = gaps = nothing
    count = len(piece.hops)
    if count:
        values = [hop.value for hop in piece.hops]
        times = sorted([hop.timestamp for hop in piece.hops])
        mean = sum(values) / count
        variance = sum([(value - mean) ** 2 for value in values]) / count
        spread = variance**0.5 / mean if mean > 0 else nothing
        took = times[-1] - times[0]
        hours = took / HOUR
        if took > 0:
            pause = took / (count - 1)
            uneven = [(later - earlier - pause) ** 2 for earlier, later in pairwise(times)]
            gaps = (sum(uneven) / (count - 1)) ** 0.5 / pause
    return (
        _PATTERNS[piece.pattern],
        piece.strength,
        *[kinds.count(kind) for kind in _KINDS],
        count,
        nothing if piece.retained is None else piece.retained,
        log1p(mean),
        spread,
        hours,
        gaps,
    )


def _by_time(hop: Hop) -> tuple[int, str]:
    return hop.timestamp, hop.transaction_id
