"""The risk memory: how risky the recent transactions of everybody who takes part were scored.

A transaction is scored by itself; a ring is a run of them. Each score is remembered at the user,
the other party, the device, the IP and the card it was made with, fades within an hour, a day and
a week, and is recalled when one of them takes part again (`scorer.risk_kernel`). The blend weighs
what is recalled. Since what is remembered are scores *after* the blend, risk travels on from
neighbour to neighbour with the stream: belief propagation along the transactions, without a second
look at any of them.

Sources: Pandit, Chau, Wang & Faloutsos, "NetProbe", WWW 2007 (belief propagation between trading
partners); Rossi et al., "Temporal Graph Networks", 2020 (a memory a node, updated by its events).
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.entities import EntitySpace
from graph.errors import Incompatible
from graph.snapshot import Snapshot, pack, unpack
from scorer.risk_kernel import PARTIES, WIDTH, RiskState, empty_state, retrace

_VERSION: Final = 1
_KIND: Final = "risk memory"
_ACCOUNTS: Final = ("account_generation", "account_at", "account_risk")
_IDENTIFIERS: Final = ("identifier_generation", "identifier_at", "identifier_risk")


class RiskMemory:
    """What a detector remembers of its own scores, by the window's ids.

    It reserves addresses for both capacities, 92 bytes an account and 48 an identifier, of which
    the system gives memory to the rows in use.

    Args:
        accounts: The window's accounts.
        identifiers: The window's identifiers.

    Attributes:
        state: The columns.
        who: int64 [at least N, 2 * PARTIES], the parties of a batch as they were when each of its
            transactions was taken in; `meet` fills it.
    """

    def __init__(self, accounts: EntitySpace, identifiers: EntitySpace) -> None:
        self._accounts = accounts
        self._identifiers = identifiers
        self.state: RiskState = empty_state(accounts.capacity, identifiers.capacity)
        self.who: NDArray[np.int64] = np.zeros((1, 2 * PARTIES), np.int64)

    def make_room(self, rows: int) -> None:
        """Begin a batch of so many transactions."""
        if rows > len(self.who):
            self.who = np.zeros((rows, 2 * PARTIES), np.int64)

    def meet(self, start: int, ids: NDArray[np.int64] | Sequence[Sequence[int]]) -> None:
        """Note who takes part in rows from `start` on, before any of their ids is given out anew.

        Args:
            start: The first row.
            ids: [N, 5], of user, other party, device, IP and card; negative where there is nobody.
        """
        who = self.who[start : start + len(ids)]
        who[:, :PARTIES] = ids
        # An id of nobody reads some generation, which nobody looks at.
        who[:, PARTIES : PARTIES + 2] = self._accounts.generation[who[:, :2]]
        who[:, PARTIES + 2 :] = self._identifiers.generation[who[:, 2:PARTIES]]

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        columns = self.state._asdict()
        arrays: dict[str, NDArray[Any]] = {}
        for names, size in (
            (_ACCOUNTS, self._accounts.size),
            (_IDENTIFIERS, self._identifiers.size),
        ):
            rows = np.flatnonzero(columns[names[0]][:size])
            arrays |= {f"{names[0]}.rows": rows}
            arrays |= {name: columns[name][rows] for name in names}
        return pack(_KIND, _VERSION, Snapshot({"width": WIDTH}, arrays))

    def restore(self, data: bytes) -> None:
        """Take over a snapshot, made together with that of the window whose ids it uses.

        Raises:
            Incompatible: The bytes are no such snapshot.
        """
        snapshot = unpack(_KIND, _VERSION, data)
        if snapshot.values["width"] != WIDTH:
            raise Incompatible(
                f"this engine recalls {WIDTH} numbers",
                field=_KIND,
                value=str(snapshot.values["width"]),
                remedy="Restore it with the version that made it.",
            )
        columns: dict[str, NDArray[Any]] = self.state._asdict()
        for names in (_ACCOUNTS, _IDENTIFIERS):
            rows = snapshot.arrays[f"{names[0]}.rows"]
            for name in names:
                columns[name][rows] = snapshot.arrays[name]


def parties_of(codes: NDArray[np.int32]) -> tuple[RiskState, NDArray[np.int64]]:
    """An empty state for a whole history, and who takes part in its rows.

    Args:
        codes: int32 [R, 5], of user, other party, device, IP and card; -1 where there is nobody.
            The first two are of one space, the others of another.

    Returns:
        The state, with codes for ids; and int64 [R, 2 * PARTIES], all of one generation.
    """
    who = np.zeros((len(codes), 2 * PARTIES), np.int64)
    who[:, :PARTIES] = codes
    accounts, identifiers = (int(part.max(initial=-1)) + 1 for part in (codes[:, :2], codes[:, 2:]))
    return empty_state(accounts, identifiers), who


def recalled_by(
    codes: NDArray[np.int32],
    times: NDArray[np.int64],
    scores: NDArray[np.float64],
    rows: NDArray[np.intp],
) -> NDArray[np.float32]:
    """What some rows of a scored history recalled, float32 [rows, WIDTH].

    Args:
        codes: int32 [R, 5], as `parties_of` takes them.
        times: int64 [R], epoch ms, in order of arrival.
        scores: float64 [R], probabilities; NaN where a row was not scored.
        rows: Which rows.
    """
    state, who = parties_of(codes)
    kept = np.full(len(times), -1, np.int64)
    kept[rows] = np.arange(len(rows))
    out = np.zeros((len(rows), WIDTH), np.float32)
    retrace(state, who, times, scores, kept, np.zeros(WIDTH), out)
    return out
