"""Features of nodes and edges from the columns of a window, as of a moment.

Plain numpy over whole columns: O(n log n) for n live payments and links. What each column means is
said in `gnn.schema`; the columns here are in that order, and a test holds them to it by name.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gnn.sampling import Links, Payments
from graph.profiles import (
    AT_HOME,
    COUNT,
    DEALS,
    FADED,
    FIRST,
    GENERATION,
    PAID,
    RETURNS,
    SLEPT,
    USUAL,
    WEEK,
    WOKE,
    ProfileColumns,
)
from graph.transaction import DAY, HOUR

Columns = dict[str, NDArray[np.float32]]
_USUAL_STEP: Final = 16  # as `graph.profiles.usual_amount` has it
_MOST_HALVINGS: Final = 62


def log(values: NDArray[Any]) -> NDArray[np.float32]:
    """Logarithm of 1 + x; what is below zero counts as zero."""
    found: NDArray[np.float32] = np.log1p(np.maximum(values, 0).astype(np.float64)).astype(
        np.float32
    )
    return found


def log_hours(ms: NDArray[Any]) -> NDArray[np.float32]:
    """log(1 + hours) of a span in ms."""
    return log(ms / HOUR)


def share(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float32]:
    """What share of the whole a part is, 0 where the whole is."""
    found: NDArray[np.float32] = (part / np.maximum(whole, 1)).astype(np.float32)
    return found


def _sums(ids: NDArray[Any], weights: NDArray[Any] | None, size: int) -> NDArray[Any]:
    """Sum of the weights by id (their number if None); ids below zero are left out."""
    there = ids >= 0
    chosen = None if weights is None else weights[there].astype(np.float64)
    return np.bincount(ids[there], chosen, size)


def _distinct(ids: NDArray[Any], others: NDArray[Any], size: int) -> NDArray[Any]:
    """Distinct others by id."""
    there = (ids >= 0) & (others >= 0)
    pairs = np.unique((ids[there].astype(np.int64) << 32) | others[there])
    return np.bincount(pairs >> 32, minlength=size)


def _newest(ids: NDArray[Any], times: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Newest time by id, where times come newest first; 0 where there is none."""
    found = np.zeros(size, np.int64)
    there = ids >= 0
    found[ids[there][::-1]] = times[there][::-1]
    return found


def flows(payments: Payments, links: Links, as_of: int, horizon: int, size: int) -> Columns:
    """What went through each account in the last `horizon` ms, and who named it.

    Shape: `size` rows a column, by account id.
    """
    moved = payments.value > 0
    time, value = payments.time[moved], payments.value[moved]
    source, target = payments.source[moved], payments.target[moved]
    inflow, outflow = _sums(target, value, size), _sums(source, value, size)
    outside_in = _sums(target[source < 0], value[source < 0], size)
    outside_out = _sums(source[target < 0], value[target < 0], size)
    oldest = as_of - horizon
    named = links.entity <= -2
    named_account = np.where(named, -2 - links.entity, -1)
    fresh = named & (links.first >= as_of - DAY)
    return {
        "in_count": log(_sums(target, None, size)),
        "out_count": log(_sums(source, None, size)),
        "in_sum": log(inflow),
        "out_sum": log(outflow),
        "out_share": share(outflow, inflow + outflow),
        "from_outside": share(outside_in, inflow),
        "to_outside": share(outside_out, outflow),
        "since_in": log_hours(as_of - np.maximum(_newest(target, time, size), oldest)),
        "since_out": log_hours(as_of - np.maximum(_newest(source, time, size), oldest)),
        "senders": log(_distinct(target, source, size)),
        "receivers": log(_distinct(source, target, size)),
        "declined": log(_sums(payments.source[~moved], None, size)),
        "dealers": log(_sums(named_account, None, size)),
        "new_dealers": log(_sums(np.where(fresh, named_account, -1), None, size)),
    }


