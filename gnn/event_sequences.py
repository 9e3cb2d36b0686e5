"""The last events of an account: what a sequence model hears of a transaction's user.

An event is a transaction as one of its two accounts took part in it. Each account keeps its newest
`LENGTH` events in a ring of columns; a transaction recalls those of its user, oldest first, and
itself stands at the end. Nothing of the transaction is kept before it has recalled, so what is
recalled is earlier in order of arrival, whatever comes later. The same two loops cut sequences out
of a history and would serve a stream: `recall`, then, once the score is known, `remember`.

What is the same as now (party, device) is so by id and generation of the caller's; "new" means not
among the events that are still remembered, so a device last seen seventeen events ago is new again.
Numba's cache does not notice a change here in the files that call it; `make` clears it.
"""

from typing import Final, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from graph.compiled import kernel
from graph.errors import InvalidInput

LENGTH: Final = 16
"""Earlier events an account keeps: 58 bytes each, 940 an account with its counters."""
TYPES: Final = ("payment", "transfer", "withdrawal", "deposit", "refund")
"""Types of a transaction by their code in `Events.type`."""
_PARTIES: Final = 5
_OTHERS: Final = {"other": "other party", "device": "device", "ip": "address", "card": "card"}

STEP: Final[dict[str, str]] = {
    "there": "1; 0 where there are no so many events",
    "age": "log hours before the transaction that recalls",
    "gap": "log hours since the account's event before it; unknown of its first",
    "value": "log amount, minor units",
    "to_now": "that less the log amount of the transaction that recalls",
    "inward": "1 where the money came to the account",
    "named": "1 where another user named the account as other party",
    "declined": "1 where it is known that no money moved",
    **{f"is_{name}": f"1 for a {name}" for name in TYPES},
    "same_type": "1 where the transaction that recalls has the same type",
    "same_channel": "1 where it came through the same channel",
    **{
        f"same_{name}": f"1 where its {said} is the same, -1 another, 0 where one has none"
        for name, said in _OTHERS.items()
    },
    **{
        f"new_{name}": f"1 where its {said} was not among the events before"
        for name, said in _OTHERS.items()
    },
    "log_odds": "what the blend said of it, log-odds; unknown of the transaction that recalls",
}
"""Columns of a step, oldest first, and what they say; `log` is log(1 + x). Unknown is NaN."""
WIDTH: Final = len(STEP)
STEPS: Final = LENGTH + 1
"""Steps of a sequence: the earlier events, and the transaction itself, which is the last."""

_HOUR: Final = 3_600_000.0
_INWARD, _NAMED, _DECLINED, _NEW = 1, 2, 4, 8
_DEPOSIT, _REFUND = TYPES.index("deposit"), TYPES.index("refund")
_TYPES: Final = len(TYPES)
_LENGTH: Final = LENGTH
_AT_ONCE: Final = 4_096
"""Sequences that are held in 32 bits at a time: 7 MB."""
(_THERE, _AGE, _GAP, _VALUE, _TO_NOW, _FLAGS, _IS, _SAME_TYPE, _SAME_CHANNEL, _SAME, _NEWS,
 _LOG_ODDS) = (
    list(STEP).index(name)
    for name in (
        "there", "age", "gap", "value", "to_now", "inward", "is_payment", "same_type",
        "same_channel", "same_other", "new_other", "log_odds",
    )
)  # fmt: skip


def schema_hash(context: tuple[str, ...]) -> str:
    """Hash of the columns of a step, their number, and the names of the columns of the context."""
    said = f"{','.join(STEP)}\x1f{STEPS}\x1f{','.join(context)}"
    return xxhash.xxh3_64_hexdigest(said.encode())


class Events(NamedTuple):
    """Transactions in order of arrival; N of them.

    Attributes:
        who: int64 [N, 10]: ids of user, other party, device, IP and card (-1 = nobody), and behind
            them the generation of each. The first two are of one space.
        time: int64 [N], epoch ms.
        value: float32 [N], log(1 + minor units).
        type: int64 [N], place in `TYPES`.
        channel: int32 [N], any code.
        declined: bool [N], whether it is known that no money moved.
    """

    who: NDArray[np.int64]
    time: NDArray[np.int64]
    value: NDArray[np.float32]
    type: NDArray[np.int64]
    channel: NDArray[np.int32]
    declined: NDArray[np.bool_]


