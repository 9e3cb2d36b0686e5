"""The chaos campaign: kill everything at random, then hold what is left to an uninterrupted run.

    python tests/chaos/campaign.py --seed 1 --kills 200
    python tests/chaos/campaign.py --seed 1 --kills 24 --short      # as in CI: under 3 minutes

It starts a Kafka, a Neo4j and a Redis of its own (deploy/local/servers), two `ringfence serve` of
which one leads, `ringfence sink graph` and `sink cache`, all of them started again when they die;
a producer into several partitions, and clients over HTTP. Whom it kills, how (SIGKILL, SIGSTOP with
a later SIGCONT, SIGTERM) and when follows from the seed; docs/reliability.md says what is judged.
Exit status 1 on any violation; the folder of a failed run is kept and named.
"""

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import judgement
from killing import Blow, Killer, plan, summary
from system import PREFIX, SERVES, USER, System
from traffic import Traffic, city

from graph.errors import Unavailable
from ingest.kafka import KafkaLog
from ingest.kafka_client import KafkaSettings
from ingest.mapping import load_mapping
from ingest.ports import Log, Topic
from ingest.stream import CONSUMER

DRAIN_S = 480.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, help="stop killing after so long")
    parser.add_argument("--short", action="store_true", help="small, quick, brokers back at once")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--rate", type=float, default=40.0, help="transactions a second")
    parser.add_argument("--pause", type=float, help="seconds between two kills, on average")
    parser.add_argument("--report", type=Path, help="write the figures here as JSON")
    parser.add_argument("--no-cache", action="store_true", help="without Redis's follower")
    parser.add_argument("--keep", action="store_true", help="keep the folder of a good run, too")
    return parser.parse_args()


def main(args: argparse.Namespace) -> int:
    for number in (signal.SIGTERM, signal.SIGINT):  # nothing may be left running
        signal.signal(number, lambda *_: sys.exit(130))
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:7.1f} {text}\n")
        sys.stdout.flush()

    folder = Path(tempfile.mkdtemp(prefix=f"ringfence-chaos-{args.seed}-"))
    say(f"seed {args.seed}, {args.kills} kills, folder {folder}")
    pause_s = args.pause or (1.6 if args.short else 4.0)
    budget_s = 60 * args.minutes if args.minutes else args.kills * pause_s * 8 + 120
    most = int(args.rate * min(budget_s, args.kills * pause_s * 4 + 60))
    world = city(args.seed, most, folder / "city")
    system = System(folder, partitions=args.partitions, say=say, cache=not args.no_cache)
    killer = Killer(system, say)
    violations: list[str] = []
    figures: dict[str, Any] = {}
    try:
        system.start()
        say(f"{system.watch.leader} leads")
        ports = [system.supervisor.workers[name].port or 0 for name in SERVES]
        traffic = Traffic(system.kafka, PREFIX, ports, world, seed=args.seed, rate=args.rate)
        traffic.start()
        figures["kill phase, s"] = round(dealt(killer, args, pause_s, budget_s), 1)
        violations += killer.violations
        for each in violations:
            say(f"VIOLATION {each}")
        say("the killing is over; what was sent is brought to an end")
        if traffic.exhausted:
            violations.append("the city was too small: nothing was sent at the end")
        traffic.finish(DRAIN_S)
        violations += judged(system, traffic, figures, say)
        _table(say, args, killer, traffic, figures, violations, began)
    finally:
        if hasattr(system, "watch"):
            system.end()
        system.stop_servers()
    if args.report:
        _report(args, killer, traffic, figures, violations, began)
    if violations or args.keep:
        say(f"kept: {folder} (seed {args.seed})")
    else:
        shutil.rmtree(folder)
    return 1 if violations else 0


def dealt(killer: Killer, args: argparse.Namespace, pause_s: float, budget_s: float) -> float:
    """Every blow of the plan, as far as the time allows; the seconds it took."""
    began = time.monotonic()
    for blow in plan(args.seed, args.kills, pause_s=pause_s, long=not args.short):
        if time.monotonic() - began > budget_s or killer.violations:
            break
        killer.deal(_possible(blow, killer.system))
    killer.settle()
    return time.monotonic() - began


def judged(
    system: System, traffic: Traffic, figures: dict[str, Any], say: Callable[[str], None]
) -> list[str]:
    """Wait for the end, end the workers, and say what is wrong."""
    log = KafkaLog(KafkaSettings(system.kafka, prefix=PREFIX))
    began = time.monotonic()
    violations = drained(log, system, say)
    figures["drain, s"] = round(time.monotonic() - began, 1)
    violations += system.end()
    say("judging")
    judge = judgement.Judge(log, _rates(), traffic.ledger)
    judge.judge()
    judge.graph(system.neo4j, USER, system.servers["neo4j"].secret)
    if system.cache:
        judge.cache(system.redis)
    figures |= judge.figures
    log.close()
    return violations + judge.violations


