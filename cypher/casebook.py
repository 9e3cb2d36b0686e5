"""A case to try the investigations on: a week in a small town with two rings in it.

What `docs/investigations.md` shows is answered from it, so that a page that explains a question
also shows what an answer looks like. Everybody in it is invented.

- *anna*, *boris* and *clara* pass money round in a circle, on one phone (ring `r-circle`, into
  which `r-phone` merged).
- *vera*, *walt* and *yusuf* are robbed; their money goes to *mike* and *nora*, on to *olga*, and
  out as cash and gift cards (ring `r-mules`). Olga sometimes borrows the circle's phone.
- *sam* sleeps for six weeks; then somebody guesses the limit of his card on a new phone.
- *fun-shop* has three customers who buy nowhere else, all on one tablet.
- *paul* and *rita* are ordinary, and know some of the others.
"""

from typing import Final

from cypher.ports import GraphBatch
from cypher.sink import graph_batch
from graph.evidence import Pattern, Role
from graph.rings import Alert, Ring, RingState
from graph.transaction import (
    DAY,
    HOUR,
    MINUTE,
    Entity,
    EntityKind,
    Money,
    Outcome,
    Transaction,
    TransactionType,
)

START: Final = 1_772_323_200_000
"""2026-03-01, midnight in UTC: day 0."""

# day, hour, minute, who, what, to whom, euros, device, card, address
_WEEK: Final = """
-42 10 00 sam   pays   grocer    31 d-sam   c-sam  10.0.0.9
  0 09 00 anna  sends  boris   5200 d-farm  -      10.0.0.7
  0 11 30 boris sends  clara   5000 d-farm  -      10.0.0.7
  0 14 00 clara sends  anna    4800 d-farm  -      10.0.0.7
  0 18 00 paul  pays   grocer    54 d-paul  c-paul 10.0.0.1
  1 08 00 rita  pays   grocer    23 d-rita  c-rita 10.0.0.1
  1 12 00 rita  sends  paul      40 d-rita  -      10.0.0.1
  1 19 00 paul  sends  anna      60 d-paul  -      10.0.0.1
  2 09 00 anna  sends  boris   3100 d-farm  -      10.0.0.7
  2 10 00 boris sends  clara   3000 d-farm  -      10.0.0.7
  2 11 00 clara sends  anna    2900 d-farm  -      10.0.0.7
  2 12 00 boris pays   gift-cards 90 d-farm c-bo   10.0.0.7
  3 09 10 vera  sends  mike     900 d-vera  -      10.0.0.2
  3 09 25 walt  sends  mike     950 d-walt  -      10.0.0.3
  3 09 40 yusuf sends  nora     990 d-yusuf -      10.0.0.4
  3 10 30 mike  sends  olga    1750 d-mike  -      10.0.0.8
  3 10 45 nora  sends  olga     940 d-nora  -      10.0.0.8
  3 11 30 olga  cashes -       2000 d-olga  -      10.0.0.8
  3 12 10 olga  pays   gift-cards 600 d-farm c-olga 10.0.0.7
  4 15 00 rita  pays   gift-cards 25 d-rita c-rita 10.0.0.1
  4 16 00 mike  sends  paul      20 d-mike  -      10.0.0.8
  5 10 00 tim   pays   fun-shop  19 d-tab   c-tim  10.0.0.6
  5 10 20 uma   pays   fun-shop  19 d-tab   c-tim  10.0.0.6
  5 10 40 xena  pays   fun-shop  19 d-tab   c-xena 10.0.0.6
  5 13 00 paul  pays   fun-shop  29 d-paul  c-paul 10.0.0.1
  6 02 00 sam   tries  gift-cards 999 d-new c-sam  10.9.9.9
  6 02 02 sam   tries  gift-cards 899 d-new c-sam  10.9.9.9
  6 02 04 sam   tries  gift-cards 699 d-new c-sam  10.9.9.9
  6 02 06 sam   pays   gift-cards 499 d-new c-sam  10.9.9.9
  6 02 09 sam   pays   gift-cards 490 d-new c-sam  10.9.9.9
  6 02 12 sam   sends  mike      495 d-new  -      10.9.9.9
"""

_TYPES: Final = {
    "pays": TransactionType.PAYMENT,
    "tries": TransactionType.PAYMENT,
    "sends": TransactionType.TRANSFER,
    "cashes": TransactionType.WITHDRAWAL,
}


def transactions() -> list[Transaction]:
    """The week, in order."""
    return [_transaction(n, line.split()) for n, line in enumerate(_WEEK.split("\n")[1:-1], 1)]


def _transaction(number: int, told: list[str]) -> Transaction:
    day, hour, minute, who, what, to, euros, device, card, address = told
    cents = int(euros) * 100
    return Transaction(
        transaction_id=f"t-{number:02}",
        timestamp=START + int(day) * DAY + int(hour) * HOUR + int(minute) * MINUTE,
        type=_TYPES[what],
        amount=Money(cents, "EUR"),
        value=cents,
        user_id=who,
        counterparty_id=to if what == "sends" else None,
        merchant_id=to if what in ("pays", "tries") else None,
        device_id=device,
        card_id=None if card == "-" else card,
        ip_address=address,
        outcome=Outcome.DECLINED if what == "tries" else Outcome.AUTHORISED,
    )


