"""Suspects: recent transactions that were scored more likely fraud than not, and what joins them.

A shape takes time: a circle is none before it closes, a bust-out before the limit is spent. What
the model says of each transaction is known at once. One of which it is wrong is a chance; three
within a day that hang together, between several users, are seldom three chances.

Definition
    A suspect is an accepted transaction with a score of `LEAST_SCORE` or more. Two are joined where
    a user (either end), a device or a card takes part in both and they are no more than `WITHIN`
    apart from the newest; an address joins nobody, nor does a merchant, nor who is on the allow
    list. Told is each suspect whose
    joined ones are `LEAST_TRANSACTIONS` or more, of `LEAST_USERS` or more users, itself included.
    Strength is how likely at least two of them are fraud, were their scores independent: one is
    somebody's deed. Everybody at their ends is a member, and what two or more users shared.

Cost: nothing for what is no suspect; else O(REACH) joined ones, the newest first. Beyond, the
evidence says `truncated`, and beyond `MOST` suspects the oldest are forgotten.

It is evidence about scores, so no score is made of it: rings that are told hold it, the ring score
that a verdict is blended from does not know it (`scorer.told_rings`).

False positives
    Those of the model, where it is wrong of several at once: a family on a journey.
"""

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Self

import msgspec

from graph.evidence import Evidence, Hop, Pattern, Role
from graph.heuristics.witness import span_in_words
from graph.ring_index import Parties
from graph.snapshot import Snapshot, encode_state, pack, unpack
from graph.transaction import DAY, Entity, EntityKind
from graph.wording import counted

LEAST_SCORE: Final = 0.5
"""More likely fraud than not."""
WITHIN: Final = DAY
"""From half a day to three the same rings are told, but for one or two of a hundred."""
LEAST_TRANSACTIONS: Final = 3
LEAST_USERS: Final = 2
MOST: Final = 10_000
"""Suspects remembered."""
REACH: Final = 64
"""Suspects that one is joined with at most."""
WITNESS: Final = 32
"""Suspects that a piece shows, the newest."""
_SURE: Final = 0.999  # no score is a certainty
_KIND: Final = "suspects"
_VERSION: Final = 1


class Suspect(NamedTuple):
    """A transaction that was scored more likely fraud than not.

    Attributes:
        hop: It, as a witness shows it.
        score: Probability of fraud, at least `LEAST_SCORE`.
        user: Who made it.
        joins: Users at both ends, device and card.
    """

    hop: Hop
    score: float
    user: Entity
    joins: tuple[Entity, ...]

    @classmethod
    def of(cls, tx: Parties, hop: Hop, score: float) -> Self:
        """The suspect that is this transaction: who takes part in it, and its hop."""
        named = (
            (EntityKind.USER, tx.user_id),
            (EntityKind.USER, tx.counterparty_id),
            (EntityKind.DEVICE, tx.device_id),
            (EntityKind.CARD, tx.card_id),
        )
        joins = dict.fromkeys(Entity(kind, id_) for kind, id_ in named if id_ is not None)
        return cls(hop, score, Entity(EntityKind.USER, tx.user_id), tuple(joins))

    def without(self, allowed: Callable[[Entity], bool]) -> Self:
        """The same, joined by nobody of whom that is true: a payroll account makes no ring."""
        return self._replace(joins=tuple([each for each in self.joins if not allowed(each)]))


