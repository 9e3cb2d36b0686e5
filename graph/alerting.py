"""When a change of a ring is news: the rule that keeps an investigator from being told twice."""

from dataclasses import dataclass

import xxhash

from graph.rings import Alert, Ring
from graph.transaction import EntityKind
from graph.wording import counted, pattern_words


@dataclass(slots=True)
class AlertMemory:
    """What the last alert of a ring said."""

    users: int = 0
    money: int = 0
    patterns: int = 0


def told_of_part(ring: Ring, whole: AlertMemory) -> AlertMemory:
    """What was told of a part of a ring by what was told of the whole.

    No more than the part has, and no more than was told: so a split is no news, and what joins a
    part later is.
    """
    users = _users(ring)
    return AlertMemory(
        users=min(users, whole.users),
        money=min(ring.money, whole.money),
        patterns=min(len(ring.patterns), whole.patterns),
    )


def told_of_both(one: AlertMemory, other: AlertMemory) -> AlertMemory:
    """What was told of a ring that two rings became: the most that either alert said."""
    return AlertMemory(
        users=max(one.users, other.users),
        money=max(one.money, other.money),
        patterns=max(one.patterns, other.patterns),
    )


def alert_on(
    ring: Ring, told: AlertMemory, *, min_score: float, money_factor: float, policy_version: str
) -> Alert | None:
    """An alert if the ring's change is material, else None; remembers what it says in `told`.

    Material is a new user among the members, the fringe left out, a new typology, or money that
    has grown by `money_factor` since the last alert, in a ring that scores at least
    `min_score`. The id derives from ring, revision and policy version, so the same change always
    has the same alert.
    """
    users = _users(ring)
    material = (
        users > told.users
        or len(ring.patterns) > told.patterns
        or 0 < told.money * money_factor <= ring.money
    )
    if not material or ring.score < min_score:
        return None
    told.users, told.money, told.patterns = users, ring.money, len(ring.patterns)
    key = f"alert\x1f{ring.ring_id}\x1f{ring.revision}\x1f{policy_version}"
    return Alert(
        alert_id=xxhash.xxh3_64_hexdigest(key.encode()),
        ring_id=ring.ring_id,
        revision=ring.revision,
        at=ring.changed_at,
        headline=headline(ring),
        score=ring.score,
        money=ring.money,
        member_count=len(ring.core),
        patterns=ring.patterns,
        policy_version=policy_version,
        likelihood=ring.likelihood,
    )


def headline(ring: Ring) -> str:
    """One line on what the ring is: "Cycle and shared device among 5 users, 12 transactions"."""
    names = [pattern_words(each) for each in ring.patterns]
    seen = " and ".join([*filter(None, [", ".join(names[:-1])]), names[-1]])
    text = f"{seen} among {counted(_users(ring), 'user')}"
    if ring.transactions:
        text += f", {counted(len(ring.transactions), 'transaction')}"
    return text[0].upper() + text[1:]


def _users(ring: Ring) -> int:
    return sum(entity.kind is EntityKind.USER for entity in ring.core)