def habits(
    links: Links,
    identifier_kind: NDArray[np.uint8],
    kinds: tuple[int, int, int],
    profiles: ProfileColumns,
    generation: NDArray[np.int32],
    as_of: int,
) -> Columns:
    """What each account was seen with, and what its profile says.

    Args:
        links: Live links.
        identifier_kind: uint8 [I].
        kinds: Codes of devices, addresses and cards.
        profiles: By account id; rows of another generation count as empty.
        generation: int32 [A] of the accounts.
        as_of: Moment, ms.

    Shape: A rows a column.
    """
    size = len(generation)
    owned = links.entity >= 0
    kind = np.full(len(links.entity), 255, np.uint8)
    kind[owned] = identifier_kind[links.entity[owned]]
    fresh = links.first >= as_of - DAY

    def seen(chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
        return log(_sums(np.where(chosen, links.user, -1), None, size))

    rows = profiles.users[:size]
    if len(rows) < size:
        rows = np.vstack([rows, np.zeros((size - len(rows), profiles.users.shape[1]), np.int64)])
    known = (rows[:, GENERATION] == generation) & (rows[:, COUNT] > 0)

    def said(column: int) -> NDArray[np.int64]:
        return np.where(known, rows[:, column], 0)

    woke = said(WOKE)
    return {
        "others": seen(~owned),
        "new_others": seen(~owned & fresh),
        "devices": seen(kind == kinds[0]),
        "ips": seen(kind == kinds[1]),
        "cards": seen(kind == kinds[2]),
        "new_identifiers": seen(owned & fresh),
        "age": log_hours(np.where(known, as_of - said(FIRST), 0)),
        "transactions": log(said(COUNT)),
        "paid": log(said(PAID)),
        "usual": log(said(USUAL) / _USUAL_STEP),
        "awake": log_hours(np.where(woke > 0, as_of - woke, 0)),
        "slept": log_hours(said(SLEPT)),
        "at_home": share(said(AT_HOME), said(COUNT)),
    }


def deals(profiles: ProfileColumns, generation: NDArray[np.int32], as_of: int) -> Columns:
    """What merchants sold and took back; 0 for users. Shape: A rows a column."""
    size = len(generation)
    rows = profiles.merchants[:size]
    if len(rows) < size:
        rows = np.vstack(
            [rows, np.zeros((size - len(rows), profiles.merchants.shape[1]), np.int64)]
        )
    known = rows[:, GENERATION] == generation
    halvings = np.clip(as_of // WEEK - rows[:, FADED], 0, _MOST_HALVINGS)
    sold = np.where(known, rows[:, DEALS] >> halvings, 0)
    returned = np.where(known, rows[:, RETURNS] >> halvings, 0)
    return {"deals": log(sold), "returned": share(returned, sold)}


def sightings(links: Links, as_of: int, size: int) -> Columns:
    """Who was seen with each identifier. Shape: `size` rows a column, by identifier id."""
    owned = links.entity >= 0
    entity, first = links.entity[owned], links.first[owned]
    oldest = np.full(size, as_of, np.int64)
    np.minimum.at(oldest, entity, first)
    newest = _newest(entity, links.last[owned], size)
    return {
        "users": log(_sums(entity, None, size)),
        "new_users": log(_sums(entity[first >= as_of - DAY], None, size)),
        "young_users": log(_sums(entity[first >= as_of - 7 * DAY], None, size)),
        "sightings": log(_sums(entity, links.count[owned], size)),
        "age": log_hours(as_of - oldest),
        "since": log_hours(np.where(newest > 0, as_of - newest, 0)),
    }


def payment_features(payments: Payments, as_of: int, size: int) -> NDArray[np.float16]:
    """float16 [n, 5]: the features of payments as of a moment."""
    moved = payments.value > 0
    paid = np.where(moved, payments.value, 0)
    # The last place is that of -1, the outside: nobody's share of an endless flow.
    outflow = np.append(_sums(payments.source, paid, size), np.inf)
    inflow = np.append(_sums(payments.target, paid, size), np.inf)
    columns = (
        log(np.abs(payments.value)),
        (~moved).astype(np.float32),
        log_hours(as_of - payments.time),
        share(paid, outflow[payments.source]),
        share(paid, inflow[payments.target]),
    )
    return np.stack(columns, axis=1).astype(np.float16)


def link_features(links: Links, as_of: int) -> NDArray[np.float16]:
    """float16 [m, 3]: the features of links as of a moment."""
    columns = (log(links.count), log_hours(as_of - links.first), log_hours(as_of - links.last))
    return np.stack(columns, axis=1).astype(np.float16)