class Suspects:
    """Remembers suspects, and says which hang together."""

    def __init__(self) -> None:
        self._kept: dict[int, Suspect] = {}  # by number, in order of arrival
        self._joined: dict[Entity, dict[int, None]] = {}
        self._numbers = 0
        self._newest = 0

    def __len__(self) -> int:
        return len(self._kept)

    def note(self, suspect: Suspect, watermark: int) -> tuple[Evidence, ...]:
        """Take note of a suspect, and tell of it if enough hang together with it.

        Args:
            suspect: It.
            watermark: Event time as far as it has come, epoch ms. Who is too old for that is
                forgotten, not who is too old for a suspect that came from the future.
        """
        self._newest = max(self._newest, watermark)
        self._keep(suspect)
        self._forget()
        found, cut = self._linked(suspect)
        users = {e for each in found for e in each.joins if e.kind is EntityKind.USER}
        if len(found) < LEAST_TRANSACTIONS or len(users) < LEAST_USERS:
            return ()
        return (_evidence(found, suspect.hop.timestamp, cut=cut),)

    def snapshot(self) -> bytes:
        """The whole state; equal states give equal bytes."""
        kept = encode_state(list(self._kept.values()))
        values: dict[str, Any] = {"kept": kept, "newest": self._newest}
        return pack(_KIND, _VERSION, Snapshot(values, {}))

    @classmethod
    def restore(cls, data: bytes) -> Self:
        """Those that were remembered when the snapshot was taken.

        Raises:
            Incompatible: It is torn, altered, or of another version.
        """
        values = unpack(_KIND, _VERSION, data).values
        restored = cls()
        for suspect in msgspec.msgpack.decode(values["kept"], type=list[Suspect]):
            restored._keep(suspect)
        restored._newest = values["newest"]
        return restored

    def _keep(self, suspect: Suspect) -> None:
        self._kept[self._numbers] = suspect
        for entity in suspect.joins:
            self._joined.setdefault(entity, {})[self._numbers] = None
        self._numbers += 1

    def _forget(self) -> None:
        """Forget who is too old to be joined with the newest, and whoever there is no room for."""
        while self._kept:
            number, oldest = next(iter(self._kept.items()))
            if oldest.hop.timestamp >= self._newest - WITHIN and len(self._kept) <= MOST:
                break
            del self._kept[number]
            for entity in oldest.joins:
                numbers = self._joined[entity]
                del numbers[number]
                if not numbers:
                    del self._joined[entity]

    def _linked(self, suspect: Suspect) -> tuple[list[Suspect], bool]:
        """The suspects that hang together with one, by time; whether there are more."""
        now = suspect.hop.timestamp
        found: dict[int, Suspect] = {}
        asked: set[Entity] = set()
        waiting = deque(suspect.joins)
        while waiting:
            entity = waiting.popleft()
            if entity in asked:
                continue
            asked.add(entity)
            for number in reversed(self._joined.get(entity, {})):
                other = self._kept[number]
                if number in found or abs(other.hop.timestamp - now) > WITHIN:
                    continue
                if len(found) == REACH:
                    return _in_order(found), True
                found[number] = other
                waiting.extend(each for each in other.joins if each not in asked)
        return _in_order(found), False


def _in_order(found: dict[int, Suspect]) -> list[Suspect]:
    return sorted(found.values(), key=lambda each: (each.hop.timestamp, each.hop.transaction_id))


def _evidence(found: list[Suspect], at: int, *, cut: bool) -> Evidence:
    """What hangs together, as a piece; the account that is in most of it is its centre."""
    users: Counter[Entity] = Counter()
    used_by: dict[Entity, set[Entity]] = {}
    none, one = 1.0, 0.0  # how likely so many of them are fraud
    for each in found:
        score = min(each.score, _SURE)
        none, one = none * (1.0 - score), one * (1.0 - score) + none * score
        for entity in each.joins:
            if entity.kind is EntityKind.USER:
                users[entity] += 1
            else:
                used_by.setdefault(entity, set()).add(each.user)
    members = [(e, Role.MEMBER) for e in sorted(users, key=lambda e: (-users[e], e))]
    members += [(e, Role.SHARED) for e in sorted(used_by) if len(used_by[e]) >= LEAST_USERS]
    mean = sum(each.score for each in found) / len(found)
    shown = found[-WITNESS:]
    span = found[-1].hop.timestamp - found[0].hop.timestamp
    return Evidence(
        pattern=Pattern.LINKED_SUSPECTS,
        seen_at=at,
        members=tuple(members),
        hops=tuple(each.hop for each in shown),
        strength=1.0 - none - one,
        reason=(
            f"{counted(len(found), 'transaction')} of {counted(len(users), 'user')} within "
            f"{span_in_words(span)} hang together, each scored more likely fraud than not "
            f"({100 * mean:.0f} % in the mean)."
        ),
        facts={
            "transactions": float(len(found)),
            "users": float(len(users)),
            "score_mean": mean,
        },
        truncated=cut or len(shown) < len(found),
    )