def _possible(blow: Blow, system: System) -> Blow:
    if blow.victim in system.servers or blow.victim in ("leader", "standby"):
        return blow
    known = blow.victim in system.supervisor.workers
    return blow if known else Blow("redis", blow.action, blow.after_s, blow.down_s)


def _rates() -> Any:
    return load_mapping("ringfence").rate_table


def drained(log: Log, system: System, say: Callable[[str], None]) -> list[str]:
    """Wait until the engine, the graph and the cache have come to the end of the log."""
    until = time.monotonic() + DRAIN_S
    waiting = ""
    while time.monotonic() < until:
        try:
            before, waiting = waiting, _behind(log, system)
        except Unavailable as error:
            before, waiting = waiting, str(error)
        if not waiting:
            return []
        if waiting != before:
            say(f"waiting for {waiting}")
        time.sleep(0.5)
    return [f"not drained in {DRAIN_S:g} s: {waiting}"]


def _behind(log: Log, system: System) -> str:
    for partition in range(log.partitions(Topic.TRANSACTIONS)):
        last = _end(log, Topic.TRANSACTIONS, partition)
        if log.committed(CONSUMER, Topic.TRANSACTIONS, partition) < last:
            return f"partition {partition}"
    verdicts = _end(log, Topic.VERDICTS, 0)
    store = judgement.Neo4jStore(system.neo4j, user=USER, password=system.servers["neo4j"].secret)
    try:
        if (store.offset() or 0) < verdicts:
            return "the graph"
    finally:
        store.close()
    if system.cache:
        found = judgement.frontier(system.redis)
        if found is None or not found.complete or found.verdicts < verdicts:
            return "the cache"
        if found.lists < _end(log, Topic.LISTS, 0):
            return "the cache's lists"
    return ""


def _end(log: Log, topic: Topic, partition: int) -> int:
    """After the last record; the broker's marks do not count."""
    following = log.bounds(topic, partition).next
    for back in (16, 256, 4096, following):
        page = log.read(topic, partition, max(0, following - back), 8192)
        if page:
            return page[-1].offset + 1
    return 0


def _table(
    say: Callable[[str], None],
    args: argparse.Namespace,
    killer: Killer,
    traffic: Traffic,
    figures: dict[str, Any],
    violations: list[str],
    began: float,
) -> None:
    ledger = traffic.ledger
    lines = [f"seed {args.seed}: {killer.kills} kills in {time.monotonic() - began:.0f} s"]
    by_victim: dict[str, Counter[str]] = {}
    for (victim, action), count in killer.done.items():
        by_victim.setdefault(victim, Counter())[action] += count
    for victim, counts in sorted(by_victim.items()):
        said = "  ".join(f"{action} {count}" for action, count in sorted(counts.items()))
        lines.append(f"  {victim:11} {counts.total():3d}  {said}")
    lines += ["  until another led:"] + [f"    {line}" for line in summary(killer.takeovers())]
    figures |= {
        "sent again by the producer": ledger.retries,
        "sent twice": ledger.doubled,
        "HTTP refusals": ledger.refusals,
        "HTTP answers asked for again": ledger.answered_again,
        "decisions about lists": ledger.lists,
    }
    lines += [f"  {name:32} {value}" for name, value in figures.items()]
    for worker in killer.system.supervisor.workers.values():
        said = ", ".join(f"{code}: {count}" for code, count in sorted(worker.exits.items()))
        lines.append(f"  exits of {worker.name:23} {said}")
    lines += [f"VIOLATION {each}" for each in violations] or ["no violation"]
    for line in lines:
        say(line)


def _report(
    args: argparse.Namespace,
    killer: Killer,
    traffic: Traffic,
    figures: dict[str, Any],
    violations: list[str],
    began: float,
) -> None:
    found = {
        "seed": args.seed,
        "kills": killer.kills,
        "by_victim": {f"{v} {a}": n for (v, a), n in sorted(killer.done.items())},
        "takeovers": [
            {"action": t.action, "seconds": round(t.seconds, 3), "clean": t.clean}
            for t in killer.takeovers()
        ],
        "seconds": round(time.monotonic() - began, 1),
        "figures": figures,
        "violations": violations,
    }
    args.report.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    sys.exit(main(arguments()))
