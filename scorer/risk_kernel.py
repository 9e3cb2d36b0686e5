"""The compiled loops of the risk memory: recall, remember, and both over a whole history.

What is kept, by party and time constant: the decayed sum of the scores of its transactions, how
many they were (decayed alike), and the highest of them, decayed. A figure that decays over a time t
gives an event of age a the weight exp(-a / t). An account has two rows, as the user of transactions
and as their other party; a device, an IP or a card has one.

A transaction recalls seven places: its user and its other party in both roles, its device, IP and
card. Each place says, by time constant, the sum, the peak and the mean of the scores in it, as
ln(1 + x / FLOOR): nothing known is 0, and a probability counts by its order of magnitude.

Numba's cache does not notice a change here in the files that call it; `make` clears it.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.compiled import kernel
from graph.transaction import DAY, HOUR

PLACES: Final = (
    "user_as_user",
    "user_as_other",
    "other_as_user",
    "other_as_other",
    "device",
    "ip",
    "card",
)
"""Whose past a transaction recalls. The first is its user's own; the others are what others did."""
TAUS: Final = (HOUR, DAY, 7 * DAY)
"""Milliseconds in which what is remembered fades to 1/e: a burst, a day, a week."""
STATISTICS: Final = ("sum", "peak", "mean")
WIDTH: Final = len(PLACES) * len(TAUS) * len(STATISTICS)
"""Numbers that are recalled: place by place, in it by time constant, in it by statistic."""
FLOOR: Final = 1e-4
"""Probabilities far below this count as none: a tenth of what fraud is among card payments."""
OWN: Final = len(TAUS) * len(STATISTICS)
"""The first so many of the numbers are the user's own past."""

PARTIES: Final = 5
"""User, other party, device, IP, card: the ids in a row of `who`, and behind them as many
generations."""

_SUM, _COUNT, _PEAK = range(3)
_INVERSE: Final = 1.0 / FLOOR
_TAU: Final = np.array(TAUS, np.float64)


class RiskState(NamedTuple):
    """What is remembered, by the window's ids; A accounts, I identifiers.

    Attributes:
        account_generation: int32[A], generation of the id the rows were written under.
        account_at: int64[A, as user/as other], epoch ms the figures stand at.
        account_risk: float32[A, as user/as other, time constant, sum/count/peak].
        identifier_generation: int32[I].
        identifier_at: int64[I].
        identifier_risk: float32[I, time constant, sum/count/peak].
    """

    account_generation: NDArray[np.int32]
    account_at: NDArray[np.int64]
    account_risk: NDArray[np.float32]
    identifier_generation: NDArray[np.int32]
    identifier_at: NDArray[np.int64]
    identifier_risk: NDArray[np.float32]


def empty_state(accounts: int, identifiers: int) -> RiskState:
    """A state that remembers nothing; addresses are reserved, memory comes with the rows in use."""
    taus = len(TAUS)
    return RiskState(
        account_generation=np.zeros(accounts, np.int32),
        account_at=np.zeros((accounts, 2), np.int64),
        account_risk=np.zeros((accounts, 2, taus, 3), np.float32),
        identifier_generation=np.zeros(identifiers, np.int32),
        identifier_at=np.zeros(identifiers, np.int64),
        identifier_risk=np.zeros((identifiers, taus, 3), np.float32),
    )


@kernel
def _tell(risk, at, time, out, place):  # type: ignore[no-untyped-def]
    """Write what one row of memory says at a moment to `out` from `place` on."""
    age = np.float64(max(time - at, 0))
    for k in range(len(_TAU)):
        left = np.exp(-age / _TAU[k])
        total, count = risk[k, _SUM] * left, risk[k, _COUNT] * left
        out[place] = np.log1p(total * _INVERSE)
        out[place + 1] = np.log1p(risk[k, _PEAK] * left * _INVERSE)
        out[place + 2] = np.log1p(total / (count + 1.0) * _INVERSE)
        place += 3


