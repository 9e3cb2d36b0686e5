"""Paged columns and growing position tables: the memory behind the window's two logs."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from graph.kernels import PAGE, PAGE_MASK, PAGE_SHIFT, PositionTable

_FIRST_TABLE: Final = 1024


def power_of_two(n: int) -> int:
    """The smallest power of two that is at least `n`."""
    return 1 << max(0, (n - 1).bit_length())


class PagedColumns:
    """Columns for at most `capacity` live rows of an append-only log.

    Addresses for the whole capacity are reserved at once and pages are handed out as the log's end
    reaches them, the one given back last first: memory follows the live rows, nothing is copied.

    Attributes:
        pages: int32[T], physical page by logical page modulo T.
        columns: One array a dtype, in the order given.
    """

    def __init__(self, dtypes: Sequence[Any], capacity: int) -> None:
        # Three more than the rows fill: the first and the last page are partly used, and the log
        # reaches ahead of its end.
        self._count = -(-capacity // PAGE) + 3
        self.pages: NDArray[np.int32] = np.zeros(power_of_two(self._count + 1), np.int32)
        self.columns: list[NDArray[Any]] = [np.empty(self._count * PAGE, d) for d in dtypes]
        self._free = list(range(self._count - 1, -1, -1))
        self._first = 0
        self._next = 0

    @property
    def reached(self) -> int:
        """The first logical page that is not there yet."""
        return self._next

    def reach(self, end: int) -> None:
        """Make sure that row `end` can be written."""
        while self._next <= end >> PAGE_SHIFT:
            self.pages[self._next & (len(self.pages) - 1)] = self._free.pop()
            self._next += 1

    def release(self, tail: int) -> list[int]:
        """Take back the pages wholly below `tail`; returns the logical pages that are gone."""
        gone = []
        while self._first < tail >> PAGE_SHIFT:
            self._free.append(int(self.pages[self._first & (len(self.pages) - 1)]))
            gone.append(self._first)
            self._first += 1
        return gone

    def row(self, position: int) -> int:
        """`kernels.slot` without the price of a call into compiled code."""
        pages = self.pages
        page = int(pages[(position >> PAGE_SHIFT) & (len(pages) - 1)])
        return (page << PAGE_SHIFT) | (position & PAGE_MASK)

    def rows(self, tail: int, end: int) -> NDArray[np.int64]:
        """Physical rows of the live positions, in order."""
        first, last = tail >> PAGE_SHIFT, ((end - 1) >> PAGE_SHIFT) + 1
        pages = self.pages[np.arange(first, last) & (len(self.pages) - 1)].astype(np.int64)
        rows = ((pages << PAGE_SHIFT)[:, None] | np.arange(PAGE)).ravel()
        begin = tail & PAGE_MASK
        live: NDArray[np.int64] = rows[begin : begin + end - tail]
        return live

    def rows_at(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Physical rows of positions: `row` for many at once."""
        page = self.pages[(positions >> PAGE_SHIFT) & (len(self.pages) - 1)].astype(np.int64)
        rows: NDArray[np.int64] = (page << PAGE_SHIFT) | (positions & PAGE_MASK)
        return rows

    @property
    def given_back(self) -> int:
        """Logical pages given back: the first that is still there."""
        return self._first

    def copy_live(self, other: "PagedColumns") -> None:
        """Take over the pages in use of columns of the same types and capacity, for reading."""
        self.pages[:] = other.pages
        self._first, self._next = other.given_back, other.reached
        for logical in range(self._first, self._next):
            page = int(self.pages[logical & (len(self.pages) - 1)])
            rows = slice(page << PAGE_SHIFT, (page + 1) << PAGE_SHIFT)
            for mine, theirs in zip(self.columns, other.columns, strict=True):
                mine[rows] = theirs[rows]

    @property
    def nbytes(self) -> int:
        """Bytes of the pages in use."""
        row = sum(column.itemsize for column in self.columns)
        return (self._next - self._first) * PAGE * row + self.pages.nbytes

    def start_at(self, tail: int, end: int) -> None:
        """Lay out pages for a restored log with the live positions tail <= p < end."""
        self._first = self._next = tail >> PAGE_SHIFT
        if end > tail:
            self.reach(end - 1)


class GrowingTable:
    """A `PositionTable` that doubles when three quarters full, a few buckets an entry."""

    def __init__(self, expected: int = 0) -> None:
        size = max(_FIRST_TABLE, power_of_two(expected * 4 // 3 + 1))
        self.table = PositionTable(
            slots=np.zeros(size, np.int32),
            old=np.zeros(1, np.int32),
            state=np.array([0, -1], np.int64),
        )

    def make_room(self, entries: int) -> None:
        """Grow if `entries` more would fill it too much."""
        table = self.table
        if table.state[0] + entries > len(table.slots) * 3 // 4:
            table.state[1] = 0
            self.table = PositionTable(
                slots=np.zeros(2 * len(table.slots), np.int32), old=table.slots, state=table.state
            )

    def copy(self) -> "GrowingTable":
        """The same entries in arrays of their own."""
        copied = GrowingTable()
        slots, old, state = self.table
        copied.table = PositionTable(slots.copy(), old.copy(), state.copy())
        return copied

    @property
    def nbytes(self) -> int:
        """Bytes of the table, and of the one being moved out of."""
        old = self.table.old.nbytes if self.table.state[1] >= 0 else 0
        return self.table.slots.nbytes + old
