"""Who is killed when, how and for how long: all of it from the seed."""

import contextlib
import os
import random
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from system import SERVES, System

VICTIMS: Final = {
    "leader": 30, "standby": 15, "sink-graph": 12, "sink-cache": 12,
    "kafka": 9, "neo4j": 7, "redis": 15,
}  # fmt: skip
SERVERS: Final = ("kafka", "neo4j", "redis")
ACTIONS: Final = {"SIGKILL": 6, "SIGSTOP": 3, "SIGTERM": 2}
JVM_ACTIONS: Final = {"SIGKILL": 5, "SIGSTOP": 5, "SIGTERM": 1}
"""A JVM takes many seconds of a processor to come back, a frozen one none."""
BACK_S: Final = 300.0
"""How long a victim may take until it can be killed again."""


@dataclass(frozen=True)
class Blow:
    """One kill: whom, how, after which pause, and how long it stays down or frozen."""

    victim: str
    action: str
    after_s: float
    down_s: float


def plan(seed: int, kills: int, *, pause_s: float, long: bool) -> Iterator[Blow]:
    """The blows of a seed.

    Args:
        seed: The same blows for the same seed; what they hit depends on the moment.
        kills: How many.
        pause_s: Between two, on average.
        long: With brokers that stay down for longer than a transaction may last.
    """
    chance = random.Random(seed)
    for _ in range(kills):
        victim = chance.choices(list(VICTIMS), VICTIMS.values())[0]
        actions = JVM_ACTIONS if victim in ("kafka", "neo4j") else ACTIONS
        action = chance.choices(list(actions), actions.values())[0]
        after_s = min(4 * pause_s, max(0.05, chance.expovariate(1 / pause_s)))
        down_s = chance.choice([0.0, chance.uniform(0, 2), chance.uniform(1, 6)])
        if victim == "kafka" and long and chance.random() < 0.25:
            down_s = chance.uniform(11, 14)
        if action == "SIGSTOP":
            down_s = max(0.2, down_s)
        yield Blow(victim, action, after_s, down_s)


@dataclass
class Takeover:
    """A leader that was killed, and when another led; `clean` if nothing else was amiss then."""

    action: str
    seconds: float
    clean: bool


@dataclass
class Killer:
    """Deals the blows, one after the other; what it hit recovers meanwhile."""

    system: System
    say: Callable[[str], None]
    done: Counter[tuple[str, str]] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    leaders: list[tuple[float, str, str]] = field(default_factory=list)
    outages: list[tuple[float, str]] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)
    _aftermath: list[threading.Thread] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return self.done.total()

    def deal(self, blow: Blow) -> None:
        """Wait, choose who it is now, and strike."""
        time.sleep(blow.after_s)
        name, pid = self._found(blow.victim)
        if name is None or pid is None:
            return
        now = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, getattr(signal, blow.action))
        self.done[blow.victim, blow.action] += 1
        self.outages.append((now, name))
        if blow.victim == "leader":
            self.leaders.append((now, name, blow.action))
        self.say(f"{self.kills:4d} {blow.action} {name} ({blow.victim}), {blow.down_s:.1f} s")
        self.busy.add(name)
        thread = threading.Thread(target=self._after, args=(blow, name, pid), daemon=True)
        thread.start()
        self._aftermath.append(thread)

    def settle(self) -> None:
        """Wait until everything that was hit is back."""
        for thread in self._aftermath:
            thread.join(BACK_S)
            if thread.is_alive():
                self.violations.append("a victim did not come back")

    def takeovers(self) -> list[Takeover]:
        """How long it took until another led, of each leader that was killed."""
        found = []
        for at, name, action in self.leaders:
            led = self.system.watch.first_running(name, at)
            other = next(each for each in SERVES if each != name)
            stood = self._standing(other, at)
            if led is None:
                continue
            again = [when for when, who, _ in self.leaders if at < when < led]
            amiss = any(
                at - 25 < when < led and who in ("kafka", other) for when, who in self.outages
            )
            clean = stood and not again and not amiss and not self._led_again(name, at, led)
            found.append(Takeover(action, led - at, clean))
        return found

    def _led_again(self, name: str, since: float, until: float) -> bool:
        """Whether the one that was hit came back first (a short freeze, say)."""
        history = self.system.watch.history
        states = [state for at, who, state in history if who == name and since < at < until]
        return "running" in states

    def _standing(self, name: str, at: float) -> bool:
        """Whether a process was a standby at that moment, and had been for a second."""
        before = [(when, state) for when, who, state in self.system.watch.history if who == name]
        past = [(when, state) for when, state in before if when < at]
        return bool(past) and past[-1][1] == "standby" and past[-1][0] < at - 1

    def _found(self, victim: str) -> tuple[str | None, int | None]:
        until = time.monotonic() + BACK_S
        while time.monotonic() < until:
            name: str | None = victim
            if victim in ("leader", "standby"):
                leader = self.system.watch.leader
                if leader is None:
                    alive = [each for each in SERVES if self.system.pid(each)]
                    name = alive[0] if alive else None
                else:
                    name = next(e for e in SERVES if (e == leader) == (victim == "leader"))
            if name is not None and name not in self.busy and (pid := self.system.pid(name)):
                return name, pid
            time.sleep(0.05)
        self.violations.append(f"{victim} was not there to be killed for {BACK_S:g} s")
        return None, None

    def _after(self, blow: Blow, name: str, pid: int) -> None:
        try:
            if blow.action == "SIGSTOP":
                time.sleep(blow.down_s)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            elif name in SERVERS:
                server = self.system.servers[name]
                until = time.monotonic() + 60
                while server.pid == pid and time.monotonic() < until:
                    time.sleep(0.05)
                time.sleep(blow.down_s)
                server.start()
        except RuntimeError as error:
            self.violations.append(str(error))
        finally:
            self.busy.discard(name)


def summary(takeovers: list[Takeover]) -> list[str]:
    """Lines of the table: how long it took until another led, by what was done to the leader."""
    lines = []
    for action in ACTIONS:
        for clean in (True, False):
            some = sorted(t.seconds for t in takeovers if (t.action, t.clean) == (action, clean))
            if some:
                what = "nothing else amiss" if clean else "broker or standby down as well"
                lines.append(
                    f"{action:8} {what:31} {len(some):3d}  median {statistics.median(some):5.2f} s"
                    f"  max {some[-1]:5.2f} s"
                )
    return lines