class EventState(NamedTuple):
    """What is remembered, by account id; A accounts, each a ring of `LENGTH` = K events.

    Attributes:
        generation: int32 [A], of the id under which the events were written.
        count: int64 [A], events so far; the newest is at (count - 1) mod K.
        time: int64 [A, K], epoch ms.
        gap: float32 [A, K], log hours since the event before; NaN of the first.
        value: float32 [A, K], log(1 + minor units).
        type: uint8 [A, K].
        channel: int32 [A, K].
        flags: uint8 [A, K]: bits inward 1, named 2, declined 4, and new other party 8, device 16,
            IP 32, card 64.
        keys: int64 [A, K, 4]: other party, device, IP and card as generation and id; -1 = none.
        log_odds: float32 [A, K], NaN where it was not scored.
    """

    generation: NDArray[np.int32]
    count: NDArray[np.int64]  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    time: NDArray[np.int64]
    gap: NDArray[np.float32]
    value: NDArray[np.float32]
    type: NDArray[np.uint8]
    channel: NDArray[np.int32]
    flags: NDArray[np.uint8]
    keys: NDArray[np.int64]
    log_odds: NDArray[np.float32]


def empty_state(accounts: int) -> EventState:
    """A state in which nobody has an event; memory comes with the accounts in use."""
    shape = (accounts, LENGTH)
    return EventState(
        generation=np.zeros(accounts, np.int32),
        count=np.zeros(accounts, np.int64),
        time=np.zeros(shape, np.int64),
        gap=np.zeros(shape, np.float32),
        value=np.zeros(shape, np.float32),
        type=np.zeros(shape, np.uint8),
        channel=np.zeros(shape, np.int32),
        flags=np.zeros(shape, np.uint8),
        keys=np.zeros((*shape, len(_OTHERS)), np.int64),
        log_odds=np.zeros(shape, np.float32),
    )


def sequences(
    events: Events, log_odds: NDArray[np.float64], rows: NDArray[np.intp]
) -> NDArray[np.float16]:
    """The sequences of some rows of a whole history, float16 [rows, STEPS, WIDTH].

    0.9 kB a row; 16 bits, in training as in serving.

    Args:
        events: The history.
        log_odds: float64 [N], what was said of each when it came; NaN where nothing was.
        rows: Which rows, ascending.

    Raises:
        InvalidInput: The rows do not ascend, or a type is none of `TYPES`.
    """
    if len(rows) > 1 and (np.diff(rows) <= 0).any():
        raise InvalidInput(
            "rows have to ascend", field="sequences: rows", remedy="Sort them, each once."
        )
    wrong = (events.type < 0) | (events.type >= _TYPES)
    if wrong.any():
        raise InvalidInput(
            f"expected a code from 0 to {_TYPES - 1}",
            field="events: type",
            value=str(events.type[wrong][0]),
            remedy=f"Give the place of the type among {', '.join(TYPES)}.",
        )
    state = empty_state(int(events.who[:, :2].max(initial=-1)) + 1)
    out = np.empty((len(rows), STEPS, WIDTH), np.float16)
    wide = np.zeros((min(_AT_ONCE, len(rows)), STEPS, WIDTH), np.float32)
    done = 0
    for first in range(0, len(rows), _AT_ONCE):
        wanted = rows[first : first + _AT_ONCE].astype(np.int64)
        done = int(_retrace(state, events, log_odds, done, wanted, wide))
        out[first : first + len(wanted)] = wide[: len(wanted)]
    return out


@kernel
def _key(who, party):  # type: ignore[no-untyped-def]
    """One number for an id and its generation; -1 for nobody."""
    if who[party] < 0:
        return -1
    return (who[_PARTIES + party] << 32) | who[party]


@kernel
def _remembered(state, account, generation):  # type: ignore[no-untyped-def]
    """How many events are kept of an account."""
    if account < 0 or state.generation[account] != generation:
        return 0
    return min(state.count[account], _LENGTH)


@kernel
def _log_hours(milliseconds):  # type: ignore[no-untyped-def]
    """log(1 + hours) of a time; what would be negative, in a stream out of order, is 0."""
    return np.log1p(max(milliseconds, 0) / _HOUR)


@kernel
def _is_new(state, account, known, place, key):  # type: ignore[no-untyped-def]
    """Whether a party was not among the events kept of an account."""
    seen = key < 0
    for slot in range(known):
        seen |= state.keys[account, slot, place] == key
    return not seen


@kernel
def _flags(state, account, known, who, type_, declined, named):  # type: ignore[no-untyped-def]
    """The flags of an event as one of its two accounts has it."""
    inward = (type_ in (_DEPOSIT, _REFUND)) != named
    flags = _INWARD * inward + _NAMED * named + _DECLINED * declined
    if named:  # device, address and card are those of the one who named it
        return flags + _NEW * _is_new(state, account, known, 0, _key(who, 0))
    for place in range(_PARTIES - 1):
        flags += (_NEW << place) * _is_new(state, account, known, place, _key(who, place + 1))
    return flags


