"""What must hold when the dust has settled: nothing lost, nothing doubled, everything equal.

The journal of the run says in which order the detector saw the transactions, and what it knew of
the lists at each. A detector that was never interrupted is fed in that order; all it says must be
what the log, the graph database, the cache and the clients of the run were told.
"""

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from neo4j import GraphDatabase
from traffic import Ledger

from api.views import Views
from api.wiring import detector
from cypher.sink import GraphSink
from cypher.store import Neo4jStore
from graph.errors import InvalidInput
from graph.lists import ListName
from graph.transaction import ACCOUNTS, Transaction
from ingest import list_changes, records
from ingest.cache_sink import CacheFeed
from ingest.codec import decode
from ingest.currencies import EXPONENTS, RateTable
from ingest.ports import Log, Record, Topic
from ingest.recovery import fetch, place
from ingest.sinks import scored
from ingest.stream import CONSUMER
from scorer.cache.guarded import GuardedCache
from scorer.cache.local import LocalCache
from scorer.cache.port import Cache, Found, Frontier, Shelf
from scorer.cache.profiles import key_of
from scorer.cache.shared import SharedCache
from scorer.cache.thread import CacheThread
from scorer.verdict import Verdict

PAGE: Final = 512
SHOWN: Final = 5
"""Examples a violation names."""


