"""The newest attempts to pay by card: what was tried where in the last minutes, and how it went.

The edge log does not know which card a payment was made with, so attempts have a log of their own:
a ring buffer in order of arrival, tied into one chain a merchant and one a device. Beside each
chain stands a meter: when attempts last failed there, and what is usual for the place over the
spans (of half an hour, if not configured otherwise) in which anything was tried, small attempts
(probes) apart.

Bounds: `CAPACITY` attempts of 56 bytes; beyond, the oldest are given up early and `pressed` counts
them. That is half an hour of 580 attempts a second. A meter has 144 bytes. The log belongs to the
window: `snapshot` and `restore` it together with it.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.admission import Admission, Status
from graph.compiled import bind, kernel
from graph.kernels import KIND_MERCHANT
from graph.layout import CARD, DEVICE, INWARD, OTHER, TIME, USER, VALUE
from graph.snapshot import Snapshot, pack, unpack
from graph.window import TransactionWindow

CAPACITY: Final = 1 << 20
_VERSION: Final = 2
_KIND: Final = "attempts"
_DROP_MOST: Final = 4
_HALVED_AT: Final = 336
"""Spans after which a meter counts half: a week of half hours in each of which something was
tried."""

# An attempt: when, of how much (negative = declined), card, user, place in the edge log, distance
# back to the previous one at the merchant and on the device (0 = none).
A_TIME, A_VALUE, A_CARD, A_USER, A_POSITION, A_BACK_MERCHANT, A_BACK_DEVICE = range(7)
_ATTEMPT: Final = A_BACK_DEVICE + 1
# The live ones are TAIL <= position < END; so many were PRESSED out; meters in use are below
# ACCOUNTS and IDENTIFIERS.
TAIL, END, PRESSED, ACCOUNTS, IDENTIFIERS = range(5)

# A meter: HEAD the newest attempt; SPAN now, TRIED and FAILED in it, of these the SMALL and
# SMALL_FAILED; the SPANS before it in which anything was tried, and the same of them; times of the
# last FAILURES, NEXT to write.
(
    GENERATION, HEAD, SPAN, TRIED, FAILED, SMALL, SMALL_FAILED, SPANS, TRIED_BEFORE, FAILED_BEFORE,
    SMALL_BEFORE, SMALL_FAILED_BEFORE, NEXT, FAILURES,
) = range(14)  # fmt: skip
FAILURES_KEPT: Final = 5
_METER: Final = FAILURES + FAILURES_KEPT


class AttemptColumns(NamedTuple):
    """The attempts, for compiled code.

    Attributes:
        log: int64[N, 7], N a power of two; places as above, by position modulo N.
        ends: int64[5], places as above.
        merchants: int64[A, 18], meters by account id.
        devices: int64[I, 18], meters by identifier id.
    """

    log: NDArray[np.int64]
    ends: NDArray[np.int64]
    merchants: NDArray[np.int64]
    devices: NDArray[np.int64]


class Attempts:
    """Keeps the newest card attempts of one window; see the module's docstring.

    Args:
        within: How far back anybody looks, ms.
        low: Up to this an attempt is small, minor units.
        capacity: Attempts at most; a power of two.
    """

    def __init__(self, within: int, low: int, capacity: int = CAPACITY) -> None:
        self.within: Final = within
        self.low: Final = low
        self._capacity: Final = capacity
        # Bound at the first call: the arrays of every window have the same types.
        self._kernel: Callable[..., Any] | None = None
        self._allocate(0, 0)

    def _allocate(self, accounts: int, identifiers: int) -> None:
        self._columns = AttemptColumns(
            np.zeros((self._capacity, _ATTEMPT), np.int64),
            np.array([1, 1, 0, 0, 0], np.int64),  # position 0 is nowhere
            _meters(accounts),
            _meters(identifiers),
        )

    @property
    def pressed(self) -> int:
        """Attempts given up early because the log was full."""
        return int(self._columns.ends[PRESSED])

    def columns(self, window: TransactionWindow) -> AttemptColumns:
        """The attempts, with meters for every entity of the window."""
        accounts, identifiers = window.accounts.capacity, window.identifiers.capacity
        known = self._columns
        if accounts > len(known.merchants) or identifiers > len(known.devices):
            merchants, devices = _meters(accounts), _meters(identifiers)
            merchants[: len(known.merchants)] = known.merchants
            devices[: len(known.devices)] = known.devices
            self._columns = known._replace(merchants=merchants, devices=devices)
        return self._columns

    def note(self, window: TransactionWindow, row: NDArray[np.int64], admission: Admission) -> None:
        """Take an accepted transaction, laid out, into the log if a card was to pay for it."""
        if admission.status is not Status.ACCEPTED or admission.card < 0:
            return
        arguments = (
            self.columns(window),
            self.within,
            self.low,
            window.watermark - window.config.lateness - self.within,
            window.accounts.generation,
            window.accounts.kind,
            window.identifiers.generation,
            row,
            admission.position,
        )
        self._kernel = self._kernel or bind(note, *arguments)
        self._kernel(*arguments)

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        log, ends, merchants, devices = self._columns
        live = np.arange(ends[TAIL], ends[END]) & (len(log) - 1)
        used = np.flatnonzero(merchants[: ends[ACCOUNTS], GENERATION])
        known = np.flatnonzero(devices[: ends[IDENTIFIERS], GENERATION])
        return pack(
            _KIND,
            _VERSION,
            Snapshot(
                values={
                    "capacity": self._capacity,
                    "accounts": len(merchants),
                    "identifiers": len(devices),
                },
                arrays={
                    "log": log[live],
                    "ends": ends,
                    "merchants": used,
                    "merchants.rows": merchants[used],
                    "devices": known,
                    "devices.rows": devices[known],
                },
            ),
        )

    def restore(self, data: bytes) -> None:
        """Take over a snapshot, made together with the window's by a log of this capacity.

        Raises:
            Incompatible: It is torn, altered, or of another version.
        """
        snapshot = unpack(_KIND, _VERSION, data)
        values, arrays = snapshot.values, snapshot.arrays
        self._allocate(values["accounts"], values["identifiers"])
        log, ends, merchants, devices = self._columns
        ends[:] = arrays["ends"]
        log[np.arange(ends[TAIL], ends[END]) & (len(log) - 1)] = arrays["log"]
        merchants[arrays["merchants"]] = arrays["merchants.rows"]
        devices[arrays["devices"]] = arrays["devices.rows"]


def _meters(count: int) -> NDArray[np.int64]:
    return np.zeros((count, _METER), np.int64)


@kernel
def note(  # type: ignore[no-untyped-def]
    attempts, within, low, oldest, generations, kinds, identifier_generations, row, position
):
    """Append an attempt, dropping at most four that nobody can look at any more.

    `oldest`: nobody will look at attempts of this time or before. Mutates `attempts`.
    """
    if row[CARD] < 0 or row[INWARD] != 0:
        return
    log, ends = attempts.log, attempts.ends
    mask = log.shape[0] - 1
    for _ in range(_DROP_MOST):
        if ends[TAIL] < ends[END] and log[ends[TAIL] & mask, A_TIME] <= oldest:
            ends[TAIL] += 1
    if ends[END] - ends[TAIL] > mask:
        ends[TAIL] += 1
        ends[PRESSED] += 1
    end = ends[END]
    at = end & mask
    log[at, A_TIME], log[at, A_VALUE] = row[TIME], row[VALUE]
    log[at, A_CARD], log[at, A_USER], log[at, A_POSITION] = row[CARD], row[USER], position
    log[at, A_BACK_MERCHANT] = log[at, A_BACK_DEVICE] = 0
    other, device = row[OTHER], row[DEVICE]
    small, failed = abs(row[VALUE]) <= low, row[VALUE] < 0
    ends[ACCOUNTS] = max(ends[ACCOUNTS], other + 1)
    ends[IDENTIFIERS] = max(ends[IDENTIFIERS], device + 1)
    if other >= 0 and kinds[other] == KIND_MERCHANT:
        before = _measure(
            attempts.merchants, other, generations[other], row[TIME], within, small, failed, end
        )
        log[at, A_BACK_MERCHANT] = end - before if before >= ends[TAIL] else 0
    if device >= 0:
        before = _measure(
            attempts.devices, device, identifier_generations[device], row[TIME], within, small,
            failed, end,
        )  # fmt: skip
        log[at, A_BACK_DEVICE] = end - before if before >= ends[TAIL] else 0
    ends[END] += 1


@kernel
def _measure(meters, id_, generation, time, within, small, failed, end):  # type: ignore[no-untyped-def]
    """Let a meter count an attempt; returns the attempt before. Mutates `meters`."""
    if meters[id_, GENERATION] != generation:
        for k in range(meters.shape[1]):
            meters[id_, k] = 0
        meters[id_, GENERATION] = generation
    span = time // within
    if span > meters[id_, SPAN]:
        if meters[id_, TRIED] > 0:
            meters[id_, SPANS] += 1
            for k in range(4):
                meters[id_, TRIED_BEFORE + k] += meters[id_, TRIED + k]
            if meters[id_, SPANS] == _HALVED_AT:
                for k in range(SPANS, SMALL_FAILED_BEFORE + 1):
                    meters[id_, k] //= 2
        meters[id_, SPAN] = span
        for k in range(TRIED, SMALL_FAILED + 1):
            meters[id_, k] = 0
    meters[id_, TRIED] += 1
    meters[id_, SMALL] += small
    meters[id_, SMALL_FAILED] += small and failed
    if failed:
        meters[id_, FAILED] += 1
        meters[id_, FAILURES + meters[id_, NEXT]] = time
        meters[id_, NEXT] = (meters[id_, NEXT] + 1) % FAILURES_KEPT
    before = meters[id_, HEAD]
    meters[id_, HEAD] = end
    return before
