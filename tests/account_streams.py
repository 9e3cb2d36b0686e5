"""Streams of what accounts, cards and merchants do, and the evidence that they leave."""

from collections.abc import Callable
from itertools import chain

from msgspec import structs

from graph.admission import Status
from graph.evidence import Evidence, Pattern
from graph.heuristics import catalogue
from graph.thresholds import Thresholds
from graph.transaction import Entity, EntityKind, Transaction
from graph.window import TransactionWindow
from tests.oracles import streams
from tests.oracles.streams import transaction

HOURS, DAYS = 60, 24 * 60  # in minutes
WEEKS = 7 * DAYS
# Weeks begin on Thursdays; the streams' first minute is late in one.
MONDAY = 5 * DAYS


def told(stream: list[Transaction], pattern: Pattern, **limits: float) -> list[Evidence]:
    """Evidence of one pattern while a stream arrives, all of which is accepted."""
    window, book, found = TransactionWindow(), catalogue(Thresholds(**limits)), []
    for tx in streams.ticking(stream):
        admission = window.add(tx)
        assert admission.status is Status.ACCEPTED
        found += book.detect(window, tx, admission)
    return [e for e in found if e.pattern is pattern]


def rows(*flows: tuple, start: int = 0, **fields: object) -> list[Transaction]:
    return [transaction(start + i, *flow, **fields) for i, flow in enumerate(flows)]


def user(name: str) -> Entity:
    return Entity(EntityKind.USER, name)


def owner(*last: tuple, history: int = 11, device: str = "own") -> list[Transaction]:
    """An owner who pays friends 100 from one device and address, then this happens."""
    stream = [
        transaction(
            n, n * 2 * HOURS, "a", f"friend{n % 2}", 100, device_id=device, ip_address="10.0.0.1"
        )
        for n in range(history)
    ]
    at = history * 2 * HOURS
    for n, (payee, value, device_id, ip) in enumerate(last):
        stream.append(
            transaction(history + n, at + n, "a", payee, value, device_id=device_id, ip_address=ip)
        )
    return stream


THEFT = ("thief", 301, "new", "10.9.9.9")


def together(*streams: list[Transaction]) -> list[Transaction]:
    """Streams in one order of time, each transaction with an id of its own."""
    ordered = sorted(chain(*streams), key=lambda tx: tx.timestamp)
    return [structs.replace(tx, transaction_id=f"t{n}") for n, tx in enumerate(ordered)]


def tries(
    n: int,
    *,
    declined: float = 0.5,
    gap: float = 0.5,
    value: Callable[[int], int] = lambda i: 100,
    start: float = 0,
    first: int = 0,
    **fields: object,
) -> list[Transaction]:
    """Attempts with a card each, from one user and device at one shop."""
    place = {"device_id": "rig", **fields}
    return [
        transaction(
            first + i,
            start + i * gap,
            "tester",
            "shop",
            value(i),
            declined=i % 10 < 10 * declined,
            card_id=f"card{first + i}",
            **place,
        )
        for i in range(n)
    ]


def names(n: int, *, each: int = 1, start: float = 0, **fields: object) -> list[Transaction]:
    """So many users of one device, card or address, one after the other."""
    return [
        transaction(
            i,
            start + i,
            f"name{i % n}",
            "shop",
            100,
            **{key: value.format(i % n) for key, value in fields.items()},
        )
        for i in range(n * each)
    ]
