"""`ringfence bench window`: temporal cycles in a sliding day, ours against `networkx`.

Both hold the same window and search every transaction for the same cycles: strictly increasing
times, at most six hops, hop ratio 0.7 to 1.05. The alternative is careful: it prunes by time and
amount on the way back, stops where the payee has sent nothing, and keeps no path it cannot close.
Ours stops after 2,000 edges scanned, or eight cycles, and says so. The alternative has no such
bound on the even stream; among supernodes it would not end, so there it stops after 2,000 edges
as well.

The alternative is too slow for the whole stream, so both are timed on its last part, with the same
full window behind them, for at most `budget_s` seconds each.
"""

import math
import time
from collections import deque
from itertools import islice
from typing import Any, Final

import networkx as nx

from api.bench import collected_as_served, time_each
from api.bench.streams import even_stream, hub_stream
from graph.heuristics import Cycles, Thresholds
from graph.transaction import DAY, Transaction
from graph.window import TransactionWindow

_TIMED: Final = 20_000


class OurCycles:
    """The window and the cycle heuristic, one call a transaction."""

    def __init__(self) -> None:
        self.window = TransactionWindow()
        self.heuristic = Cycles(Thresholds())
        self.searched = self.truncated = 0
        self.found: list[tuple[str, ...]] = []

    def add(self, tx: Transaction) -> None:
        """Take a transaction in without searching."""
        self.window.add(tx)

    def add_and_search(self, tx: Transaction) -> None:
        """Take a transaction in and find the cycles it closes."""
        result = self.heuristic.search(self.window, self.window.add(tx).position)
        self.searched += 1
        self.truncated += result.truncated
        for cycle in result.cycles:
            self.found.append(tuple(self.window.transaction_id(p) for p in cycle))


class NetworkxCycles:
    """The same with a `networkx.MultiDiGraph` and a queue for eviction."""

    def __init__(self, thresholds: Thresholds, scan: float) -> None:
        self.limits = thresholds
        self.scan = scan
        self.scanned = 0
        self.graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
        self.queue: deque[tuple[int, str, str, str]] = deque()
        self.found: list[tuple[str, ...]] = []

    def add(self, tx: Transaction) -> None:
        """Take a transaction in and evict what is older than a day."""
        payee = str(tx.counterparty_id)
        while self.queue and self.queue[0][0] < tx.timestamp - DAY:
            _, source, target, key = self.queue.popleft()
            self.graph.remove_edge(source, target, key)
        self.graph.add_edge(
            tx.user_id, payee, key=tx.transaction_id, time=tx.timestamp, value=tx.value
        )
        self.queue.append((tx.timestamp, tx.user_id, payee, tx.transaction_id))

    def add_and_search(self, tx: Transaction) -> None:
        """Take a transaction in and find the cycles it closes."""
        self.add(tx)
        home = str(tx.counterparty_id)
        self.scanned = 0
        if self.graph.succ[home]:
            self._back(tx.user_id, tx.timestamp, tx.value, home, [tx.transaction_id], {tx.user_id})

    def _back(
        self, node: str, time: int, value: int, home: str, path: list[str], visited: set[str]
    ) -> None:
        least, most = self.limits.cycle_ratio_least, self.limits.cycle_ratio_most
        for source, edges in self.graph.pred[node].items():
            if source in visited:
                continue
            for key, edge in edges.items():
                self.scanned += 1
                if self.scanned > self.scan:
                    return
                if edge["time"] >= time or not least <= value / edge["value"] <= most:
                    continue
                if source == home:
                    self.found.append((key, *reversed(path)))
                elif len(path) + 1 < self.limits.cycle_hops:
                    visited.add(source)
                    path.append(key)
                    self._back(source, edge["time"], edge["value"], home, path, visited)
                    path.pop()
                    visited.discard(source)


def bench_window(
    *, edges: int, accounts: int, hub: bool, seed: int = 1, budget_s: float = 30.0
) -> dict[str, Any]:
    """Run both and compare; figures by their published names."""
    stream = (hub_stream if hub else even_stream)(edges, accounts, seed=seed)
    timed = stream[-min(_TIMED, edges // 4) :]
    before = stream[: -len(timed)]

    ours = OurCycles()
    for tx in before:
        ours.add_and_search(tx)
    ours.found.clear()
    our_timing = time_each(ours.add_and_search, timed, budget_s=budget_s)
    per_edge = ours.window.nbytes / len(ours.window)

    theirs = NetworkxCycles(Thresholds(), scan=Thresholds().cycle_scan if hub else math.inf)
    for tx in before:
        theirs.add(tx)
    their_timing = time_each(theirs.add_and_search, timed, budget_s=budget_s)
    closing = {tx.transaction_id for tx in islice(timed, their_timing.calls)}
    both = {cycle for cycle in ours.found if cycle[-1] in closing}
    return {
        "input": {
            "stream": "power law with supernodes" if hub else "even, with planted cycles",
            "edges": edges,
            "accounts": accounts,
            "windowed_edges": len(ours.window),
            "seed": seed,
        },
        "ours": our_timing.as_json()
        | {
            "batched_per_s": round(_batched(stream), 1),
            "bytes_per_edge": round(per_edge, 2),
            "truncated_share": round(ours.truncated / ours.searched, 6),
            "cycles_in_common_part": len(both),
        },
        "networkx": their_timing.as_json() | {"cycles_in_common_part": len(theirs.found)},
        "agreed": len(both & set(theirs.found)),
        "ratio": round(our_timing.per_s / their_timing.per_s, 2),
        "ratio_p50": round(their_timing.p50_us / our_timing.p50_us, 2),
    }


def _batched(stream: list[Transaction]) -> float:
    """Transactions a second in one uninterrupted run, window and search, no timer in between."""
    ours = OurCycles()
    with collected_as_served():
        start = time.perf_counter()
        for tx in stream:
            ours.add_and_search(tx)
        taken = time.perf_counter() - start
    return len(stream) / taken
