"""Splits: which rows are learned from and which are judged, and what must not be in both.

The past never knows what the test holds: a label that was not known when the test began is left
out (embargo), and so is a ring that reaches into it.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from graph.errors import InvalidSetting
from graph.transaction import DAY
from scorer.history import LabelledTransaction
from scorer.metrics import Flags
from scorer.table import Rows, Table, cut_by_time

TEST_SHARE: Final = 0.2
SHUFFLED_TEST_SHARE: Final = 0.2
SHUFFLED_RANDOM_STATE: Final = 2
"""The published protocol of the S-FFSD results (antifraud's GTAN and RGTAN)."""
LATER_SHARE: Final = 0.2
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
        """Whether it lies in one of the two spans, or is a fraud that gives its user away."""
        at = item.transaction.timestamp
        if self.train_from <= at < self.train_until or self.test_from <= at < self.test_until:
            return True
        # Frauds between the spans teach nothing, but by the test their users may be known.
        since = self.known_since
        return bool(item.fraud) and since is not None and since <= at < self.test_until


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of a table by what they are used for.

    Attributes:
        early: Trees grow on them first.
        later: Stopping, calibration and blend are learned on them; then trees grow on both.
        test: Judged, once.
        embargoed: Left out because their label was not yet known when the test began, or because
            so shortly before it only frauds were.
        spanning: Left out because their ring reaches into the test.
        excluded: Test rows left out because fraud of their user was already known (`Dates`).
    """

    early: Rows
    later: Rows
    test: Rows
    embargoed: int = 0
    spanning: int = 0
    excluded: int = 0

    def require_past(self, table: Table) -> None:
        """Check that there is something to learn from.

        Raises:
            InvalidSetting: A slice of the past lacks fraud or legitimate transactions.
        """
        for name, rows in (("early slice", self.early), ("later slice", self.later)):
            frauds = int(table.fraud[rows].sum())
            if not 0 < frauds < len(rows):
                raise InvalidSetting(
                    f"too little was known when the test began ({self.embargoed} labels were not)",
                    field=name,
                    value=f"{frauds} frauds of {len(rows)} labelled",
                    remedy=f"{_MORE} Or give labels that are known sooner.",
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
            "embargoed": self.embargoed,
            "spanning_rings": self.spanning,
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
    _require_both("test slice", table.fraud[test])
    _require_both("training slice", table.fraud[rest])
    early, later = train_test_split(
        rest, test_size=LATER_SHARE, stratify=table.fraud[rest], random_state=seed, shuffle=True
    )
    return Split(early=np.sort(early), later=np.sort(later), test=test)


def temporal_split(table: Table) -> Split:
    """The last 20 % by time are judged; a quarter of what was known by then is the later slice.

    Raises:
        InvalidSetting: The test lacks fraud or legitimate transactions.
    """
    past, test = cut_by_time(table.times, 1.0 - TEST_SHARE, TEST_SHARE)
    _require_both("test slice", table.fraud[test])
    begins = int(table.times[test].min())
    return _learned_from(table, past, test, begins, LATER_SHARE / (1.0 - TEST_SHARE))


def dated_split(table: Table, dates: Dates) -> Split:
    """The spans of `dates`; the last fifth of the rows of the first is the later slice.

    Raises:
        InvalidSetting: The test lacks fraud or legitimate transactions.
    """
    times = table.times
    past = np.flatnonzero((times >= dates.train_from) & (times < dates.train_until))
    in_span = np.flatnonzero((times >= dates.test_from) & (times < dates.test_until))
    test = in_span
    if dates.known_since is not None:
        test = _of_unknown_users(table, in_span, dates.known_since)
    _require_both("test slice", table.fraud[test])
    split = _learned_from(table, past, test, dates.test_from, LATER_SHARE)
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


def _learned_from(table: Table, past: Rows, test: Rows, begins: int, share: float) -> Split:
    """What of the past may be learned from, cut in two; see `Split` for what is left out."""
    known = table.known_at[past] <= begins
    honest = past[known & ~table.fraud[past]]
    # Frauds are reported before the rest counts as undisputed: in the days when only they are
    # known every row is a fraud, and a model would learn the rate of that.
    settled = table.times[past] <= (table.times[honest].max() if len(honest) else begins)
    in_test = {table.ring_ids[row] for row in test if table.fraud[row]} - {None}
    spans = np.array([table.ring_ids[row] in in_test for row in past], dtype=np.bool_)
    rows = past[known & settled & ~spans]
    later = table.times[rows] >= _cut(table.times[rows], table.fraud[rows], share)
    return Split(
        early=rows[~later],
        later=rows[later],
        test=test,
        embargoed=int((~(known & settled)).sum()),
        spanning=int((known & settled & spans).sum()),
    )


def _cut(times: NDArray[np.int64], fraud: Flags, share: float) -> int:
    """The moment from which on lie this share of the rows and, come what may, of the frauds."""
    moments = [
        int(np.sort(part)[int((1.0 - share) * len(part))])
        for part in (times, times[fraud])
        if len(part)
    ]
    return min(moments, default=0)


def _require_both(name: str, fraud: Flags) -> None:
    if not fraud.any() or fraud.all():
        raise InvalidSetting(
            "judging needs fraud and legitimate transactions",
            field=name,
            value=f"{int(fraud.sum())} frauds of {len(fraud)} labelled",
            remedy=f"{_MORE} Or move the dates of the split, where it has dates.",
        )