@kernel
def _tell(out, flags, value, type_):  # type: ignore[no-untyped-def]
    """Write what a step says whoever recalls it."""
    out[_THERE] = 1.0
    out[_VALUE] = value
    for bit in range(3):
        out[_FLAGS + bit] = (flags >> bit) & 1
    out[_IS + type_] = 1.0
    for place in range(_PARTIES - 1):
        out[_NEWS + place] = (flags >> (3 + place)) & 1


@kernel
def recall(state, events, i, out):  # type: ignore[no-untyped-def]
    """Write the sequence of a transaction: its user's events and, last, itself. Changes no state.

    Args:
        state: An `EventState`.
        events: `Events`.
        i: Which of them.
        out: float32[STEPS, WIDTH], overwritten.
    """
    out[:, :] = 0.0
    who, now, type_ = events.who[i], events.time[i], events.type[i]
    user = who[0]
    known = _remembered(state, user, who[_PARTIES])
    for back in range(known):
        slot = (state.count[user] - 1 - back) % _LENGTH
        step = out[_LENGTH - 1 - back]
        _tell(step, state.flags[user, slot], state.value[user, slot], state.type[user, slot])
        step[_AGE] = _log_hours(now - state.time[user, slot])
        step[_GAP] = state.gap[user, slot]
        step[_TO_NOW] = state.value[user, slot] - events.value[i]
        step[_SAME_TYPE] = state.type[user, slot] == type_
        step[_SAME_CHANNEL] = state.channel[user, slot] == events.channel[i]
        for place in range(_PARTIES - 1):
            then, key = state.keys[user, slot, place], _key(who, place + 1)
            if then >= 0 and key >= 0:
                step[_SAME + place] = 1.0 if then == key else -1.0
        step[_LOG_ODDS] = state.log_odds[user, slot]
    step = out[_LENGTH]
    flags = _flags(state, user, known, who, type_, events.declined[i], False)  # noqa: FBT003
    _tell(step, flags, events.value[i], type_)
    step[_GAP] = np.nan
    if known > 0:
        step[_GAP] = _log_hours(now - state.time[user, (state.count[user] - 1) % _LENGTH])
    step[_SAME_TYPE] = step[_SAME_CHANNEL] = 1.0
    for place in range(_PARTIES - 1):
        step[_SAME + place] = who[place + 1] >= 0
    step[_LOG_ODDS] = np.nan


@kernel
def remember(state, events, i, log_odds):  # type: ignore[no-untyped-def]
    """Keep a transaction at its user and at its other party. Mutates `state`.

    An account whose id was given out anew starts empty. Who deals with himself is its user only.
    """
    who, now = events.who[i], events.time[i]
    for role in range(2):
        account = who[role]
        if account < 0 or (role == 1 and account == who[0]):
            continue
        known = _remembered(state, account, who[_PARTIES + role])
        if known == 0:
            state.generation[account] = who[_PARTIES + role]
            state.count[account] = 0
        flags = _flags(state, account, known, who, events.type[i], events.declined[i], role == 1)
        gap = np.nan
        if known > 0:
            gap = _log_hours(now - state.time[account, (state.count[account] - 1) % _LENGTH])
        slot = state.count[account] % _LENGTH
        state.count[account] += 1
        state.time[account, slot] = now
        state.gap[account, slot] = gap
        state.value[account, slot] = events.value[i]
        state.type[account, slot] = events.type[i]
        state.channel[account, slot] = events.channel[i]
        state.flags[account, slot] = flags
        for place in range(_PARTIES - 1):
            state.keys[account, slot, place] = -1 if role == 1 else _key(who, place + 1)
        if role == 1:
            state.keys[account, slot, 0] = _key(who, 0)
        state.log_odds[account, slot] = log_odds


@kernel(nogil=True)
def _retrace(state, events, log_odds, done, rows, out):  # type: ignore[no-untyped-def]
    """Go on from row `done` of a history to the last of `rows`; fill `out` with their sequences.

    Returns the row after it, where to go on. Mutates `state` and `out`.
    """
    place = 0
    for i in range(done, rows[-1] + 1):
        if i == rows[place]:
            recall(state, events, i, out[place])
            place += 1
        remember(state, events, i, log_odds[i])
    return rows[-1] + 1
