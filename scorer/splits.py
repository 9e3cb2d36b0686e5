"""Splits: which rows are learned from and which are judged, and what must not be in both.

The past never knows what the test holds. Left out of it are rows whose label was not known when the
test began, rows of the embargo (the last stretch before the test, which the engine's window still
held when the test began), and rings that reach into the test. A ring belongs whole to the latest
fold it reaches: of the past and the test to the test, of the two slices of the past to the later.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from graph.errors import InvalidSetting
from graph.transaction import DAY, HOUR
from scorer.history import LabelledTransaction
from scorer.metrics import Flags
from scorer.table import NO_ROWS, Rows, Table, cut_by_time

TEST_SHARE: Final = 0.2
SHUFFLED_TEST_SHARE: Final = 0.2
SHUFFLED_RANDOM_STATE: Final = 2
"""The published protocol of the S-FFSD results (antifraud's GTAN and RGTAN)."""
LATER_SHARE: Final = 0.2
EMBARGO: Final = DAY
"""Between the past and the test: the length of the engine's window, so that no row that was learned
from is still in it when the test begins."""
_MORE: Final = "Give a longer history; simulate one with more --days or --users."


@dataclass(frozen=True, slots=True)
class Dates:
    """A split by dates, epoch ms; each span from its start up to, not including, its end.

    Attributes:
        train_from: Start of what is learned from.
        train_until: Its end.
        test_from: Start of what is judged.
        test_until: Its end.
        known_since: If given, a test row is left out when fraud of its user that happened since
            then was known at the beginning (UTC) of the row's day: those cards would be blocked.
            The Fraud Detection Handbook's published figures leave them out so.
    """

    train_from: int
    train_until: int
    test_from: int
    test_until: int
    known_since: int | None = None

    def __post_init__(self) -> None:
        if not self.train_from < self.train_until <= self.test_from < self.test_until:
            raise InvalidSetting(
                "the dates must be train from < train until <= test from < test until",
                field="dates",
                value=f"{self.train_from}, {self.train_until}, {self.test_from}, {self.test_until}",
                remedy="Give them in order; the test comes after the training.",
            )

    def holds(self, item: LabelledTransaction) -> bool:
        """Whether it lies in one of the two spans, or where a fraud gives its user away."""
        at = item.transaction.timestamp
        if self.train_from <= at < self.train_until or self.test_from <= at < self.test_until:
            return True
        # What lies between the spans teaches nothing, but by the test its users may be known. Not
        # its frauds alone are kept: what is there is scored and remembered, and then a label would
        # have said what is.
        return self.known_since is not None and self.known_since <= at < self.test_until


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of a table by what they are used for.

    Attributes:
        early: Trees grow on them first.
        later: Stopping, calibration and blend are learned on them; then trees grow on both.
        test: Judged, once.
        embargo: Length of the stretch before the test that nothing is learned from, milliseconds.
        embargoed: Left out because they lie in it.
        unsettled: Left out because their label was not yet known when the test began, or because
            so shortly before it only frauds were.
        spanning: Left out because their ring reaches into the test.
        moved: Rows that lie in the later slice instead of the early one because their ring does.
        excluded: Test rows left out because fraud of their user was already known (`Dates`).
        shuffled: The rows stand in no order of time: neighbours in time are on both sides.
        left_out: Rows of the time of early and later that are in neither.
    """

    early: Rows
    later: Rows
    test: Rows
    embargo: int = 0
    embargoed: int = 0
    unsettled: int = 0
    spanning: int = 0
    moved: int = 0
    excluded: int = 0
    shuffled: bool = False
    left_out: Rows = field(default_factory=lambda: NO_ROWS)

    @property
    def past(self) -> Rows:
        """All rows that may be learned from, in order."""
        return np.sort(np.concatenate([self.early, self.later]))

    def require_past(self, table: Table) -> None:
        """Check that there is something to learn from.

        Raises:
            InvalidSetting: A slice of the past lacks fraud or legitimate transactions.
        """
        for name, rows in (("early slice", self.early), ("later slice", self.later)):
            frauds = int(table.fraud[rows].sum())
            if not 0 < frauds < len(rows):
                raise InvalidSetting(
                    f"too little was known when the test began ({self.unsettled} labels were not, "
                    f"{self.embargoed} rows lie in the embargo)",
                    field=name,
                    value=f"{frauds} frauds of {len(rows)} labelled",
                    remedy=f"{_MORE} Or give labels that are known sooner, or a shorter embargo.",
                )

    def describe(self, table: Table) -> dict[str, Any]:
        """Counts and spans of each part, plain JSON values."""

        def part(rows: Rows) -> dict[str, Any]:
            times = table.times[rows]
            return {
                "transactions": len(rows),
                "positives": int(table.fraud[rows].sum()),
                "from": int(times.min()) if len(rows) else None,
                "until": int(times.max()) if len(rows) else None,
            }

        return {
            "early": part(self.early),
            "later": part(self.later),
            "test": part(self.test),
            "embargo_hours": self.embargo / HOUR,
            "embargoed": self.embargoed,
            "unsettled": self.unsettled,
            "spanning_rings": self.spanning,
            "moved_to_later": self.moved,
            "excluded": self.excluded,
        }


def shuffled_test(history: list[LabelledTransaction]) -> frozenset[int]:
    """Places of the test rows, drawn as the published protocol draws them."""
    places = [place for place, item in enumerate(history) if item.fraud is not None]
    labels = [history[place].fraud for place in places]
    if min(labels.count(True), labels.count(False)) < 2:
        return frozenset()
    _, test = train_test_split(
        places,
        test_size=SHUFFLED_TEST_SHARE,
        stratify=labels,
        random_state=SHUFFLED_RANDOM_STATE,
        shuffle=True,
    )
    return frozenset(test)


def shuffled_split(table: Table, withheld: frozenset[int], seed: int) -> Split:
    """The withheld rows are the test; of the rest a stratified fifth is the later slice.

    Raises:
        InvalidSetting: The test or the rest lacks fraud or legitimate transactions.
    """
    is_test = np.isin(table.places, sorted(withheld))
    test = np.flatnonzero(is_test)
    rest = np.flatnonzero(~is_test)
    require_both("test slice", table.fraud[test])
    require_both("training slice", table.fraud[rest])
    early, later = train_test_split(
        rest, test_size=LATER_SHARE, stratify=table.fraud[rest], random_state=seed, shuffle=True
    )
    return Split(early=np.sort(early), later=np.sort(later), test=test, shuffled=True)


def temporal_split(table: Table, embargo: int = EMBARGO) -> Split:
    """The last 20 % by time are judged; a quarter of what was known by then is the later slice.

    Args:
        table: The replayed history.
        embargo: Milliseconds before the test from which nothing is learned.

    Raises:
        InvalidSetting: The test lacks fraud or legitimate transactions, or the embargo is negative.
    """
    if embargo < 0:
        raise InvalidSetting(
            "an embargo is a length of time",
            field="embargo",
            value=f"{embargo / DAY:g} days",
            remedy="Give 0 or more days.",
        )
    past, test = cut_by_time(table.times, 1.0 - TEST_SHARE, TEST_SHARE)
    require_both("test slice", table.fraud[test])
    begins = int(table.times[test].min())
    return _learned_from(table, past, test, begins, LATER_SHARE / (1.0 - TEST_SHARE), embargo)


def dated_split(table: Table, dates: Dates) -> Split:
    """The spans of `dates`; the last fifth of the rows of the first is the later slice.

    The embargo is the gap between the spans.

    Raises:
        InvalidSetting: The test lacks fraud or legitimate transactions.
    """
    times = table.times
    past = np.flatnonzero((times >= dates.train_from) & (times < dates.train_until))
    in_span = np.flatnonzero((times >= dates.test_from) & (times < dates.test_until))
    test = in_span
    if dates.known_since is not None:
        test = _of_unknown_users(table, in_span, dates.known_since)
    require_both("test slice", table.fraud[test])
    gap = dates.test_from - dates.train_until
    split = _learned_from(table, past, test, dates.test_from, LATER_SHARE, gap)
    return replace(split, excluded=len(in_span) - len(test))


def _of_unknown_users(table: Table, rows: Rows, since: int) -> Rows:
    """Rows of users of whom no fraud since `since` was known when the row's day began."""
    known: dict[str, int] = {}
    for row in np.flatnonzero(table.fraud & (table.times >= since)):
        user = table.users[row]
        known[user] = min(int(table.known_at[row]), known.get(user, 2**62))
    return np.array(
        [
            row
            for row in rows
            if known.get(table.users[row], 2**62) > int(table.times[row]) // DAY * DAY
        ],
        dtype=np.intp,
    )


def _learned_from(
    table: Table, past: Rows, test: Rows, begins: int, share: float, embargo: int
) -> Split:
    """What of the past may be learned from, cut in two; see `Split` for what is left out."""
    clear = table.times[past] < begins - embargo
    known = table.known_at[past] <= begins
    honest = past[known & ~table.fraud[past]]
    # Frauds are reported before the rest counts as undisputed: in the days when only they are
    # known every row is a fraud, and a model would learn the rate of that.
    settled = known & (table.times[past] <= (table.times[honest].max() if len(honest) else begins))
    spans = _of_rings(table, past, _rings_of_fraud(table, test))
    learned = settled & clear & ~spans
    rows = past[learned]
    by_time = table.times[rows] >= _cut(table.times[rows], table.fraud[rows], share)
    later = by_time | _of_rings(table, rows, _rings_of_fraud(table, rows[by_time]))
    return Split(
        early=rows[~later],
        later=rows[later],
        test=test,
        embargo=embargo,
        embargoed=int((settled & ~clear).sum()),
        unsettled=int((~settled).sum()),
        spanning=int((settled & clear & spans).sum()),
        moved=int((later & ~by_time).sum()),
        left_out=past[~learned],
    )


def _rings_of_fraud(table: Table, rows: Rows) -> set[str]:
    found = {table.ring_ids[row] for row in rows[table.fraud[rows]]}
    return {ring for ring in found if ring is not None}


def _of_rings(table: Table, rows: Rows, rings: set[str]) -> Flags:
    return np.array([table.ring_ids[row] in rings for row in rows], dtype=np.bool_)


def _cut(times: NDArray[np.int64], fraud: Flags, share: float) -> int:
    """The moment from which on lie this share of the rows and, come what may, of the frauds."""
    moments = [
        int(np.sort(part)[int((1.0 - share) * len(part))])
        for part in (times, times[fraud])
        if len(part)
    ]
    return min(moments, default=0)


def require_both(name: str, fraud: Flags) -> None:
    """Check that there is something to judge.

    Raises:
        InvalidSetting: The rows lack fraud or legitimate transactions; `name` is what they are.
    """
    if not fraud.any() or fraud.all():
        raise InvalidSetting(
            "judging needs fraud and legitimate transactions",
            field=name,
            value=f"{int(fraud.sum())} frauds of {len(fraud)} labelled",
            remedy=f"{_MORE} Or move the dates of the split, where it has dates.",
        )