class Judge:
    """Reads the log of a run once, and says what is wrong with it."""

    def __init__(self, log: Log, rates: RateTable, ledger: Ledger) -> None:
        self._log = log
        self._rates = rates
        self._decode = partial(decode, rates=rates, now=None)
        self._ledger = ledger
        self.violations: list[str] = list(ledger.violations)
        self.figures: dict[str, int] = {}
        self.journal = list(everything(log, Topic.VERDICTS))
        self.lines = [records.decode(r.value, records.VerdictRecord) for r in self.journal]
        self._inputs: dict[tuple[Topic, int, int], Record] = {}
        for start in range(0, len(self.lines), PAGE):
            self._inputs.update(fetch(log, self.lines[start : start + PAGE]))

    def judge(self) -> None:
        """Everything but the graph and the cache."""
        self._complete()
        self._equal()
        self._answers()
        self._letters()

    def wrong(self, what: str, which: Sequence[object] = ()) -> None:
        shown = f": {', '.join(map(str, which[:SHOWN]))}" if which else ""
        self.violations.append(f"{what}{f' ({len(which)})' if which else ''}{shown}")

    # -- (a) each transaction one verdict ---------------------------------------------------------

    def _complete(self) -> None:
        sent = Counter[str]()
        for partition in range(self._log.partitions(Topic.TRANSACTIONS)):
            for record in everything(self._log, Topic.TRANSACTIONS, partition):
                transaction = self._understood(record)
                if transaction is not None:
                    sent[transaction.transaction_id] += 1
        lost = sorted(self._ledger.produced - sent.keys())
        if lost:
            self.wrong("acknowledged by the broker and not there", lost)
        expected = sent.keys() | self._ledger.submitted
        said = Counter(line.verdict.transaction_id for line in self.lines)
        self.figures |= {
            "transactions": len(expected),
            "stream records": sum(sent.values()),
            "verdicts": len(self.lines),
            "losses": len(expected - said.keys()),
            "doubles": sum(count - 1 for count in said.values()),
        }
        if missing := sorted(expected - said.keys()):
            self.wrong("no verdict", missing)
        if extra := sorted(said.keys() - expected):
            self.wrong("a verdict of what nobody sent", extra)
        if doubled := sorted(name for name, count in said.items() if count > 1):
            self.wrong("two verdicts", doubled)
        places = Counter(place(line) for line in self.lines)
        if twice := [each for each, count in places.items() if count > 1]:
            self.wrong("an input answered twice", twice)
        submissions = sum(1 for _ in everything(self._log, Topic.SUBMISSIONS))
        answered = sum(line.topic is Topic.SUBMISSIONS for line in self.lines)
        if submissions != answered:
            self.wrong(f"{submissions} submissions in the log, {answered} in the journal")

    def _understood(self, record: Record) -> Transaction | None:
        try:
            return self._decode(record.value)
        except InvalidInput:
            return None

    # -- (b) what an uninterrupted detector says --------------------------------------------------

    def _equal(self) -> None:
        one = detector()
        facts = list(everything(self._log, Topic.LISTS))
        told = 0
        differing: list[str] = []
        rings: list[bytes] = []
        alerts: list[bytes] = []
        start = 0
        while start < len(self.lines):
            known = self.lines[start].known.get(Topic.LISTS, 0)
            end = start
            while (
                end < min(len(self.lines), start + PAGE)
                and self.lines[end].known.get(Topic.LISTS, 0) == known
            ):
                end += 1
            while told < len(facts) and facts[told].offset < known:
                with contextlib.suppress(InvalidInput):  # those became dead letters
                    one.refer(list_changes.read(facts[told].value))
                told += 1
            self._same(one, start, end, differing, rings, alerts)
            start = end
        if differing:
            self.wrong("verdicts an uninterrupted detector says otherwise", differing)
        for topic, expected in ((Topic.RINGS, rings), (Topic.ALERTS, alerts)):
            found = [record.value for record in everything(self._log, topic)]
            self.figures[f"{topic}"] = len(found)
            if found != expected:
                more = Counter(found) - Counter(expected)
                less = Counter(expected) - Counter(found)
                self.wrong(
                    f"{topic}: {more.total()} too many, {less.total()} too few, "
                    f"{'in another order' if not more and not less else 'of other content'}"
                )
        self.figures["degraded by cache"] = sum("cache" in x.verdict.degraded for x in self.lines)

    def _same(
        self,
        one: Any,
        start: int,
        end: int,
        differing: list[str],
        rings: list[bytes],
        alerts: list[bytes],
    ) -> None:
        lines = self.lines[start:end]
        verdicts = one.observe_batch(
            [self._decode(self._inputs[place(line)].value) for line in lines]
        )
        for line, record, verdict in zip(lines, self.journal[start:end], verdicts, strict=True):
            again = msgspec.structs.replace(line, verdict=records.verdict_fields(verdict))
            value = record.value
            if "cache" in line.verdict.degraded:  # says what was out of reach, not what was found
                kept = tuple(each for each in line.verdict.degraded if each != "cache")
                fields = msgspec.structs.replace(line.verdict, degraded=kept)
                value = records.encode(msgspec.structs.replace(line, verdict=fields))
            if records.encode(again) != value or record.key != verdict.transaction_id:
                differing.append(f"{record.offset} {verdict.transaction_id}")
            for event in verdict.ring_events:
                cause = verdict.transaction_id
                rings.append(records.encode(records.ring_event_record(cause, event)))
                if event.alert is not None:
                    alerts.append(records.encode(records.alert_record(cause, event.alert)))

    # -- (c) what clients were told ----------------------------------------------------------------

    def _answers(self) -> None:
        show = shown(self._rates)
        by_name = {line.verdict.transaction_id: line for line in self.lines}
        wrong = [
            name
            for name, body in self._ledger.answers.items()
            if name not in by_name or show(by_name[name].to_verdict()) != body
        ]
        self.figures["HTTP answers"] = len(self._ledger.answers)
        if wrong:
            self.wrong("answers that are not the journal's", wrong)
        if unanswered := sorted(self._ledger.submitted - self._ledger.answers.keys()):
            self.wrong("submitted and never answered", unanswered)

    # -- (f) dead letters --------------------------------------------------------------------------

    def _letters(self) -> None:
        poison = {
            (Topic.TRANSACTIONS, partition, record.offset)
            for partition in range(self._log.partitions(Topic.TRANSACTIONS))
            for record in everything(self._log, Topic.TRANSACTIONS, partition)
            if self._understood(record) is None
        }
        bad = {
            (Topic.LISTS, 0, record.offset)
            for record in everything(self._log, Topic.LISTS)
            if record.value.startswith(b"no decision")
        }
        if len(poison) < self._ledger.poison or len(bad) < self._ledger.bad_lists:
            self.wrong("planted poison that is not in the log")
        found = Counter(
            (letter.topic, letter.partition, letter.offset)
            for record in everything(self._log, Topic.DEAD_LETTERS)
            for letter in [records.decode(record.value, records.DeadLetterRecord)]
            if letter.consumer == CONSUMER
        )
        others = sum(1 for _ in everything(self._log, Topic.DEAD_LETTERS)) - found.total()
        if others:
            self.wrong(f"{others} dead letters of sinks")
        self.figures |= {
            "dead letters": found.total(),
            "poison planted": len(poison),
            "bad lists planted": len(bad),
        }
        if missing := sorted((poison | bad) - found.keys()):
            self.wrong("poison without a dead letter", missing)
        if extra := sorted(found.keys() - poison - bad):
            self.wrong("dead letters of what is no poison", extra)
        if twice := sorted(each for each, count in found.items() if count > 1):
            self.wrong("two dead letters", twice)

    # -- (d) the graph -----------------------------------------------------------------------------

    def graph(self, url: str, user: str, password: str) -> None:
        """Compare the graph with one written from the journal at one go, in the same database."""
        found = contents(url, user, password)
        emptied(url, user, password)
        store = Neo4jStore(url, user=user, password=password)
        try:
            sink, load = GraphSink(store), scored(self._log, self._decode)
            store.feed_from(self._log.identity)
            for start in range(0, len(self.journal), PAGE):
                page = self.journal[start : start + PAGE]
                sink.write([row for _, row in load(page)], offset=page[-1].offset + 1)
        finally:
            store.close()
        expected = contents(url, user, password)
        self.figures |= {"graph nodes and relationships": expected.total()}
        if found != expected:
            more, less = found - expected, expected - found
            self.wrong(f"the graph: {more.total()} too many, e.g.", list(more))
            self.wrong(f"the graph: {less.total()} too few, e.g.", list(less))

    # -- (e) the cache -----------------------------------------------------------------------------

    def cache(self, url: str) -> None:
        """Compare the cache with one that was filled at one go."""
        keys = self._cache_keys()
        shared = GuardedCache(SharedCache(url, wall))
        found = self._cached(shared, keys, fill=False)
        expected = self._cached(
            GuardedCache(LocalCache(time.monotonic, wall, most=10_000_000)), keys, fill=True
        )
        self.figures["cache values"] = sum(value is not None for value in expected.values())
        if wrong := sorted(key for key in expected if expected[key] != found.get(key)):
            self.wrong("the cache holds other values", wrong)

    def _cache_keys(self) -> dict[Shelf, list[str]]:
        entities = {
            entity
            for record in self._inputs.values()
            for entity in self._decode(record.value).entities
        }
        some = sorted(entities, key=key_of)[:: max(1, len(entities) // 2_000)]
        return {
            Shelf.PROFILE: [key_of(each) for each in some],
            Shelf.AGGREGATE: [key_of(each) for each in some if each.kind in ACCOUNTS],
            Shelf.ANSWER: [line.verdict.transaction_id for line in self.lines[::50]],
        }

    def _cached(
        self, cache: GuardedCache, keys: dict[Shelf, list[str]], *, fill: bool
    ) -> dict[str, bytes | None]:
        thread = CacheThread(cache)
        thread.start()
        try:
            if fill:
                load = scored(self._log, self._decode)
                feed = CacheFeed(self._log, load, thread, shown(self._rates), wall=wall)
                while not feed.step():
                    pass
            result: dict[str, bytes | None] = {}
            for shelf, names in keys.items():
                for start in range(0, len(names), PAGE):
                    some = names[start : start + PAGE]
                    answer = thread.ask(partial(_fetched, shelf=shelf, keys=some)).result(30)
                    for name, held in zip(some, answer.values, strict=True):
                        result[f"{shelf} {name}"] = None if held is None else held.value
            listed = self._list_keys()
            answer = thread.ask(partial(_listed, keys=listed)).result(30)
            if answer.frontier is None:
                self.wrong("the cache's register of the lists is not there")
            for name, held in zip(listed, answer.values, strict=True):
                result[f"list {name}"] = None if held is None else held.value
            return result
        finally:
            thread.stop()

    def _list_keys(self) -> list[str]:
        found = set()
        for record in everything(self._log, Topic.LISTS):
            try:
                change = list_changes.read(record.value)
            except InvalidInput:
                continue
            found |= {f"{name.value}:{key_of(change.entity)}" for name in ListName}
        return sorted(found)


async def _fetched(cache: Cache, *, shelf: Shelf, keys: list[str]) -> Found:
    return await cache.fetch(shelf, keys)


async def _listed(cache: Cache, *, keys: list[str]) -> Found:
    return await cache.listed(keys)


def frontier(url: str) -> Frontier | None:
    """How far the cache has come."""
    thread = CacheThread(GuardedCache(SharedCache(url, wall)))
    thread.start()
    try:
        return thread.ask(lambda cache: cache.frontier()).result(5)
    finally:
        thread.stop()


def wall() -> int:
    return time.time_ns() // 1_000_000


def shown(rates: RateTable) -> Callable[[Verdict], bytes]:
    """A verdict as the API answers it."""
    views = Views(rates.base, EXPONENTS[rates.base])
    return lambda verdict: msgspec.json.encode(views.verdict(verdict))


def everything(log: Log, topic: Topic, partition: int = 0) -> Iterator[Record]:
    """All records of a partition."""
    offset = 0
    while page := log.read(topic, partition, offset, PAGE):
        yield from page
        offset = page[-1].offset + 1


def contents(url: str, user: str, password: str) -> Counter[str]:
    """Every node and relationship of a Neo4j, with all properties; not how it was migrated."""
    nodes = "MATCH (n) WHERE NOT n:Migration RETURN labels(n), properties(n)"
    edges = "MATCH (a)-[r]->(b) RETURN type(r), properties(r), labels(a), a.id, labels(b), b.id"
    found: Counter[str] = Counter()
    with (
        GraphDatabase.driver(url, auth=(user, password)) as driver,
        driver.session(database="neo4j") as session,
    ):
        for statement in (nodes, edges):
            for row in session.run(statement):
                found[json.dumps(row.values(), sort_keys=True, default=str)] += 1
    return found


def emptied(url: str, user: str, password: str) -> None:
    with GraphDatabase.driver(url, auth=(user, password)) as driver:
        for statement in (
            "MATCH ()-[r]->() WITH r LIMIT 10000 DELETE r",
            "MATCH (n) WHERE NOT n:Migration WITH n LIMIT 10000 DETACH DELETE n",
        ):
            while driver.execute_query(
                statement, database_="neo4j"
            ).summary.counters.contains_updates:
                pass
