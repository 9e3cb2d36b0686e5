"""Who comes to a merchant again: the two memories behind `graph.heuristics.collusion`.

One fades with the weeks and reaches far back; the other holds the newest deals one by one, and so
sees seven days whatever the calendar says. Both are rows of the merchant's profile
(`graph.profiles`), in which the transaction at hand is not noted yet.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.compiled import kernel
from graph.kernels import KIND_MERCHANT
from graph.layout import INWARD, OTHER, TIME, USER, VALUE
from graph.profiles import (
    BUYERS,
    DEALS,
    DEALS_HERE,
    GENERATION,
    LOGGED,
    MOST_BUYERS,
    MOST_RECENT,
    RETURNS,
    WEEK,
    WHEN,
    WHO,
    WHOSE,
    id_of,
    is_alive,
    key_of,
    weeks_faded,
)

_id_of: Final = kernel(inline="always")(id_of)
_is_alive: Final = kernel(inline="always")(is_alive)

FADED: Final = 1
SURGE: Final = 2
MOST_CLIENTS: Final = max(MOST_BUYERS, MOST_RECENT) + 1
"""Who can come again: whom the longer memory holds, and who comes just now."""


class Clientele(NamedTuple):
    """A merchant's deals up to the one at hand, included, and whose they are.

    Attributes:
        deals: Purchases and refunds.
        refunds: Of these, refunds.
        again: Deals by account id of those who came more than once and still have a name.
        returned: Refunds to each of these within seven days.
        surge: Whether all this is of the last seven days, and nothing faded.
    """

    deals: int
    refunds: int
    again: dict[int, int]
    returned: dict[int, int]
    surge: bool

    def at_least(self, deals: int) -> set[int]:
        """Who has so many deals."""
        return {user for user, n in self.again.items() if n >= deals}


def clientele(
    merchants: NDArray[np.int64],
    generations: NDArray[np.int32],
    row: NDArray[np.int64],
    *,
    surge: bool,
) -> Clientele:
    """What one of the two memories says of the merchant of a deal laid out in `row`.

    Args:
        merchants: The profiles' rows of merchants.
        generations: Of accounts.
        row: The deal, as `graph.layout` has it; not noted yet.
        surge: Which: the last seven days, or what fades.
    """
    who, came, refunded = np.zeros((3, MOST_CLIENTS), np.int64)
    n, deals, refunds = clients_of(merchants, generations, row, surge, who, came, refunded)
    users = who[:n].tolist()
    again = dict(zip(users, came[:n].tolist(), strict=True))
    returned = {u: back for u, back in zip(users, refunded[:n].tolist(), strict=True) if back}
    return Clientele(int(deals), int(refunds), again, returned, surge)


@kernel
def clients_of(merchants, generations, row, surge, who, came, refunded):  # type: ignore[no-untyped-def]
    """Who comes again to the merchant of a deal laid out in `row`, and still has a name.

    Fills `who` with account ids, `came` with their deals and `refunded` with the refunds to them
    within seven days, each int64[MOST_CLIENTS]; this deal is among them. Mutates these only.

    Returns:
        (how many come again, all deals there, all refunds).
    """
    merchant, back = row[OTHER], row[INWARD] != 0
    own = key_of(row[USER], generations[row[USER]])
    who[0], came[0] = own, 1
    if surge:
        n, deals, refunds = _recent_clients(merchants, row, who, came)
    else:
        n = _faded_clients(merchants, row, who, came)
        shift = weeks_faded(merchants, merchant, row[TIME])
        deals = (merchants[merchant, DEALS] >> shift) + 1
        refunds = merchants[merchant, RETURNS] >> shift
    again = 0
    for at in range(n):
        if came[at] > 1 and _is_alive(who[at], generations):
            who[again], came[again], refunded[again] = who[at], came[at], back and who[at] == own
            again += 1
    for place in range(min(merchants[merchant, LOGGED], MOST_RECENT)):
        when = merchants[merchant, WHEN + place]
        if when % 2 and when // 2 > row[TIME] - WEEK:
            for at in range(again):
                refunded[at] += merchants[merchant, WHOSE + place] == who[at]
    for at in range(again):
        who[at] = _id_of(who[at])
    return again, deals, refunds + back


@kernel
def _recent_clients(merchants, row, who, came):  # type: ignore[no-untyped-def]
    """Add who came within seven days to the one in `who` and `came`; how many, deals, refunds."""
    merchant, n, deals, refunds = row[OTHER], 1, 1, 0
    for place in range(min(merchants[merchant, LOGGED], MOST_RECENT)):
        when = merchants[merchant, WHEN + place]
        if when // 2 <= row[TIME] - WEEK:
            continue
        deals, refunds = deals + 1, refunds + when % 2
        key, at = merchants[merchant, WHOSE + place], 0
        while at < n and who[at] != key:
            at += 1
        if at == n:
            who[n], came[n] = key, 0
            n += 1
        came[at] += 1
    return n, deals, refunds


@kernel
def _faded_clients(merchants, row, who, came):  # type: ignore[no-untyped-def]
    """Add who is remembered by the memory that fades to the one in `who` and `came`; how many."""
    merchant, n = row[OTHER], 1
    shift = weeks_faded(merchants, merchant, row[TIME])
    for place in range(merchants[merchant, BUYERS]):
        deals = merchants[merchant, DEALS_HERE + place] >> shift
        if merchants[merchant, WHO + place] == who[0]:
            came[0] += deals
        else:
            who[n], came[n] = merchants[merchant, WHO + place], deals
            n += 1
    return n


@kernel
def asks(  # type: ignore[no-untyped-def]
    merchants, generations, kinds, row, told, least, regular, share, surge, surge_share
):  # fmt: skip
    """Which memories say that the merchant lives on regulars, at the deal in a row.

    `told` is uint8[n]: whether so many deals of a regular are a number at which it is told. Mutates
    nothing.

    Returns:
        `FADED` and `SURGE`, or none of them.
    """
    found = 0
    deals = deals_at(merchants, generations, kinds, row, least, regular, share)
    if deals < told.shape[0] and told[deals] != 0:
        found |= FADED
    deals = recent_at(merchants, generations, kinds, row)
    if (
        deals < told.shape[0]
        and told[deals] != 0
        and surges(merchants, generations, row, least, regular, surge, surge_share)
    ):
        found |= SURGE
    return found


@kernel
def deals_at(merchants, generations, kinds, row, least, regular, share):  # type: ignore[no-untyped-def]
    """Deals of a regular with a merchant up to the one in `row`, if the merchant lives on regulars.

    By the memory that fades. Mutates nothing.

    Returns:
        Deals; 0 if it does not.
    """
    user, merchant = row[USER], row[OTHER]
    if user < 0 or merchant < 0 or kinds[merchant] != KIND_MERCHANT or row[VALUE] <= 0:
        return 0
    if merchants[merchant, GENERATION] != generations[merchant]:
        return 0
    shift = weeks_faded(merchants, merchant, row[TIME])
    key = key_of(user, generations[user])
    own, regulars, theirs = 1, 0, 0
    for place in range(merchants[merchant, BUYERS]):
        deals = merchants[merchant, DEALS_HERE + place] >> shift
        if merchants[merchant, WHO + place] == key:
            own += deals
        elif deals >= regular:
            regulars += 1
            theirs += deals
    everything = (merchants[merchant, DEALS] >> shift) + 1
    if own < regular or regulars + 1 < least or theirs + own < share * everything:
        return 0
    return own


@kernel
def recent_at(merchants, generations, kinds, row):  # type: ignore[no-untyped-def]
    """Deals of a user with a merchant in seven days up to the one in `row`; 0 if that is none.

    Mutates nothing.
    """
    user, merchant = row[USER], row[OTHER]
    if user < 0 or merchant < 0 or kinds[merchant] != KIND_MERCHANT or row[VALUE] <= 0:
        return 0
    if merchants[merchant, GENERATION] != generations[merchant]:
        return 0
    key, since, own = key_of(user, generations[user]), row[TIME] - WEEK, 1
    for place in range(min(merchants[merchant, LOGGED], MOST_RECENT)):
        if merchants[merchant, WHOSE + place] == key:
            own += merchants[merchant, WHEN + place] // 2 > since
    return own


@kernel
def surges(merchants, generations, row, least, regular, surge, share):  # type: ignore[no-untyped-def]
    """Whether a merchant lives on regulars in the seven days up to a regular's deal in `row`.

    What `recent_at` answered is at least `regular`. There are `surge` regulars, with those who are
    a deal short of it `least`, and `share` of all deals are the regulars'. Mutates nothing.
    """
    merchant, since = row[OTHER], row[TIME] - WEEK
    key = key_of(row[USER], generations[row[USER]])
    everything, theirs, regulars, frequent = 1, 1, 1, 1
    logged = min(merchants[merchant, LOGGED], MOST_RECENT)
    for place in range(logged):
        if merchants[merchant, WHEN + place] // 2 <= since:
            continue
        everything += 1
        who = merchants[merchant, WHOSE + place]
        if who == key:
            theirs += 1
            continue
        deals, first = 0, True
        for other in range(logged):
            if (
                merchants[merchant, WHOSE + other] == who
                and merchants[merchant, WHEN + other] // 2 > since
            ):
                first &= other >= place
                deals += 1
        if deals >= regular:
            theirs += 1
            regulars += first
        frequent += first and deals >= regular - 1
    return regulars >= surge and frequent >= least and theirs >= share * everything
