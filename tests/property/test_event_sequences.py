"""What a sequence model hears of a user is its last events, and nothing of what comes later."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnn.event_sequences import (
    LENGTH,
    STEP,
    STEPS,
    TYPES,
    WIDTH,
    Events,
    empty_state,
    recall,
    remember,
    schema_hash,
    sequences,
)
from graph.errors import InvalidInput
from tests.examples import examples

OTHERS = ("other", "device", "ip", "card")
INWARD = {"deposit", "refund"}


def drawn(seed: int, length: int, accounts: int = 4) -> tuple[Events, np.ndarray]:
    """Few accounts and identifiers, some ids given out anew, clocks that sometimes go back."""
    rng = np.random.default_rng(seed)
    who = np.zeros((length, 10), np.int64)
    who[:, 0] = rng.integers(0, accounts, length)
    who[:, 1] = rng.integers(-1, accounts, length)
    who[:, 2:5] = rng.integers(-1, 3, (length, 3))
    who[:, 5:] = (np.arange(length)[:, None] > rng.integers(0, 2 * length, (1, 5))).astype(np.int64)
    who[:, 6] = np.where(who[:, 1] >= 0, who[:, 5], 0)  # accounts are of one space
    time = 1_700_000_000_000 + np.cumsum(rng.integers(-600_000, 20_000_000, length))
    odds = rng.normal(size=length)
    odds[rng.random(length) < 0.2] = np.nan
    return (
        Events(
            who,
            time.astype(np.int64),
            rng.exponential(5, length).astype(np.float32),
            rng.integers(0, len(TYPES), length),
            rng.integers(0, 3, length).astype(np.int32),
            rng.random(length) < 0.2,
        ),
        odds,
    )


def told_of(events: Events, i: int, role: int, before: list[dict]) -> dict:
    """An event as one of its accounts has it: what it says of itself, and of what was before."""
    who, name = events.who[i], TYPES[events.type[i]]
    parties = [(who[5 + p], who[p]) if who[p] >= 0 else None for p in range(5)]
    keys = [parties[0], None, None, None] if role else parties[1:]
    time = int(events.time[i])
    gap = math.log1p(max(0, time - before[-1]["time"]) / 3_600_000) if before else math.nan
    met = [{e["keys"][place] for e in before} for place in range(4)]
    return {
        "there": 1.0,
        "gap": gap,
        "value": float(events.value[i]),
        "inward": float((name in INWARD) != bool(role)),
        "named": float(role),
        "declined": float(events.declined[i]),
        **{f"is_{kind}": float(kind == name) for kind in TYPES},
        **{
            f"new_{other}": float(key is not None and key not in seen)
            for other, key, seen in zip(OTHERS, keys, met, strict=True)
        },
        "time": time,
        "keys": keys,
        "channel": events.channel[i],
        "type": name,
    }


def as_seen_from(now: dict, e: dict) -> dict:
    """An event beside the transaction that recalls it."""
    pairs = zip(OTHERS, now["keys"], e["keys"], strict=True)
    return e | {
        "age": math.log1p(max(0, now["time"] - e["time"]) / 3_600_000),
        "to_now": e["value"] - now["value"],
        "same_type": float(e["type"] == now["type"]),
        "same_channel": float(e["channel"] == now["channel"]),
        **{f"same_{o}": 0.0 if None in (a, b) else 2.0 * (a == b) - 1.0 for o, a, b in pairs},
    }


def plainly(events: Events, odds: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """The sequences of rows, in their order, by going through all that came before with lists."""
    kept: dict[int, tuple[int, list[dict]]] = {}

    def before_of(account: int, generation: int) -> list[dict]:
        under, past = kept.get(account, (generation, []))
        return past[-LENGTH:] if under == generation else []

    def sequence(row: int) -> np.ndarray:
        past = before_of(events.who[row, 0], events.who[row, 5])
        now = told_of(events, row, 0, past) | {"log_odds": math.nan}
        out = np.zeros((STEPS, WIDTH))
        for place, e in zip(range(STEPS - len(past) - 1, STEPS), [*past, now], strict=True):
            seen = as_seen_from(now, e)
            out[place] = [seen[name] for name in STEP]
        return out

    found = []
    for i in range(int(rows[-1]) + 1):
        if i in rows:
            found.append(sequence(i))
        for role, account, generation in zip(
            (0, 1), events.who[i], events.who[i, 5:], strict=False
        ):
            if account >= 0 and not (role and account == events.who[i, 0]):
                past = before_of(account, generation)
                told = told_of(events, i, role, past) | {"log_odds": odds[i]}
                kept[account] = generation, [*past, told]
    return found


@pytest.mark.slow
@settings(max_examples=examples(40))
@given(st.integers(0, 10**6), st.integers(1, 70))
def test_a_sequence_is_what_going_through_the_past_gives(seed, length):
    events, odds = drawn(seed, length)
    rows = np.unique(np.random.default_rng(seed).integers(0, length, 8)).astype(np.intp)
    found = sequences(events, odds, rows)
    for place, expected in enumerate(plainly(events, odds, rows)):
        np.testing.assert_allclose(found[place], expected, rtol=2e-3, atol=2e-3, equal_nan=True)


@settings(max_examples=examples(40))
@given(st.integers(0, 10**6), st.integers(2, 90))
def test_nothing_later_reaches_a_sequence_and_neither_does_the_own_score(seed, length):
    events, odds = drawn(seed, length)
    other, other_odds = drawn(seed + 1, length)
    since = int(np.random.default_rng(seed).integers(1, length))
    poison = Events(
        *(
            np.concatenate([mine[:since], theirs[since:]])
            for mine, theirs in zip(events, other, strict=True)
        )
    )
    last = since - 1  # what is said of it is known only after it has recalled
    poisoned_odds = np.concatenate([odds[:last], other_odds[last:]])
    rows = np.arange(since, dtype=np.intp)
    np.testing.assert_array_equal(
        sequences(poison, poisoned_odds, rows), sequences(events, odds, rows)
    )


def test_a_stream_recalls_what_training_is_given():
    events, odds = drawn(5, 120)
    state, out = empty_state(4), np.zeros((STEPS, WIDTH), np.float32)
    served = []
    for i in range(120):
        event = Events(*(column[i : i + 1] for column in events))
        recall(state, event, 0, out)
        served.append(out.astype(np.float16))
        remember(state, event, 0, odds[i])
    np.testing.assert_array_equal(sequences(events, odds, np.arange(120)), served)
    assert max(int(step[:, 0].sum()) for step in served) == STEPS


def test_some_rows_are_cut_as_all_are_however_many_at_a_time():
    length = 4_200  # all of them are more than are cut at once
    events, odds = drawn(6, length)
    whole = sequences(events, odds, np.arange(length))
    some = np.array([0, 3, 4, 50, 99, 4_095, 4_096, 4_199])
    np.testing.assert_array_equal(sequences(events, odds, some), whole[some])
    assert sequences(events, odds, some[:0]).shape == (0, STEPS, WIDTH)


def test_rows_out_of_order_and_unknown_types_are_refused():
    events, odds = drawn(7, 10)
    with pytest.raises(InvalidInput, match="ascend"):
        sequences(events, odds, np.array([3, 2]))
    wrong = events._replace(type=np.full(10, 5))
    with pytest.raises(InvalidInput, match="from 0 to 4"):
        sequences(wrong, odds, np.array([3]))


def test_the_hash_says_which_columns_a_model_hears():
    assert schema_hash(("a", "b")) == schema_hash(("a", "b"))
    assert len({schema_hash(names) for names in (("a", "b"), ("b", "a"), ("a",), ())}) == 4
