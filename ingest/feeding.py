"""Feeding a log: transactions into its stream, at a pace.

Each goes to the partition of its user as Kafka's own producers would choose it, so that a user's
transactions stay in order, and whoever else writes with the default partitioner agrees.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Final

import xxhash
from aiokafka.partitioner import murmur2
from msgspec import structs

from graph.transaction import SECOND, Transaction
from ingest.codec import encode
from ingest.fields import LONGEST_ID
from ingest.ports import Log, Message, Topic

CHUNK: Final = 4_000
"""Transactions in hand at a time, and most of one append to all partitions."""
TICK_S: Final = 0.02
"""How often a paced feed sends what has become due."""
_USERS: Final = 200_000
"""Users whose partition is remembered."""


@lru_cache(maxsize=_USERS)
def partition_of(key: str, partitions: int) -> int:
    """Where Kafka's default partitioner puts a key: murmur2, its sign bit off, modulo."""
    return int(murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def feed(
    log: Log,
    transactions: Iterable[Transaction],
    *,
    rate: float,
    told: Callable[[int], None] = lambda _: None,
) -> int:
    """Append transactions to the stream; how many there were.

    Args:
        log: The log.
        transactions: In the order they are to be read.
        rate: Transactions a second, on the average since the beginning: a pause of the log is
            caught up. 0: as fast as the log takes them.
        told: Hears how many were appended until now, at least every `TICK_S` or `CHUNK`.

    Raises:
        Unavailable: The log does not take them; those told of are in it.
    """
    partitions = log.partitions(Topic.TRANSACTIONS)
    coming = iter(transactions)
    began = time.monotonic()
    sent = 0
    while True:
        due = CHUNK
        if rate > 0:
            due = min(CHUNK, int((time.monotonic() - began) * rate) - sent)
            if due < 1:
                wait = began + (sent + 1) / rate - time.monotonic()
                time.sleep(max(TICK_S, wait))
                continue
        chunk = list(islice(coming, due))
        if not chunk:
            return sent
        by_partition: dict[int, list[Message]] = defaultdict(list)
        for each in chunk:
            to = partition_of(each.user_id, partitions)
            message = Message(Topic.TRANSACTIONS, to, encode(each), each.user_id)
            by_partition[to].append(message)
        for messages in by_partition.values():
            log.append(messages)  # of one partition: no transaction is needed
        sent += len(chunk)
        told(sent)


def endlessly(begin: Callable[[], Iterable[Transaction]]) -> Iterator[Transaction]:
    """The same history again and again, each time later and under new ids.

    A second round begins a second of event time after the first has ended, and its ids end in
    "~2": to the window and the journal they are other transactions. Accounts are as old in it as
    they were.

    Args:
        begin: Begins it; it must be the same each time and in the order of event time.
    """
    number, shift = 1, 0
    while True:
        first, last = None, 0
        for each in begin():
            first = each.timestamp if first is None else first
            last = each.timestamp
            if number == 1:
                yield each
            else:
                yield structs.replace(
                    each,
                    transaction_id=_named_again(each.transaction_id, number),
                    timestamp=each.timestamp + shift,
                    user_created_at=None
                    if each.user_created_at is None
                    else each.user_created_at + shift,
                )
        if first is None:
            return
        number, shift = number + 1, shift + last - first + SECOND


def _named_again(id_: str, number: int) -> str:
    """An id of another round; of one that would be too long, a hash stands for the end."""
    name = f"{id_}~{number}"
    if len(name) <= LONGEST_ID:
        return name
    tail = f"~{xxhash.xxh3_64_hexdigest(id_.encode())}~{number}"
    return id_[: LONGEST_ID - len(tail)] + tail
