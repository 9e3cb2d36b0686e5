"""What the newest deep analysis says of the parties of a transaction, as of before it.

A run of the deep analysis (`docs/deep-analysis.md`) comes in parts; its last part makes the whole
run count, so no verdict ever reads half of one. Two runs are kept. A transaction reads the newest
run that saw only what came before it: one whose `as_of` is *earlier* than its own time, or none
at all. So a transaction that comes late, or is replayed, cannot read its own future.

Costs two lookups and two copies of nine numbers a transaction, and nothing before the first run.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from graph.errors import InvalidInput
from graph.snapshot import Snapshot, pack, unpack
from graph.transaction import DAY, EntityKind, Transaction
from scorer.feature_catalogue import DEEP_COLUMNS, FEATURES
from scorer.reference import AnalysisPart

_VERSION: Final = 1
_KIND: Final = "deep features"
_COMMUNITY: Final = "community"
_WIDTH: Final = len(DEEP_COLUMNS)

FIRST: Final = next(i for i, feature in enumerate(FEATURES) if feature.family == "deep")
_OTHER: Final = FIRST + _WIDTH
_SAME: Final = FIRST + 2 * _WIDTH
_AGE: Final = _SAME + 1

MAX_PARTS: Final = 100_000
MAX_ENTITIES: Final = 20_000_000
"""Entities of one run at most: about 2.5 GB of it."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One whole run, by account.

    Attributes:
        run_id: Names it.
        as_of: Event time (ms) of the newest transaction it saw.
        users: Row by user.
        merchants: Row by merchant.
        values: float32 [N, DEEP_COLUMNS].
        community: int64 [N], -1 = none.
    """

    run_id: str
    as_of: int
    users: dict[str, int]
    merchants: dict[str, int]
    values: NDArray[np.float32]
    community: NDArray[np.int64]


@dataclass(slots=True)
class _Pending:
    """A run of which parts are missing; made into arrays part by part, so that no part is a pause.

    Attributes:
        run_id: Names it.
        as_of: Event time, ms.
        parts: How many it has.
        columns: Of every part.
        seen: Parts that came.
        users: Row by user, in the order they came.
        merchants: Row by merchant.
        rows: How many rows came.
        blocks: Values and communities, part by part.
    """

    run_id: str
    as_of: int
    parts: int
    columns: tuple[str, ...]
    seen: set[int] = field(default_factory=set)
    users: dict[str, int] = field(default_factory=dict)
    merchants: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    blocks: list[tuple[NDArray[np.float32], NDArray[np.int64]]] = field(default_factory=list)

    def take(self, part: AnalysisPart) -> bool:
        """Add a part unless it is there, and say whether the run is whole now."""
        if part.part not in self.seen:
            self.seen.add(part.part)
            for row, entity in enumerate(part.entities, self.rows):
                if entity.kind is EntityKind.USER:
                    self.users[entity.id] = row
                elif entity.kind is EntityKind.MERCHANT:
                    self.merchants[entity.id] = row
            self.rows += len(part.entities)
            whole = np.array(part.values, np.float64).reshape(-1, len(self.columns))
            community = whole[:, self.columns.index(_COMMUNITY)]
            self.blocks.append(
                (
                    whole[:, [self.columns.index(name) for name in DEEP_COLUMNS]].astype(
                        np.float32
                    ),
                    np.where(np.isnan(community), -1, community).astype(np.int64),
                )
            )
        return len(self.seen) == self.parts

    def run(self) -> _Run:
        """What came so far as one table."""
        values, communities = zip(*self.blocks, strict=True)
        return _Run(
            self.run_id,
            self.as_of,
            self.users,
            self.merchants,
            np.concatenate(values),
            np.concatenate(communities),
        )


class DeepFeatures:
    """The last two runs of the deep analysis, and the one that is coming in.

    Attributes:
        taken: Runs that came to count.
        outdated: Parts ignored because they belong to a run no newer than the one that counts.
        abandoned: Runs dropped because another began before their last part came.
    """

    def __init__(self) -> None:
        self.taken = 0
        self.outdated = 0
        self.abandoned = 0
        self._current: _Run | None = None
        self._previous: _Run | None = None
        self._pending: _Pending | None = None

    @property
    def run_id(self) -> str | None:
        """The run that counts; None before the first."""
        return None if self._current is None else self._current.run_id

    @property
    def as_of(self) -> int | None:
        """Its time, epoch ms; None before the first."""
        return None if self._current is None else self._current.as_of

    def refer(self, part: AnalysisPart) -> bool:
        """Take one part in, and say whether it made its run count.

        Parts may come in any order and more than once. A run that begins while another is
        incomplete ends the other. A run of the same `as_of` as the one that counts replaces it;
        an older one is ignored.

        Raises:
            InvalidInput: The part contradicts itself or the other parts of its run, lacks a
                column, or the run is too large; nothing has changed.
        """
        _check(part)
        current = self._current
        if current is not None and (part.as_of < current.as_of or part.run_id == current.run_id):
            self.outdated += 1
            return False
        pending = self._pending
        if pending is None or pending.run_id != part.run_id:
            if pending is not None:
                if part.as_of < pending.as_of:
                    self.outdated += 1
                    return False
                self.abandoned += 1
            pending = _Pending(part.run_id, part.as_of, part.parts, part.columns)
        elif (part.as_of, part.parts, part.columns) != (
            pending.as_of,
            pending.parts,
            pending.columns,
        ):
            raise InvalidInput(
                "a part does not belong to the run it names",
                field="run_id",
                value=part.run_id,
                remedy="Give every run an id of its own.",
            )
        if pending.rows + len(part.entities) > MAX_ENTITIES:
            raise InvalidInput(
                f"a run may speak of {MAX_ENTITIES} accounts at most",
                field="run_id",
                value=part.run_id,
                remedy="Leave accounts out that have not been seen for long.",
            )
        self._pending = pending
        if not pending.take(part):
            return False
        run = pending.run()
        if current is not None and current.as_of < run.as_of:
            self._previous = current
        self._current, self._pending = run, None
        self.taken += 1
        return True

    def fill(self, tx: Transaction, out: NDArray[np.float32]) -> None:
        """Write the deep columns of a row; those of whom nothing is known are left as they are.

        Args:
            tx: The transaction.
            out: float32 [features], NaN in the deep columns.
        """
        run = self._current
        if run is None:
            return
        now = tx.timestamp
        if now <= run.as_of:
            run = self._previous
            if run is None or now <= run.as_of:
                return
        out[_AGE] = (now - run.as_of) / DAY
        user = run.users.get(tx.user_id, -1)
        if user >= 0:
            out[FIRST:_OTHER] = run.values[user]
        if tx.counterparty_id is not None:
            other = run.users.get(tx.counterparty_id, -1)
        elif tx.merchant_id is not None:
            other = run.merchants.get(tx.merchant_id, -1)
        else:
            return
        if other >= 0:
            out[_OTHER:_SAME] = run.values[other]
            if user >= 0:
                ours, theirs = run.community[user], run.community[other]
                if ours >= 0 and theirs >= 0:
                    out[_SAME] = ours == theirs

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        values: dict[str, Any] = {
            "taken": self.taken,
            "outdated": self.outdated,
            "abandoned": self.abandoned,
        }
        arrays: dict[str, NDArray[Any]] = {}
        pending = self._pending
        if pending is not None:
            values["waiting"] = [pending.parts, list(pending.columns), sorted(pending.seen)]
        for name, run in (
            ("current", self._current),
            ("previous", self._previous),
            ("pending", None if pending is None else pending.run()),
        ):
            if run is not None:
                values[name] = [run.run_id, run.as_of, list(run.users), list(run.merchants)]
                arrays[f"{name}_users"] = np.array(list(run.users.values()), np.int64)
                arrays[f"{name}_merchants"] = np.array(list(run.merchants.values()), np.int64)
                arrays[f"{name}_values"] = run.values
                arrays[f"{name}_community"] = run.community
        return pack(_KIND, _VERSION, Snapshot(values, arrays))

    @classmethod
    def restore(cls, data: bytes) -> Self:
        """As it was at `snapshot`.

        Raises:
            Incompatible: The bytes are no such snapshot.
        """
        snapshot = unpack(_KIND, _VERSION, data)
        values = snapshot.values
        deep = cls()
        deep.taken, deep.outdated = values["taken"], values["outdated"]
        deep.abandoned = values["abandoned"]
        deep._current = _restored("current", snapshot)
        deep._previous = _restored("previous", snapshot)
        begun = _restored("pending", snapshot)
        if begun is not None:
            parts, columns, seen = values["waiting"]
            deep._pending = _Pending(
                begun.run_id,
                begun.as_of,
                parts,
                tuple(columns),
                set(seen),
                begun.users,
                begun.merchants,
                len(begun.values),
                [(begun.values, begun.community)],
            )
        return deep


def _check(part: AnalysisPart) -> None:
    missing = {*DEEP_COLUMNS, _COMMUNITY}.difference(part.columns)
    if missing:
        raise InvalidInput(
            "the analysis lacks a column that features are made of",
            field="columns",
            value=", ".join(sorted(missing)),
            remedy="Run the analysis of this version: `ringfence analyse`.",
        )
    wrong = (
        not 0 <= part.part < part.parts <= MAX_PARTS
        or len(part.entities) != len(part.values)
        or any(len(row) != len(part.columns) for row in part.values)
    )
    if wrong:
        raise InvalidInput(
            "a part of an analysis contradicts itself",
            field="part",
            value=f"{part.part} of {part.parts} of {part.run_id}",
            remedy="Run the analysis again: `ringfence analyse`.",
        )


def _restored(name: str, snapshot: Snapshot) -> _Run | None:
    if name not in snapshot.values:
        return None
    run_id, as_of, users, merchants = snapshot.values[name]
    arrays = snapshot.arrays
    return _Run(
        run_id,
        as_of,
        dict(zip(users, arrays[f"{name}_users"].tolist(), strict=True)),
        dict(zip(merchants, arrays[f"{name}_merchants"].tolist(), strict=True)),
        arrays[f"{name}_values"],
        arrays[f"{name}_community"],
    )
