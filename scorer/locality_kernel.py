"""How far apart those live whom evidence names: a part of `scorer.context_kernel`.

Friends, tenants and colleagues are mostly of one town. The victims of one tale are of many, and so
are the members of a crew that was hired by an advertisement.

A user is where it was last seen (`graph.heuristics.rules.ImpossibleTravel`); one who only ever
received, or whose transactions name no coordinates, is nowhere.
"""

from typing import Final

import numpy as np

from graph.compiled import kernel
from graph.heuristics.rules import km_from
from scorer.rank_kernel import ascend, middle

MOST_PLACED: Final = 16
"""Users compared with each other, in the order in which the evidence names them."""
NEAR_KM: Final = 50.0
"""A town and what surrounds it: what people travel to work and back, at most."""

PLACED, NEAR_CENTRE, IN_ONE_PLACE, PAIRS_KM_MEDIAN, PAIRS_KM_MOST = range(5)
LOCALITY: Final = PAIRS_KM_MOST + 1
"""Figures, the last five of `scorer.evidence_context.AROUND`."""

_NEAR_DEGREES: Final = NEAR_KM / 111.0  # of latitude, a little more than it is

_SOURCE, _TARGET = range(2)  # columns of the steps of a witness

_inner: Final = kernel(cache=False)  # compiled anew whenever the context is


@_inner
def _is_placed(given, seen, account):  # type: ignore[no-untyped-def]
    """Whether it is known where an account was last seen."""
    return 0 <= account < len(seen) and seen[account] != 0 and seen[account] == given[account]


@_inner
def _km(given, seen, places, one, other):  # type: ignore[no-untyped-def]
    """Between where two accounts were last seen; both were."""
    return km_from(seen, places, one, given[one], places[other, 0], places[other, 1])


@_inner
def _near(given, seen, places, one, other):  # type: ignore[no-untyped-def]
    """Whether two accounts that were seen were so within `NEAR_KM`."""
    if abs(places[one, 0] - places[other, 0]) > _NEAR_DEGREES:
        return False
    return _km(given, seen, places, one, other) <= NEAR_KM


@_inner
def _distances(given, seen, places, hops, values):  # type: ignore[no-untyped-def]
    """Fill `values` with log(1 + km) of each pair of the witness of which both were seen."""
    count = 0
    for k in range(len(hops)):
        source, target, again = hops[k, _SOURCE], hops[k, _TARGET], False
        for j in range(k):
            again = again or (hops[j, _SOURCE] == source and hops[j, _TARGET] == target)
        if not again and _is_placed(given, seen, source) and _is_placed(given, seen, target):
            values[count] = np.log1p(_km(given, seen, places, source, target))
            count += 1
    return count


@_inner
def locality(given, seen, places, members, hops, values, out):  # type: ignore[no-untyped-def]
    """Fill `out` (`LOCALITY` places); mutates it and the scratch array.

    Share of the members that were seen anywhere; of these but the centre, the share near it, and
    of all of these the greatest share near one of them; median and greatest distance of the pairs
    of the witness, log(1 + km). NaN where nobody, or no pair, was seen.

    Args:
        given: int32, generation of each account.
        seen: int32, generation of the account that was seen at each id, 0 = none.
        places: float64[k, 2], latitude and longitude at which, degrees.
        members: int64[n], the centre first.
        hops: int64[m, 4], by time: source and target (-1 = none), value, time.
        values: float64[k], k >= m and `MOST_PLACED`, scratch.
        out: float32[`LOCALITY`].
    """
    n = min(len(members), MOST_PLACED)
    out[:] = np.nan
    placed = 0
    for i in range(n):
        values[i] = 0.0  # members near this one, itself among them; 0 of one who is nowhere
        if not _is_placed(given, seen, members[i]):
            continue
        placed += 1
        values[i] = 1.0
        for j in range(i):
            if values[j] > 0 and _near(given, seen, places, members[i], members[j]):
                values[i] += 1
                values[j] += 1
    if n > 0:
        out[PLACED] = placed / n
    if placed > 0:
        near_centre = values[0]
        ascend(values, n)
        out[IN_ONE_PLACE] = values[n - 1] / placed
        if near_centre > 0 and placed > 1:
            out[NEAR_CENTRE] = (near_centre - 1) / (placed - 1)
    count = _distances(given, seen, places, hops, values)
    if count > 0:
        ascend(values, count)
        out[PAIRS_KM_MEDIAN], out[PAIRS_KM_MOST] = middle(values, count), values[count - 1]
