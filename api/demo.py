"""The demo: a simulated city that is trained on, served, and streamed live.

The model learns from one city and judges another, so nothing it sees live was in its training.
Both are simulated once and kept in the user's cache; the live log begins anew with every demo.
"""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
import xxhash

from api.adapters import SERVED
from api.wiring import detector, load
from graph.errors import Incompatible, Unavailable
from ingest.codec import encode
from ingest.datasets import read
from ingest.mapping import load_mapping
from ingest.ports import Log, Message, Topic
from ingest.simulator import SimulationConfig, demo_config, write
from scorer.history_replay import Progress
from scorer.training import train

_TICK_S: Final = 0.05
_CHUNK: Final = 512  # transactions of history appended at a time
_QUIET_DAYS: Final = 2
_LIVE_DAYS: Final = 7
_OTHER_CITY: Final = 1_000  # added to the seed: the city the model learns from


@dataclass(frozen=True, slots=True)
class City:
    """A simulated city on disk."""

    config: SimulationConfig
    folder: Path


def live_city(folder: Path, seed: int) -> City:
    """The city that is streamed: two quiet days, then a week in which rings burst every day."""
    day = demo_config(seed)
    # Six days' worth in seven: with more, every third person would be in a ring.
    week = {kind: count * (_LIVE_DAYS - 1) for kind, count in day.rings.items()}
    return _made(folder, replace(day, days=_QUIET_DAYS + _LIVE_DAYS, ring_counts=week))


def trained(folder: Path, seed: int, progress: Progress) -> Path:
    """A model learned from another city; trained once, and again where the engine has changed."""
    # Of everything that is shown live some rings to learn from.
    rings = {kind: max(3, count) for kind, count in demo_config().rings.items() if count}
    config = SimulationConfig(
        seed=seed + _OTHER_CITY, days=10, users=1_500, ring_counts=rings, label_delay_days=1.0
    )
    city = _made(folder, config)
    fresh = detector()
    out = folder / f"model-{city.folder.name}-{fresh.schema.hash}"
    try:
        load(out)
    except Incompatible:
        shutil.rmtree(out, ignore_errors=True)
        history = read(city.folder, load_mapping("ringfence"))
        data = {"name": "a simulated city", "mapping": "ringfence"}
        train(history, fresh, seed=seed, data=data, progress=progress).save(out)
    return out


def _made(folder: Path, config: SimulationConfig) -> City:
    key = xxhash.xxh3_64_hexdigest(msgspec.json.encode(config.as_record()))
    out = folder / f"city-{key}"
    if not (out / "world.json").exists():  # it is written last
        write(config, out)
    return City(config, out)


def emptied(folder: Path) -> None:
    """Take away what an earlier demo left, but the file by which the folder is held."""
    for each in folder.iterdir():
        if each.is_dir():
            shutil.rmtree(each)
        elif each.name != SERVED:
            each.unlink()


class Stream:
    """Appends a city's transactions to the log: its past at once, then live at a steady rate.

    Args:
        log: Where to.
        city: What.
        speed: Transactions a second of what is live.
        done: Called when the last one is appended, with how many there were.
    """

    def __init__(self, log: Log, city: City, speed: float, done: Callable[[int], None]) -> None:
        self._log = log
        self._city = city
        self._speed = speed
        self._done = done
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-stream", daemon=True)

    def start(self) -> None:
        """Begin to append."""
        self._thread.start()

    def stop(self) -> None:
        """Append nothing more."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=5.0)

    def _run(self) -> None:
        past: list[bytes] = []
        live: list[bytes] = []
        for item in read(self._city.folder, load_mapping("ringfence")):
            early = item.transaction.timestamp < self._city.config.rings_start
            (past if early else live).append(encode(item.transaction))
        for start in range(0, len(past), _CHUNK):
            self._append(past[start : start + _CHUNK])
        waiting = iter(live)
        for count in self._paced():
            chunk = list(islice(waiting, count))
            if not chunk:
                self._done(len(live))
                return
            self._append(chunk)

    def _paced(self) -> Iterator[int]:
        """How many are due at each tick, so that the rate is steady whatever a tick takes."""
        began, sent = time.monotonic(), 0
        while not self._stop.wait(_TICK_S):
            due = int((time.monotonic() - began) * self._speed) - sent
            if due > 0:
                sent += due
                yield due

    def _append(self, raw: list[bytes]) -> None:
        messages = [Message(Topic.TRANSACTIONS, 0, value) for value in raw]
        while not self._stop.is_set():
            try:
                self._log.append(messages)
            except Unavailable:  # the engine holds the file; the same may be tried again
                self._stop.wait(_TICK_S)
            else:
                return
