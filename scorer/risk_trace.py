"""What a risk memory said of everybody at any moment of a history that was scored.

A memory holds the present alone. To learn from it, its past is needed in any order: so a history is
remembered once, each row of memory is noted down as it stood after every score, and a moment asks
for the last note before it. What is told is what `scorer.risk_kernel.recall` would have told then,
without the mean.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from graph.compiled import kernel
from scorer.risk_kernel import FLOOR, PARTIES, TAUS, empty_state, remember

ROLES: Final = 2
"""An account is remembered as the user of transactions and as their other party."""
TOLD: Final = len(TAUS) * 2
"""Numbers a row of memory: sum and peak by time constant, as ln(1 + x / FLOOR)."""
_SHIFT: Final = 32
_TAU: Final = np.array(TAUS, np.float64)


@dataclass(frozen=True, slots=True)
class RiskNotes:
    """Rows of memory as they stood after each score, of accounts or of identifiers; E notes.

    Attributes:
        size: Ids there are.
        roles: Rows of memory an id has.
        keys: int64 [E], ascending: row of memory, and in the low 32 bits the number of the score.
        generation: int32 [E], whose row it was.
        at: int64 [E], epoch ms the figures stand at.
        risk: float32 [E, time constant, sum and peak].
        met_keys: int64 [M], ascending: id, and in the low 32 bits a transaction it took part in.
        met_generation: int32 [M], who it was then.
    """

    size: int
    roles: int
    keys: NDArray[np.int64]
    generation: NDArray[np.int32]
    at: NDArray[np.int64]
    risk: NDArray[np.float32]
    met_keys: NDArray[np.int64]
    met_generation: NDArray[np.int32]

    def told(self, ids: NDArray[np.int32], number: int, moment: int) -> NDArray[np.float32]:
        """What was remembered before transaction `number`, float32 [size, roles * TOLD] by id.

        An id that was somebody else's when it was scored says nothing. O(ids log E).

        Args:
            ids: int32, who is asked about; the others stay zero.
            number: Transactions from this one on are not known.
            moment: What has faded until then, epoch ms.
        """
        chosen = ids.astype(np.int64) * self.roles
        rows = (chosen[:, None] + np.arange(self.roles)).ravel()
        note = _last_before(self.keys, rows, number)
        met = _last_before(self.met_keys, rows // self.roles, number)
        there = (note >= 0) & (met >= 0)
        there[there] = self.generation[note[there]] == self.met_generation[met[there]]
        found = np.zeros((self.size * self.roles, TOLD), np.float32)
        rows, note = rows[there], note[there]
        left = np.exp(-np.maximum(moment - self.at[note], 0)[:, None] / _TAU)
        risk = self.risk[note] * left[:, :, None]
        found[rows] = np.log1p(risk / FLOOR).reshape(len(note), TOLD)
        return found.reshape(self.size, self.roles * TOLD)


@dataclass(frozen=True, slots=True)
class RiskTrace:
    """Notes of a whole history.

    Attributes:
        accounts: Of accounts, as user and as other party.
        identifiers: Of devices, IPs and cards.
    """

    accounts: RiskNotes
    identifiers: RiskNotes

    @classmethod
    def of(
        cls, who: NDArray[np.int64], times: NDArray[np.int64], scores: NDArray[np.float64]
    ) -> "RiskTrace":
        """Remember a history. 44 bytes a party of a scored row, 12 a party of any.

        Args:
            who: int64 [R, 2 * PARTIES], ids (-1 = nobody) and generations, in order of arrival.
            times: int64 [R], epoch ms.
            scores: float64 [R], 0 to 1; NaN where a row is not remembered.
        """
        spans = slice(0, ROLES), slice(ROLES, PARTIES)
        sizes = [int(who[:, span].max(initial=-1)) + 1 for span in spans]
        notes = [
            np.zeros((int((who[~np.isnan(scores), span] >= 0).sum()), len(TAUS), 2), np.float32)
            for span in spans
        ]
        at = [np.zeros(len(note), np.int64) for note in notes]
        note_all(empty_state(*sizes), who, times, scores, *notes, *at)
        return cls(
            *(
                _ordered(who, scores, span, size, note, stood)
                for span, size, note, stood in zip(spans, sizes, notes, at, strict=True)
            )
        )


def _ordered(
    who: NDArray[np.int64],
    scores: NDArray[np.float64],
    span: slice,
    size: int,
    risk: NDArray[np.float32],
    at: NDArray[np.int64],
) -> RiskNotes:
    """The notes of one kind, row of memory by row of memory."""
    ids, of = who[:, span], who[:, span.start + PARTIES : span.stop + PARTIES]
    number, party = np.nonzero(ids >= 0)  # row by row, party by party, as they were noted
    id_, generation = ids[number, party], of[number, party].astype(np.int32)
    roles = ROLES if span.start == 0 else 1
    met = (id_ << _SHIFT) | number
    by_id = np.argsort(met, kind="stable")
    scored = ~np.isnan(scores[number])
    row = id_[scored] * roles + (party[scored] if roles > 1 else 0)
    keys = (row << _SHIFT) | number[scored]
    order = np.argsort(keys, kind="stable")
    return RiskNotes(
        size,
        roles,
        keys[order],
        generation[scored][order],
        at[order],
        risk[order],
        met[by_id],
        generation[by_id],
    )


def _last_before(keys: NDArray[np.int64], of: NDArray[np.int64], number: int) -> NDArray[np.intp]:
    """Place of the last key of each that is before a number; -1 where there is none."""
    place = np.searchsorted(keys, (of << _SHIFT) | number) - 1
    there = place >= 0
    there[there] = keys[place[there]] >> _SHIFT == of[there]
    return np.where(there, place, -1)


@kernel(nogil=True)
def note_all(  # type: ignore[no-untyped-def]
    state, who, times, scores, accounts, identifiers, account_at, identifier_at
):
    """Remember every scored row, and note how the rows of memory of its parties stand then.

    Args:
        state: A `RiskState`; mutated.
        who: int64 [R, 2 * PARTIES].
        times: int64 [R].
        scores: float64 [R]; NaN = not remembered.
        accounts: float32 [E, time constant, 2], overwritten, in order of arrival.
        identifiers: float32 [F, time constant, 2], overwritten.
        account_at: int64 [E], overwritten.
        identifier_at: int64 [F], overwritten.
    """
    e = f = 0
    for i in range(len(times)):
        if np.isnan(scores[i]):
            continue
        remember(state, who[i], times[i], scores[i])
        for party in range(PARTIES):
            id_ = who[i, party]
            if id_ < 0:
                continue
            for k in range(len(_TAU)):
                if party < ROLES:
                    accounts[e, k, 0] = state.account_risk[id_, party, k, 0]
                    accounts[e, k, 1] = state.account_risk[id_, party, k, 2]
                else:
                    identifiers[f, k, 0] = state.identifier_risk[id_, k, 0]
                    identifiers[f, k, 1] = state.identifier_risk[id_, k, 2]
            if party < ROLES:
                account_at[e] = state.account_at[id_, party]
                e += 1
            else:
                identifier_at[f] = state.identifier_at[id_]
                f += 1