def batch() -> GraphBatch:
    """Everything of the case, for `GraphStore.write`."""
    rings = (
        _ring(
            "r-circle",
            0.93,
            0.97,
            START + 14 * HOUR,
            START + 2 * DAY + 11 * HOUR,
            (Pattern.CYCLE, Pattern.SHARED_DEVICE),
            {"anna": Role.CONTROLLER, "boris": Role.MEMBER, "clara": Role.MEMBER},
            Entity(EntityKind.DEVICE, "d-farm"),
            ("t-02", "t-03", "t-04", "t-09", "t-10", "t-11"),
            aliases=("r-phone",),
        ),
        _ring(
            "r-mules",
            0.88,
            0.81,
            START + 3 * DAY + 10 * HOUR + 30 * MINUTE,
            START + 3 * DAY + 12 * HOUR + 10 * MINUTE,
            (Pattern.MULE, Pattern.FAN_IN),
            {
                "vera": Role.VICTIM,
                "walt": Role.VICTIM,
                "yusuf": Role.VICTIM,
                "mike": Role.MULE,
                "nora": Role.MULE,
                "olga": Role.CASH_OUT,
            },
            Entity(EntityKind.DEVICE, "d-farm"),
            ("t-13", "t-14", "t-15", "t-16", "t-17", "t-18"),
        ),
    )
    alerts = tuple(
        Alert(
            alert_id=f"a-{ring.ring_id[2:]}",
            ring_id=ring.ring_id,
            revision=ring.revision,
            at=ring.born_at,
            headline=headline,
            score=ring.score,
            likelihood=ring.likelihood,
            money=ring.money,
            member_count=len(ring.core),
            patterns=ring.patterns,
            policy_version="casebook",
        )
        for ring, headline in zip(
            rings,
            ("A circle of three on one phone", "Two mules between three victims and cash"),
            strict=True,
        )
    )
    moved = graph_batch([(each, None) for each in transactions()])
    return GraphBatch(moved.movements, rings, alerts)


def _ring(
    ring_id: str,
    score: float,
    likelihood: float,
    born_at: int,
    changed_at: int,
    patterns: tuple[Pattern, ...],
    people: dict[str, Role],
    shared: Entity,
    witness: tuple[str, ...],
    aliases: tuple[str, ...] = (),
) -> Ring:
    members = ((Entity(EntityKind.USER, name), role) for name, role in people.items())
    return Ring(
        ring_id=ring_id,
        revision=len(witness),
        state=RingState.ACTIVE,
        born_at=born_at,
        changed_at=changed_at,
        members=(*members, (shared, Role.SHARED)),
        patterns=patterns,
        score=score,
        money=sum(t.value for t in transactions() if t.transaction_id in witness),
        transactions=witness,
        evidence=(f"e-{ring_id}",),
        aliases=aliases,
        likelihood=likelihood,
    )


CALLS: Final[dict[str, dict[str, str | int]]] = {
    "alert-evidence": {"alert": "a-mules"},
    "common-counterparties": {"ring_a": "r-circle", "ring_b": "r-mules"},
    "first-contact": {"user": "paul", "ring": "r-mules"},
    "linked-rings": {"ring": "r-circle"},
    "ring-cash-flow": {"ring": "r-mules"},
    "ring-members": {"ring": "r-mules"},
    "ring-of-user": {"user": "olga"},
    "ring-payments": {"ring": "r-circle"},
    "fan-in": {"user": "mike"},
    "fan-in-collectors": {"least": 2},
    "fan-out": {"user": "sam"},
    "fan-out-distributors": {"hours": 720, "least": 2},
    "layering": {"source": "vera", "target": "olga", "since": "2026-03-04T00:00:00Z"},
    "money-trail": {"source": "vera", "target": "olga"},
    "money-trail-backward": {"user": "olga"},
    "money-trail-forward": {"user": "vera"},
    "mule-feeder-tree": {"user": "olga"},
    "pass-through": {"hours": 6},
    "round-trips": {"user": "anna"},
    "shortest-money-routes": {"source": "vera", "target": "paul"},
    "structuring": {"limit": 50_000},
    "accounts-sharing-device": {"device": "d-farm"},
    "risky-identifiers": {},
    "shared-cards": {},
    "shared-devices": {},
    "shared-identifiers": {"user": "olga"},
    "shared-ips": {"most": 5},
    "single-link-accounts": {"user": "nora"},
    "community-of-user": {"user": "paul"},
    "declined-then-success": {},
    "dormant-then-burst": {},
    "fraud-rank": {},
    "neighbourhood": {"user": "paul"},
    "new-devices": {"user": "sam"},
    "path-between": {"source": "vera", "target": "anna", "hops": 6},
    "risk-within-two-hops": {"user": "rita"},
    "merchant-isolated-buyers": {"merchant": "fun-shop"},
    "rings-at-merchant": {"merchant": "gift-cards"},
    "entity-timeline": {"entity": "d-farm", "kind": "Device"},
    "what-changed": {"since": "2026-03-04T00:00:00Z"},
}
"""What the page asks of it, by investigation."""
