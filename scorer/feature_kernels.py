"""The compiled half of the features: state in columns, one row read and written per transaction.

Everything works on `FeatureState`, numpy arrays indexed by account id, identifier id or hash slot,
and on `row`, one transaction laid out as int64 (the `R_` places). Reads come first and see the
world as it was just before the transaction; `_write` then adds it. The order in which the `read_`
kernels fill `out` is the order of `scorer.feature_catalogue`.

Counts and sums over 1 h, 24 h, 7 d and 30 d are kept in rings of 8 buckets, each a sixth of its
window wide. A window that ends at t takes the buckets it covers whole and, of the oldest one, the
share it covers. So a figure errs by at most what fell into that one bucket (between 1 and 7/6
windows old) and is exact when it is empty. Every other recent figure decays exponentially: an
event of age a weighs exp(-a / tau), exact up to rounding. Events are taken in order of arrival;
one that is older than the newest of its row is added with the weight of its age.

Distinct counts and "new to" rest on a table of pairs, set-associative, four ways: a full set
forgets its pair unseen for longest, and only then is something old taken for new.

Kernels take arrays and scalars, allocate nothing, draw no random numbers, and use no fast-math:
equal input gives equal bytes. Callees are all in this file because numba's cache does not notice
a change in another one.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graph.compiled import kernel
from graph.layout import LINKS, USER, WATERMARK

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR

WINDOWS: Final = (HOUR, DAY, 7 * DAY, 30 * DAY)
SPAN: Final = 6
RING: Final = 8

PATTERNS: Final = (
    "blocked",
    "impossible_travel",
    "velocity",
    "cycle",
    "ping_pong",
    "mule",
    "fan_in",
    "fan_out",
    "chain",
    "scatter_gather",
    "gather_scatter",
    "bipartite",
    "stack",
    "feeder_tree",
    "structuring",
    "shared_device",
    "shared_card",
    "shared_ip",
    "dormant_burst",
    "takeover",
    "bust_out",
    "card_testing",
    "collusive_merchant",
    "refund_abuse",
    "synthetic_identity",
    "dense_block",
    "community",
)
"""Places of the evidence counts; a test holds them to `graph.evidence.Pattern`."""
KINDS: Final = len(PATTERNS)
GROUPS: Final = ("rules", "flow", "fans", "identity", "layering", "conduct", "commerce")
"""What patterns are remembered by."""
_GROUP_OF: Final = (0, 0, 0, 1, 1, 1, 2, 2, 4, 4, 4, 4, 4, 4, 1, 3, 3, 3, 5, 5, 5, 6, 6, 6, 3, 4, 3)
"""Group of each pattern."""
FIELDS: Final = ("channel", "country", "category", "location")
SLOTS: Final = 1024
"""Hash slots a field; two texts share one with probability n / 1024 for n texts in use."""
WAYS: Final = 4

# One transaction in `row`. An id of the capacity is a stranger: named, but without state of its
# own; -1 is nobody at all. Fields are slots, -1 = absent. Strength and ring score in millionths.
(
    R_TIME, R_VALUE, R_INWARD, R_TYPE, R_OUTCOME, R_OTHER_KIND, R_CREATED, R_ZEROS, R_FIELD,
) = range(9)  # fmt: skip
R_USER, R_OTHER, R_DEVICE, R_IP, R_CARD = range(R_FIELD + len(FIELDS), R_FIELD + len(FIELDS) + 5)
R_LINK: Final = R_CARD + 1  # (count, first) of device, ip, card
R_EVIDENCE: Final = R_LINK + 6
R_STRENGTH: Final = R_EVIDENCE + KINDS
R_RING: Final = R_STRENGTH + 1
ROW: Final = R_RING + 1
# A label's row: its transaction's, then when it became known and whether it says fraud.
LABEL_KNOWN, LABEL_FRAUD = ROW, ROW + 1
LABEL_ROW: Final = ROW + 2
UNKNOWN_CREATION: Final = np.iinfo(np.int64).min
DECLINED: Final = 2

# An account as the user of transactions: how many, (how many moved money, mean and M2 of their log
# value), ... U_USUAL is such a mean in which no value counts for more than LARGE times the usual,
# U_PEAK how many times the usual the largest was, fading. U_HOURS are eight bins of three hours,
# U_SHARED the distinct devices, IPs and cards.
(
    U_COUNT, U_MOVED, U_MEAN, U_M2, U_AVERAGE, U_MOST, U_RECENT, U_LAST, U_REPEATS, U_GAPS,
    U_GAP_MEAN, U_GAP_M2, U_TRIED, U_DECLINED, U_OTHERS, U_NEW_OTHERS, U_USUAL, U_PEAK, U_SHARED,
) = range(19)  # fmt: skip
U_HOURS: Final = U_SHARED + 3
# The same account as the other party of transactions.
(
    O_COUNT, O_MOVED, O_MEAN, O_M2, O_MOST, O_LAST, O_REPEATS, O_TRIED, O_DECLINED, O_USERS,
    O_NEW_USERS,
) = range(U_HOURS + 8, U_HOURS + 19)  # fmt: skip
# Either way: transactions out and in, the last amount in, recent evidence by group.
F_OUT, F_IN, F_LAST_IN, E_RECENT = range(O_NEW_USERS + 1, O_NEW_USERS + 5)
ACCOUNT: Final = E_RECENT + len(GROUPS)
# T_COUNTRY and T_PLACE are the last slot plus 1.
T_SEEN, T_ACTED, T_OTHER, T_OUT, T_IN, T_EVIDENCE, T_COUNTRY, T_PLACE = range(8)
ACCOUNT_TIMES: Final = 8

I_COUNT, I_TRIED, I_DECLINED, I_USERS, I_NEW_USERS = range(5)
IDENTIFIER: Final = 5

# A memory of labels: of all time, decayed by event time, by the time they became known, and label
# by label; the anchors are the times the decayed figures stand at. L_ROW is how many of the newest
# labels all say fraud, L_ROW_BEGAN when the first of these happened: a card or a shop that was
# broken into stays so for weeks.
(
    L_KNOWN, L_FRAUD, L_EVENT_KNOWN, L_EVENT_FRAUD, L_EVENT_ANCHOR, L_LABEL_KNOWN, L_LABEL_FRAUD,
    L_LABEL_ANCHOR, L_ORDER, L_LAST_FRAUD, L_ROW, L_ROW_BEGAN,
) = range(12)  # fmt: skip
LABEL: Final = 12

PARTY: Final = 8
"""Features of what labels say of a user or another party."""

C_COUNT, C_MEAN, C_M2 = range(3)
FIELD: Final = 3

# Of the whole stream.
G_COUNT, G_MEAN, G_M2, G_NEW_USER, G_NEW_OTHER, G_KNOWN, G_FRAUD, G_ORDER = range(8)
TOTALS: Final = 8

PRIOR: Final = 4.0  # labels' worth of the base rate in an all-time rate; a recent one holds 1
TAU_DECLINED: Final = 1.0 * DAY
TAU_NEW: Final = 7.0 * DAY
TAU_EVIDENCE: Final = 7.0 * DAY
TAU_EVENT: Final = 30.0 * DAY
TAU_LABEL: Final = 7.0 * DAY
TAU_PEAK: Final = 14.0 * DAY
LARGE: Final = 2.5
LEARNED_FROM: Final = 3.0
"""Values from which it is known what is usual."""
RECENT_STEP: Final = 0.3
LABEL_STEP: Final = 0.2
BASE_STEP: Final = 0.002
NEW_STEP: Final = 0.001


class FeatureState(NamedTuple):
    """What is remembered, by id or slot.

    A and I are the capacities of the two id spaces; row A or I is the stranger's: never written,
    always zero.

    Attributes:
        account_given: int32[A], generation of each account id in the window; read only.
        account_generation: int32[A + 1], generation the row was written under, 0 = never.
        account_activity: float32[A + 1, out/in, window, bucket, count/sum].
        account_time: int64[A + 1, ACCOUNT_TIMES], epoch ms.
        account_stat: float64[A + 1, ACCOUNT].
        account_label: float64[A + 1, as user/as other, LABEL].
        identifier_given: int32[I].
        identifier_generation: int32[I + 1].
        identifier_activity: float32[I + 1, window, bucket, count/sum].
        identifier_time: int64[I + 1], epoch ms of the last sighting.
        identifier_stat: float64[I + 1, IDENTIFIER].
        identifier_label: float64[I + 1, LABEL].
        field_stat: float64[fields * SLOTS, FIELD].
        field_label: float64[fields * SLOTS, LABEL].
        pair_key: uint64[P], 0 = free.
        pair_time: int64[P], last sighting.
        pair_stat: float64[P, 2], how often, and the last value.
        totals: float64[TOTALS].
    """

    account_given: NDArray[np.int32]
    account_generation: NDArray[np.int32]
    account_activity: NDArray[np.float32]
    account_time: NDArray[np.int64]
    account_stat: NDArray[np.float64]
    account_label: NDArray[np.float64]
    identifier_given: NDArray[np.int32]
    identifier_generation: NDArray[np.int32]
    identifier_activity: NDArray[np.float32]
    identifier_time: NDArray[np.int64]
    identifier_stat: NDArray[np.float64]
    identifier_label: NDArray[np.float64]
    field_stat: NDArray[np.float64]
    field_label: NDArray[np.float64]
    pair_key: NDArray[np.uint64]
    pair_time: NDArray[np.int64]
    pair_stat: NDArray[np.float64]
    totals: NDArray[np.float64]


@kernel
def _decay(age, tau):
    return np.exp(-age / tau) if age > 0 else 1.0


@kernel
def _decaying(stat, at, age, tau, x):
    """Adds x to the decaying figure at `at`, which stands `age` before the event of x."""
    if age >= 0:
        stat[at] = stat[at] * np.exp(-age / tau) + x
    else:
        stat[at] += x * np.exp(age / tau)


@kernel
def _log_seconds(age):
    return np.log1p(max(age, 0) / 1000.0)


@kernel
def _log_money(minor):
    return np.log1p(minor / 100.0)


@kernel
def _ratio(value, usual):
    """Value over the usual one, both a whole unit larger: small change does not explode it."""
    return (value + 100.0) / (usual + 100.0)


@kernel
def _z(x, count, mean, m2):
    """Standard score against `count` earlier figures whose variance is shrunk towards 1."""
    if count < 1.0:
        return np.nan
    return (x - mean) / np.sqrt((m2 + 1.0) / (count + 1.0))


@kernel
def _welford(stat, at, x):
    """Adds x to the (count, mean, M2) at `at`."""
    stat[at] += 1.0
    delta = x - stat[at + 1]
    stat[at + 1] += delta / stat[at]
    stat[at + 2] += delta * (x - stat[at + 1])


@kernel
def ring_read(ring, w, last, time, column):
    """Count (column 0) or sum (1) of the window w that ends at `time`; see the module.

    Args:
        ring: float32[window, RING, 2], last written at `last`.
        w: Index into WINDOWS.
        last: Newest event in the ring, epoch ms.
        time: End of the window, epoch ms.
        column: 0 or 1.
    """
    width = WINDOWS[w] // SPAN
    newest, here = last // width, time // width
    total = 0.0
    for b in range(max(here - SPAN + 1, newest - RING + 1), min(here, newest) + 1):
        total += ring[w, b & (RING - 1), column]
    oldest = here - SPAN
    if newest - RING < oldest <= newest:
        total += (1.0 - (time - here * width) / width) * ring[w, oldest & (RING - 1), column]
    return total


@kernel
def ring_write(ring, last, time, value):
    """Adds one event of `value` to all windows of a ring; mutates it."""
    for w in range(len(WINDOWS)):
        width = WINDOWS[w] // SPAN
        newest, here = last // width, time // width
        for b in range(max(newest + 1, here - RING + 1), here + 1):
            ring[w, b & (RING - 1), 0] = 0.0
            ring[w, b & (RING - 1), 1] = 0.0
        if here > newest - RING:
            ring[w, here & (RING - 1), 0] += 1.0
            ring[w, here & (RING - 1), 1] += value


@kernel
def _mixed(key):
    """Spread a 64-bit key (finaliser of splitmix64)."""
    h = np.uint64(key)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return h ^ (h >> np.uint64(31))


@kernel
def _pair(kind, a, a_generation, b, b_generation):
    """Key of an ordered pair: kind 0 accounts, 1-3 identifiers, 4-7 fields; never 0."""
    h = _mixed((np.uint64(a) << np.uint64(32)) | np.uint64(a_generation))
    h = _mixed(h ^ ((np.uint64(b) << np.uint64(32)) | np.uint64(b_generation)))
    return _mixed(h + np.uint64(kind)) | np.uint64(1)


@kernel
def _pair_set(keys, key):
    return np.int64((key >> np.uint64(1)) & np.uint64(len(keys) // WAYS - 1)) * WAYS


@kernel
def _pair_find(keys, key):
    at = _pair_set(keys, key)
    for k in range(at, at + WAYS):
        if keys[k] == key:
            return k
    return -1


@kernel
def _pair_write(state, key, time, value):
    """Notes a sighting of the pair and says whether it was new; mutates the pair table."""
    keys = state.pair_key
    k = _pair_find(keys, key)
    new = k < 0
    if new:
        at = _pair_set(keys, key)
        k = at
        for j in range(at, at + WAYS):
            if keys[j] == 0:
                k = j
                break
            if state.pair_time[j] < state.pair_time[k]:
                k = j
        keys[k] = key
        state.pair_stat[k, 0] = 0.0
        state.pair_time[k] = time
    state.pair_stat[k, 0] += 1.0
    state.pair_stat[k, 1] = value
    state.pair_time[k] = max(state.pair_time[k], time)
    return new


@kernel
def _label_read(memory, time, base, out, at):
    """Three features: rate of all time, by event time and by label time."""
    out[at] = (memory[L_FRAUD] + PRIOR * base) / (memory[L_KNOWN] + PRIOR)
    d = _decay(time - memory[L_EVENT_ANCHOR], TAU_EVENT)
    out[at + 1] = (d * memory[L_EVENT_FRAUD] + base) / (d * memory[L_EVENT_KNOWN] + 1.0)
    d = _decay(time - memory[L_LABEL_ANCHOR], TAU_LABEL)
    out[at + 2] = (d * memory[L_LABEL_FRAUD] + base) / (d * memory[L_LABEL_KNOWN] + 1.0)
    return at + 3


@kernel
def _label_write(memory, event, known_at, fraud):
    if memory[L_KNOWN] == 0.0:
        memory[L_EVENT_ANCHOR] = event
        memory[L_LABEL_ANCHOR] = known_at
        memory[L_ORDER] = fraud
    if fraud > 0 and memory[L_ROW] == 0.0:
        memory[L_ROW_BEGAN] = event
    memory[L_ROW] = memory[L_ROW] + 1.0 if fraud > 0 else 0.0
    memory[L_KNOWN] += 1.0
    memory[L_FRAUD] += fraud
    for known, time, tau in (
        (L_EVENT_KNOWN, event, TAU_EVENT),
        (L_LABEL_KNOWN, known_at, TAU_LABEL),
    ):
        age = time - memory[known + 2]
        _decaying(memory, known, age, tau, 1.0)
        _decaying(memory, known + 1, age, tau, fraud)
        memory[known + 2] = max(memory[known + 2], time)
    memory[L_ORDER] += LABEL_STEP * (fraud - memory[L_ORDER])
    if fraud > 0 and (memory[L_FRAUD] == 1.0 or event > memory[L_LAST_FRAUD]):
        memory[L_LAST_FRAUD] = event


@kernel
def read_amount(state, row, out, at):
    """The amount, and how unusual it is in the stream, its category and its location."""
    x = _log_money(row[R_VALUE])
    g = state.totals
    out[at] = x
    out[at + 1] = row[R_ZEROS]
    out[at + 2] = _z(x, g[G_COUNT], g[G_MEAN], g[G_M2])
    for k in range(2):
        slot = row[R_FIELD + 2 + k]
        if slot >= 0:
            c = state.field_stat[(2 + k) * SLOTS + slot]
            out[at + 3 + k] = _z(x, c[C_COUNT], c[C_MEAN], c[C_M2])
    return at + 5


@kernel
def read_time(row, out, at):
    """Hour and weekday on their circles (day 0 of the epoch was a Thursday)."""
    day = 2.0 * np.pi * (row[R_TIME] % DAY) / DAY
    week = 2.0 * np.pi * ((row[R_TIME] // DAY + 3) % 7) / 7.0
    out[at] = np.sin(day)
    out[at + 1] = np.cos(day)
    out[at + 2] = np.sin(week)
    out[at + 3] = np.cos(week)
    return at + 4


@kernel
def read_transaction(state, row, out, at):
    """What kind of transaction it is, and how common its category is."""
    out[at] = row[R_TYPE]
    out[at + 1] = row[R_OUTCOME]
    out[at + 2] = row[R_OTHER_KIND]
    out[at + 3] = (row[R_DEVICE] >= 0) + (row[R_IP] >= 0) + (row[R_CARD] >= 0)
    for f in range(3):
        if row[R_FIELD + f] >= 0:
            out[at + 4 + f] = row[R_FIELD + f]
    slot = row[R_FIELD + 2]
    if slot >= 0:
        seen = state.field_stat[2 * SLOTS + slot, C_COUNT]
        out[at + 7] = np.log((seen + 1.0) / (state.totals[G_COUNT] + 1.0))
    return at + 8


@kernel
def read_behaviour(state, row, out, at):
    """The transaction against its user's own past."""
    time, value, user = row[R_TIME], row[R_VALUE], row[R_USER]
    s, t = state.account_stat[user], state.account_time[user]
    out[at] = s[U_COUNT] > 0
    out[at + 1] = np.log1p(s[U_COUNT])
    out[at + 2] = _z(_log_money(value), s[U_MOVED], s[U_MEAN], s[U_M2])
    if s[U_MOVED] > 0:
        out[at + 3] = _ratio(value, s[U_AVERAGE])
        out[at + 4] = _ratio(value, s[U_MOST])
        out[at + 5] = _ratio(value, s[U_RECENT])
        out[at + 6] = _ratio(value, s[U_LAST])
        out[at + 7] = np.sqrt(max(s[U_M2], 0.0) / s[U_MOVED])
        out[at + 13] = s[U_REPEATS] + 1.0 if s[U_LAST] == value else 0.0
    if s[U_COUNT] > 0:
        gap = _log_seconds(time - t[T_ACTED])
        hour = s[U_HOURS + (time % DAY) // (3 * HOUR)]
        out[at + 8] = np.log((s[U_COUNT] + 4.0) / (hour + 0.5))
        out[at + 9] = gap
        out[at + 10] = _z(gap, s[U_GAPS], s[U_GAP_MEAN], s[U_GAP_M2])
        out[at + 16] = s[U_DECLINED] / s[U_TRIED]
    if s[U_MOVED] > 0:
        out[at + 17] = np.exp(_log_money(value) - s[U_USUAL])
        out[at + 18] = _decay(time - t[T_ACTED], TAU_PEAK) * s[U_PEAK]
    if row[R_CREATED] != UNKNOWN_CREATION:
        out[at + 11] = (time - row[R_CREATED]) / DAY
    if state.account_generation[user] != 0:
        out[at + 12] = max(time - t[T_SEEN], 0) / DAY
    if row[R_FIELD + 1] >= 0 and t[T_COUNTRY] > 0:
        out[at + 14] = t[T_COUNTRY] != row[R_FIELD + 1] + 1
    if row[R_FIELD + 3] >= 0 and t[T_PLACE] > 0:
        out[at + 15] = t[T_PLACE] != row[R_FIELD + 3] + 1
    return at + 19


@kernel
def read_counterparty(state, row, out, at):
    """The transaction against what its other party usually sees."""
    time, value, other = row[R_TIME], row[R_VALUE], row[R_OTHER]
    if other >= 0:
        s, t = state.account_stat[other], state.account_time[other]
        out[at] = np.log1p(s[O_COUNT])
        out[at + 1] = _z(_log_money(value), s[O_MOVED], s[O_MEAN], s[O_M2])
        if s[O_MOVED] > 0:
            out[at + 2] = _ratio(value, s[O_MOST])
            out[at + 3] = s[O_MEAN]
            out[at + 5] = s[O_REPEATS] + 1.0 if s[O_LAST] == value else 0.0
        if s[O_COUNT] > 0:
            out[at + 4] = _log_seconds(time - t[T_OTHER])
            out[at + 7] = s[O_DECLINED] / s[O_TRIED]
        if state.account_generation[other] != 0:
            out[at + 6] = max(time - t[T_SEEN], 0) / DAY
    return at + 8


@kernel
def read_velocity(state, row, out, at):
    """Counts and sums by window of user, other party, device, IP and card."""
    time = row[R_TIME]
    for k in range(2):
        a = row[R_USER + k]
        if a >= 0:
            way = row[R_INWARD] ^ k
            ring = state.account_activity[a, way]
            last = state.account_time[a, T_OUT + way]
            for w in range(4):
                out[at + w] = ring_read(ring, w, last, time, 0)
                out[at + 4 + w] = _log_money(ring_read(ring, w, last, time, 1))
            out[at + 8] = (out[at + 1] + 1.0) / (out[at + 3] / 30.0 + 1.0)
        at += 9
    for k in range(3):
        i = row[R_DEVICE + k]
        if i >= 0:
            ring, last = state.identifier_activity[i], state.identifier_time[i]
            s = state.identifier_stat[i]
            for w in range(4):
                out[at + w] = ring_read(ring, w, last, time, 0)
            out[at + 4] = _log_money(ring_read(ring, 1, last, time, 1))
            if s[I_COUNT] > 0:
                out[at + 5] = s[I_DECLINED] / s[I_TRIED]
        at += 6
    return at


@kernel
def read_novelty(state, row, out, at):
    """What is new to the user: other party, device, IP, card, and fields."""
    time, value, user, other = row[R_TIME], row[R_VALUE], row[R_USER], row[R_OTHER]
    keys = state.pair_key
    generation = state.account_generation[user]
    new = 0
    if other >= 0:
        k = _pair_find(keys, _pair(0, user, generation, other, state.account_generation[other]))
        out[at] = k < 0
        out[at + 1] = 0.0
        if k >= 0:
            out[at + 1] = np.log1p(state.pair_stat[k, 0])
            out[at + 2] = _log_seconds(time - state.pair_time[k])
            out[at + 3] = _ratio(value, state.pair_stat[k, 1])
        new += k < 0
    at += 4
    for k in range(3):
        if row[R_DEVICE + k] >= 0:
            links = row[R_LINK + 2 * k]
            out[at] = links
            if links > 0:
                out[at + 1] = max(time - row[R_LINK + 2 * k + 1], 0) / DAY
            new += links == 0
        at += 2
    out[at] = new
    at += 1
    for f in range(len(FIELDS)):
        slot = row[R_FIELD + f]
        if slot >= 0:
            k = _pair_find(keys, _pair(4 + f, user, generation, slot, 0))
            out[at + f] = np.log1p(state.pair_stat[k, 0]) if k >= 0 else 0.0
    at += len(FIELDS)
    out[at] = state.totals[G_NEW_USER]
    out[at + 1] = state.totals[G_NEW_OTHER]
    return at + 2


@kernel
def read_sharing(state, row, out, at):
    """How many the user deals with, and how many share the other party, device, IP and card."""
    time, user, other = row[R_TIME], row[R_USER], row[R_OTHER]
    s = state.account_stat[user]
    out[at] = s[U_OTHERS]
    out[at + 1] = s[U_NEW_OTHERS] * _decay(time - state.account_time[user, T_ACTED], TAU_NEW)
    for k in range(3):
        out[at + 2 + k] = s[U_SHARED + k]
    if other >= 0:
        s = state.account_stat[other]
        out[at + 5] = s[O_USERS]
        out[at + 6] = s[O_NEW_USERS] * _decay(time - state.account_time[other, T_OTHER], TAU_NEW)
    at += 7
    for k in range(3):
        i = row[R_DEVICE + k]
        if i >= 0:
            s = state.identifier_stat[i]
            out[at] = s[I_USERS]
            out[at + 1] = s[I_NEW_USERS] * _decay(time - state.identifier_time[i], TAU_NEW)
        at += 2
    return at


@kernel
def read_flow(state, row, out, at):
    """Money through the user and through the other party: what came in against what goes out."""
    time, value, user, other = row[R_TIME], row[R_VALUE], row[R_USER], row[R_OTHER]
    s, t = state.account_stat[user], state.account_time[user]
    came = ring_read(state.account_activity[user, 1], 1, t[T_IN], time, 1)
    went = ring_read(state.account_activity[user, 0], 1, t[T_OUT], time, 1)
    out[at] = _log_money(came)
    if came > 0:
        out[at + 1] = (went if row[R_INWARD] else went + value) / came
    if s[F_IN] > 0:
        out[at + 2] = _log_seconds(time - t[T_IN])
        out[at + 3] = _ratio(value, s[F_LAST_IN])
    out[at + 4] = np.log1p(s[F_IN])
    out[at + 5] = np.log1p(s[O_USERS])
    if other >= 0:
        s, t = state.account_stat[other], state.account_time[other]
        came = ring_read(state.account_activity[other, 1], 1, t[T_IN], time, 1)
        went = ring_read(state.account_activity[other, 0], 1, t[T_OUT], time, 1)
        out[at + 6] = np.log1p(s[F_OUT])
        if came > 0:
            out[at + 7] = went / came
        if s[F_OUT] > 0:
            out[at + 8] = _log_seconds(time - t[T_OUT])
        ours, theirs = state.account_generation[user], state.account_generation[other]
        k = _pair_find(state.pair_key, _pair(0, other, theirs, user, ours))
        out[at + 9] = np.log1p(state.pair_stat[k, 0]) if k >= 0 else 0.0
    return at + 10


@kernel
def _read_past_evidence(state, a, time, out, at):
    if a >= 0:
        d = _decay(time - state.account_time[a, T_EVIDENCE], TAU_EVIDENCE)
        for f in range(len(GROUPS)):
            out[at + f] = d * state.account_stat[a, E_RECENT + f]
    return at + len(GROUPS)


@kernel
def read_evidence(state, row, out, at):
    """What the heuristics say of it, and what they said of its user lately."""
    for p in range(KINDS):
        out[at + p] = row[R_EVIDENCE + p]
    out[at + KINDS] = row[R_STRENGTH] / 1e6
    return _read_past_evidence(state, row[R_USER], row[R_TIME], out, at + KINDS + 1)


@kernel
def _base_rate(state):
    """Share of fraud among all labels known, with half a fraud in fifty to begin with."""
    return (state.totals[G_FRAUD] + 0.5) / (state.totals[G_KNOWN] + 50.0)


@kernel
def _read_party(memory, time, base, out, at):
    """The three of `_label_read`, and what only parties have: see the catalogue."""
    _label_read(memory, time, base, out, at)
    out[at + 3] = np.log1p(memory[L_KNOWN])
    if memory[L_KNOWN] > 0:
        out[at + 4] = memory[L_ORDER]
        out[at + 6] = memory[L_ROW]
    if memory[L_FRAUD] > 0:
        out[at + 5] = max(time - memory[L_LAST_FRAUD], 0) / DAY
    if memory[L_ROW] > 0:
        out[at + 7] = max(time - memory[L_ROW_BEGAN], 0) / DAY
    return at + PARTY


@kernel
def read_labels(state, row, out, at):
    """Fraud known so far: everywhere, and of the user."""
    if state.totals[G_KNOWN] > 0:
        out[at] = state.totals[G_ORDER]
    memory = state.account_label[row[R_USER], 0]
    return _read_party(memory, row[R_TIME], _base_rate(state), out, at + 1)


@kernel
def read_reputation(state, row, out, at):
    """Fraud known so far of what the transaction touches, and evidence around the other party."""
    time, other = row[R_TIME], row[R_OTHER]
    base = _base_rate(state)
    if other >= 0:
        _read_party(state.account_label[other, 1], time, base, out, at)
    at += PARTY
    for k in range(3):
        i = row[R_DEVICE + k]
        if i >= 0:
            _label_read(state.identifier_label[i], time, base, out, at)
            out[at + 3] = np.log1p(state.identifier_label[i, L_KNOWN])
        at += 4
    for f in range(len(FIELDS)):
        slot = row[R_FIELD + f]
        if slot >= 0:
            _label_read(state.field_label[f * SLOTS + slot], time, base, out, at)
        at += 3
    return _read_past_evidence(state, other, time, out, at)


@kernel
def read(state, row, out):
    """Fills `out` float32[features] for `row`, NaN = unknown; mutates nothing else."""
    out[:] = np.nan
    at = read_amount(state, row, out, 0)
    at = read_time(row, out, at)
    at = read_transaction(state, row, out, at)
    at = read_behaviour(state, row, out, at)
    at = read_counterparty(state, row, out, at)
    at = read_velocity(state, row, out, at)
    at = read_novelty(state, row, out, at)
    at = read_sharing(state, row, out, at)
    at = read_flow(state, row, out, at)
    at = read_evidence(state, row, out, at)
    out[at] = row[R_RING] / 1e6
    at = read_labels(state, row, out, at + 1)
    return read_reputation(state, row, out, at)


@kernel
def _claim(state, row, time):
    """Empties the rows of ids that were given out anew since they were written."""
    strange = len(state.account_given)
    for k in range(2):
        a = row[R_USER + k]
        if 0 <= a < strange and state.account_generation[a] != state.account_given[a]:
            state.account_generation[a] = state.account_given[a]
            state.account_activity[a] = 0.0
            state.account_time[a] = 0
            state.account_stat[a] = 0.0
            state.account_label[a] = 0.0
            state.account_time[a, T_SEEN] = time
    strange = len(state.identifier_given)
    for k in range(3):
        i = row[R_DEVICE + k]
        if 0 <= i < strange and state.identifier_generation[i] != state.identifier_given[i]:
            state.identifier_generation[i] = state.identifier_given[i]
            state.identifier_activity[i] = 0.0
            state.identifier_time[i] = 0
            state.identifier_stat[i] = 0.0
            state.identifier_label[i] = 0.0


@kernel
def _estrange(state, row):
    """Replaces ids whose rows are not theirs by the stranger; mutates `row`."""
    strange = len(state.account_given)
    for k in range(2):
        a = row[R_USER + k]
        if 0 <= a < strange and state.account_generation[a] != state.account_given[a]:
            row[R_USER + k] = strange
    strange = len(state.identifier_given)
    for k in range(3):
        i = row[R_DEVICE + k]
        if 0 <= i < strange and state.identifier_generation[i] != state.identifier_given[i]:
            row[R_DEVICE + k] = strange


@kernel
def _flow_write(state, a, way, time, value, moved):
    s, t = state.account_stat[a], state.account_time[a]
    last = t[T_OUT + way] if s[F_OUT + way] > 0 else time
    ring_write(state.account_activity[a, way], last, time, value if moved else 0)
    t[T_OUT + way] = max(last, time)
    s[F_OUT + way] += 1.0
    if way == 1 and moved:
        s[F_LAST_IN] = value


@kernel
def _write_size(s, age, x, moved):
    """How large a log value is for its user; `age` as of `_decaying`. Mutates `s`."""
    times = np.exp(x - s[U_USUAL]) if moved and s[U_MOVED] >= LEARNED_FROM else 0.0
    if age >= 0:
        s[U_PEAK] = max(s[U_PEAK] * np.exp(-age / TAU_PEAK), times)
    else:
        s[U_PEAK] = max(s[U_PEAK], times * np.exp(age / TAU_PEAK))
    if moved:
        counts = s[U_USUAL] + np.log(LARGE) if times > LARGE else x
        s[U_USUAL] += (counts - s[U_USUAL]) / (s[U_MOVED] + 1.0)


@kernel
def _write_user(state, row, new_other):
    time, value, user = row[R_TIME], row[R_VALUE], row[R_USER]
    declined = row[R_OUTCOME] == DECLINED
    s, t = state.account_stat[user], state.account_time[user]
    last = t[T_ACTED] if s[U_COUNT] > 0 else time
    if s[U_COUNT] > 0:
        _welford(s, U_GAPS, _log_seconds(time - last))
    _decaying(s, U_TRIED, time - last, TAU_DECLINED, 1.0)
    _decaying(s, U_DECLINED, time - last, TAU_DECLINED, declined)
    _decaying(s, U_NEW_OTHERS, time - last, TAU_NEW, new_other)
    _write_size(s, time - last, _log_money(value), moved=not declined)
    s[U_OTHERS] += new_other
    s[U_COUNT] += 1.0
    s[U_HOURS + (time % DAY) // (3 * HOUR)] += 1.0
    t[T_ACTED] = max(last, time)
    if row[R_FIELD + 1] >= 0:
        t[T_COUNTRY] = row[R_FIELD + 1] + 1
    if row[R_FIELD + 3] >= 0:
        t[T_PLACE] = row[R_FIELD + 3] + 1
    if not declined:
        s[U_REPEATS] = s[U_REPEATS] + 1.0 if s[U_MOVED] > 0 and s[U_LAST] == value else 0.0
        step = RECENT_STEP if s[U_MOVED] > 0 else 1.0
        s[U_RECENT] += step * (value - s[U_RECENT])
        _welford(s, U_MOVED, _log_money(value))
        s[U_AVERAGE] += (value - s[U_AVERAGE]) / s[U_MOVED]
        s[U_MOST] = max(s[U_MOST], value)
        s[U_LAST] = value
    _flow_write(state, user, row[R_INWARD], time, value, not declined)


@kernel
def _write_other(state, row, new_user):
    time, value, other = row[R_TIME], row[R_VALUE], row[R_OTHER]
    declined = row[R_OUTCOME] == DECLINED
    s, t = state.account_stat[other], state.account_time[other]
    last = t[T_OTHER] if s[O_COUNT] > 0 else time
    _decaying(s, O_TRIED, time - last, TAU_DECLINED, 1.0)
    _decaying(s, O_DECLINED, time - last, TAU_DECLINED, declined)
    _decaying(s, O_NEW_USERS, time - last, TAU_NEW, new_user)
    s[O_USERS] += new_user
    s[O_COUNT] += 1.0
    t[T_OTHER] = max(last, time)
    if not declined:
        s[O_REPEATS] = s[O_REPEATS] + 1.0 if s[O_MOVED] > 0 and s[O_LAST] == value else 0.0
        _welford(s, O_MOVED, _log_money(value))
        s[O_MOST] = max(s[O_MOST], value)
        s[O_LAST] = value
    _flow_write(state, other, 1 - row[R_INWARD], time, value, not declined)


@kernel
def _write_identifier(state, row, k, new_user):
    time, i = row[R_TIME], row[R_DEVICE + k]
    declined = row[R_OUTCOME] == DECLINED
    s = state.identifier_stat[i]
    last = state.identifier_time[i] if s[I_COUNT] > 0 else time
    ring_write(state.identifier_activity[i], last, time, 0 if declined else row[R_VALUE])
    _decaying(s, I_TRIED, time - last, TAU_DECLINED, 1.0)
    _decaying(s, I_DECLINED, time - last, TAU_DECLINED, declined)
    _decaying(s, I_NEW_USERS, time - last, TAU_NEW, new_user)
    s[I_USERS] += new_user
    s[I_COUNT] += 1.0
    state.identifier_time[i] = max(last, time)


@kernel
def _write_evidence(state, row):
    found = 0
    for p in range(KINDS):
        found += row[R_EVIDENCE + p]
    if found == 0:
        return
    for k in range(2):
        a = row[R_USER + k]
        if 0 <= a < len(state.account_given):
            s, t = state.account_stat[a], state.account_time[a]
            if s[E_RECENT : E_RECENT + len(GROUPS)].sum() == 0.0:
                t[T_EVIDENCE] = row[R_TIME]
            age = row[R_TIME] - t[T_EVIDENCE]
            for f in range(len(GROUPS)):
                _decaying(s, E_RECENT + f, max(age, 0), TAU_EVIDENCE, 0.0)
            for p in range(KINDS):
                _decaying(
                    s, E_RECENT + _GROUP_OF[p], min(age, 0), TAU_EVIDENCE, row[R_EVIDENCE + p]
                )
            t[T_EVIDENCE] = max(row[R_TIME], t[T_EVIDENCE])


@kernel
def _write_fields(state, row):
    time, value, user = row[R_TIME], row[R_VALUE], row[R_USER]
    moved = row[R_OUTCOME] != DECLINED
    for f in range(len(FIELDS)):
        slot = row[R_FIELD + f]
        if slot >= 0:
            if user < len(state.account_given):
                key = _pair(4 + f, user, state.account_generation[user], slot, 0)
                _pair_write(state, key, time, value)
            if moved:
                _welford(state.field_stat[f * SLOTS + slot], C_COUNT, _log_money(value))
    if moved:
        _welford(state.totals, G_COUNT, _log_money(value))


@kernel
def _write(state, row):
    """Adds the transaction to everything it touches; strangers are left alone."""
    time, value, user, other = row[R_TIME], row[R_VALUE], row[R_USER], row[R_OTHER]
    strange = len(state.account_given)
    known_user, known_other = user < strange, 0 <= other < strange
    generation = state.account_generation[user]
    g = state.totals
    first = state.account_stat[user, U_COUNT] == 0
    new_other = False
    if known_user and known_other:
        key = _pair(0, user, generation, other, state.account_generation[other])
        new_other = _pair_write(state, key, time, value)
        if not first:
            g[G_NEW_OTHER] += NEW_STEP * (new_other - g[G_NEW_OTHER])
    for k in range(3):
        i = row[R_DEVICE + k]
        if 0 <= i < len(state.identifier_given):
            new_user = False
            if known_user:
                key = _pair(1 + k, user, generation, i, state.identifier_generation[i])
                new_user = _pair_write(state, key, time, value)
                state.account_stat[user, U_SHARED + k] += new_user
            _write_identifier(state, row, k, new_user)
    _write_fields(state, row)
    if known_user:
        g[G_NEW_USER] += NEW_STEP * (first - g[G_NEW_USER])
        _write_user(state, row, new_other)
    if known_other:
        _write_other(state, row, new_other)
    _write_evidence(state, row)


@kernel
def observe(state, row, out, take):
    """Fills `out` for `row` as of just before it, then takes it in, if it is to be taken.

    Args:
        state: FeatureState, mutated if `take`.
        row: int64[ROW]; without `take`, ids without a row of their own become strangers.
        out: float32[features], overwritten.
        take: Whether the transaction was accepted.
    """
    if take:
        _claim(state, row, row[R_TIME])
    else:
        _estrange(state, row)
    read(state, row, out)
    if take:
        _write(state, row)


@kernel
def learn(state, row, known_at, fraud):
    """Adds one label to everything its transaction touched; mutates the label memories."""
    _claim(state, row, row[R_TIME])
    g = state.totals
    g[G_KNOWN] += 1.0
    g[G_FRAUD] += fraud
    g[G_ORDER] += max(BASE_STEP, 1.0 / g[G_KNOWN]) * (fraud - g[G_ORDER])
    for k in range(2):
        a = row[R_USER + k]
        if 0 <= a < len(state.account_given):
            _label_write(state.account_label[a, k], row[R_TIME], known_at, fraud)
    for k in range(3):
        i = row[R_DEVICE + k]
        if 0 <= i < len(state.identifier_given):
            _label_write(state.identifier_label[i], row[R_TIME], known_at, fraud)
    for f in range(len(FIELDS)):
        slot = row[R_FIELD + f]
        if slot >= 0:
            _label_write(state.field_label[f * SLOTS + slot], row[R_TIME], known_at, fraud)


@kernel
def observe_rows(state, rows, arrivals, outs, start, stop, labels, count):
    """`observe` with `take` for a stretch of rows, and `learn` for the labels that fall due in it.

    Args:
        state: FeatureState, mutated.
        rows: int64[N, ROW]; the ids and links of the stretch are copied into it.
        arrivals: int64[N, graph.layout.WIDTH], the rows as the window took them in.
        outs: float32[N, F], overwritten from start to stop.
        start: First row.
        stop: Behind the last.
        labels: int64[at least count, LABEL_ROW], in order of `LABEL_KNOWN`; each is learned before
            the first row with which the watermark reaches it, and all before the stretch ends.
        count: How many labels.
    """
    learned = 0
    for i in range(start, stop):
        row, arrival = rows[i], arrivals[i]
        while learned < count and labels[learned, LABEL_KNOWN] <= arrival[WATERMARK]:
            label = labels[learned]
            learn(state, label, label[LABEL_KNOWN], float(label[LABEL_FRAUD]))
            learned += 1
        for k in range(5):
            row[R_USER + k] = arrival[USER + k]
        for k in range(3):
            for j in range(2):  # count and first: all that features need of the links
                row[R_LINK + 2 * k + j] = arrival[LINKS + 3 * k + j]
        _claim(state, row, row[R_TIME])
        read(state, row, outs[i])
        _write(state, row)