@kernel
def _note(risk, at, time, score):  # type: ignore[no-untyped-def]
    """Add a score to one row of memory; returns the moment it stands at then. Mutates `risk`.

    A score that comes late counts as much less as it is older than what the row stands at.
    """
    age = np.float64(time - at)
    for k in range(len(_TAU)):
        left, weight = np.exp(-max(age, 0.0) / _TAU[k]), np.exp(min(age, 0.0) / _TAU[k])
        risk[k, _SUM] = risk[k, _SUM] * left + score * weight
        risk[k, _COUNT] = risk[k, _COUNT] * left + weight
        risk[k, _PEAK] = max(risk[k, _PEAK] * left, score * weight)
    return max(time, at)


@kernel
def recall(state, who, time, out):  # type: ignore[no-untyped-def]
    """Fill `out`, float64[WIDTH], with what is remembered of the parties of a transaction.

    Args:
        state: What is remembered; not changed.
        who: int64[2 * PARTIES], ids (-1 = nobody) and their generations.
        time: Epoch ms.
        out: Overwritten.
    """
    for i in range(len(out)):
        out[i] = 0.0
    for party in range(2):
        account = who[party]
        if account >= 0 and state.account_generation[account] == who[PARTIES + party]:
            for role in range(2):
                risk, at = state.account_risk[account, role], state.account_at[account, role]
                _tell(risk, at, time, out, (2 * party + role) * 9)
    for party in range(2, PARTIES):
        identifier = who[party]
        if identifier >= 0 and state.identifier_generation[identifier] == who[PARTIES + party]:
            risk, at = state.identifier_risk[identifier], state.identifier_at[identifier]
            _tell(risk, at, time, out, (party + 2) * 9)


@kernel
def remember(state, who, time, score):  # type: ignore[no-untyped-def]
    """Add the score of a transaction, 0 to 1, to what is remembered of its parties.

    A row of an id that was given out anew starts empty. Mutates `state`.
    """
    for party in range(2):
        account = who[party]
        if account < 0:
            continue
        if state.account_generation[account] != who[PARTIES + party]:
            state.account_generation[account] = who[PARTIES + party]
            state.account_risk[account] = 0.0
            state.account_at[account] = time
        at = state.account_at[account, party]
        state.account_at[account, party] = _note(
            state.account_risk[account, party], at, time, score
        )
    for party in range(2, PARTIES):
        identifier = who[party]
        if identifier < 0:
            continue
        if state.identifier_generation[identifier] != who[PARTIES + party]:
            state.identifier_generation[identifier] = who[PARTIES + party]
            state.identifier_risk[identifier] = 0.0
            state.identifier_at[identifier] = time
        at = state.identifier_at[identifier]
        state.identifier_at[identifier] = _note(state.identifier_risk[identifier], at, time, score)


@kernel
def weighed(recalled, weights, start, stop):  # type: ignore[no-untyped-def]
    """Log-odds that some of the numbers recalled are worth. Mutates nothing."""
    worth = 0.0
    for i in range(start, stop):
        worth += weights[i] * recalled[i]
    return worth


@kernel
def probability(log_odds):  # type: ignore[no-untyped-def]
    """As `scorer.odds.sigmoid`."""
    if log_odds >= 0:
        return 1.0 / (1.0 + np.exp(-log_odds))
    grown = np.exp(log_odds)
    return grown / (1.0 + grown)


@kernel(nogil=True)
def retrace(state, who, times, scores, kept, recalled, out):  # type: ignore[no-untyped-def]
    """Remember a history that was scored, and say what some of its rows recalled. Mutates `state`.

    Args:
        state: What is remembered.
        who: int64[R, 2 * PARTIES].
        times: int64[R], epoch ms, in order of arrival.
        scores: float64[R], 0 to 1; NaN = not remembered.
        kept: int64[R], row of `out` that a row goes to; -1 = none.
        recalled: float64[WIDTH], scratch.
        out: float32[kept, WIDTH], overwritten.
    """
    for i in range(len(times)):
        if kept[i] >= 0:
            recall(state, who[i], times[i], recalled)
            for k in range(len(recalled)):
                out[kept[i], k] = recalled[k]
        if not np.isnan(scores[i]):
            remember(state, who[i], times[i], scores[i])
