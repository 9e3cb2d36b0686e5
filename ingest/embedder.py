"""The encoder of the graph model, once an hour of event time: beside an engine, or in a replay.

It looks at the window as it stood at one moment and embeds whoever is in it, those seen last first,
`MOST` of them at most. Each run is a few records of `Topic.EMBEDDINGS`, `PART` entities a record.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gnn.inference import RingScorer
from gnn.snapshots import GraphSnapshot
from graph.entities import EntitySpace
from graph.profiles import ProfileColumns
from graph.transaction import HOUR
from graph.window import TransactionWindow
from ingest.beside import LOOK_S, Beside, Breathe
from ingest.embedded_parts import messages
from ingest.engine import Engine
from ingest.ports import Log, Message
from scorer.reference import Embedded

PART: Final = 512
"""Entities of a record: some 60 KB, read in about a millisecond."""
MOST: Final = 200_000
"""Entities embedded in a run, of accounts and of identifiers each."""
EVERY: Final = HOUR

_log: Final = logging.getLogger(__name__)


class Seen(NamedTuple):
    """What the encoder looks at.

    Attributes:
        window: The window, or a copy of it.
        profiles: Those of its accounts.
    """

    window: TransactionWindow
    profiles: ProfileColumns


def seen_by(detector: Any) -> Seen:
    """What the encoder looks at in a detector; a view, not a copy."""
    window: TransactionWindow = detector.window
    return Seen(window, detector.heuristics.profiles.columns(window))


def still(seen: Seen) -> Seen:
    """A copy for another thread. O(live edges + live links + entities), plain copying."""
    size = seen.window.accounts.size
    profiles = seen.profiles
    return Seen(
        seen.window.still(),
        ProfileColumns(
            profiles.users[:size].copy(), profiles.merchants[:size].copy(), profiles.span.copy()
        ),
    )


class Encoding:
    """Runs of the encoder.

    Args:
        model: The graph model.
        most: Entities of a run at most, of accounts and of identifiers each.

    Attributes:
        left: Entities of the last run for whom there was no room.
    """

    def __init__(self, model: RingScorer, most: int = MOST) -> None:
        self.left = 0
        self._model = model
        self._most = most

    def number(self, watermark: int) -> int:
        """Which hour a watermark is in; no two runs are of the same."""
        return watermark // EVERY

    def run(self, seen: Seen, breathe: Breathe = lambda: None) -> Iterator[Embedded]:
        """Embed who is in the window, in parts of `PART` entities."""
        window = seen.window
        snapshot = GraphSnapshot.take(window, seen.profiles, None, self._model.fanout)
        spaces = (window.identifiers, window.accounts)
        chosen = [self._chosen(space) for space in reversed(spaces)]
        self.left = sum(
            len(space) - len(ids) for space, ids in zip(reversed(spaces), chosen, strict=True)
        )
        none = np.zeros((0, 0), np.float32)
        for found in self._model.embedded(snapshot, none, none, (chosen[0], chosen[1])):
            space = spaces[found.accounts]
            for start in range(0, len(found.ids), PART):
                ids = found.ids[start : start + PART]
                yield Embedded(
                    self._model.version,
                    snapshot.as_of,
                    tuple(space.entity(int(id_)) for id_ in ids),
                    found.rows[start : start + PART],
                )
            breathe()

    def _chosen(self, space: EntitySpace) -> NDArray[np.int32]:
        """Ids in use, those seen last if they are too many."""
        ids = np.fromiter(space, np.int32)
        if len(ids) > self._most:
            ids = ids[np.argsort(-space.last_seen[ids], kind="stable")[: self._most]]
        return ids


class InLine:
    """The encoder in a replay: it runs before the first transaction of each hour.

    It is assumed to take no time; in service the embeddings come seconds to minutes later.

    Args:
        encoding: The runs.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._number = -1

    def is_due(self, timestamp: int) -> bool:
        """Whether a run should come before a transaction of this time, ms."""
        return self._encoding.number(timestamp) > self._number

    def run(self, detector: Any, timestamp: int) -> None:
        """Embed who is in a detector's window, and tell it; not by a clock that is a day ahead."""
        window: TransactionWindow = detector.window
        if window.watermark and timestamp > window.watermark + window.config.horizon:
            return
        self._number = self._encoding.number(timestamp)
        for part in self._encoding.run(seen_by(detector)):
            detector.refer(part)


@dataclass(frozen=True, slots=True)
class EmbedderStats:
    """What the encoder did since it started.

    Attributes:
        runs: Runs that ended.
        entities: Entities embedded by the last one.
        left: Entities for whom the last one had no room.
        as_of: Event time of what it saw, ms; None before the first.
        seconds: What it took.
        error: Why it was not published; None once one was.
    """

    runs: int
    entities: int
    left: int
    as_of: int | None
    seconds: float
    error: str | None


class Embedder(Beside[Seen]):
    """Embeds while the engine goes on.

    Args:
        engine: Whose window.
        log: Where embeddings go.
        encoding: The runs.
        look_s: Seconds between two looks at event time.
    """

    def __init__(
        self, engine: Engine, log: Log, encoding: Encoding, *, look_s: float = LOOK_S
    ) -> None:
        super().__init__(engine, log, "encoder", look_s=look_s)
        self._encoding = encoding
        self._number = -1
        self._runs = self._entities = 0
        self._as_of: int | None = None
        self._seconds = 0.0

    def stats(self) -> EmbedderStats:
        """What it did."""
        return EmbedderStats(
            self._runs, self._entities, self._encoding.left, self._as_of, self._seconds, self._error
        )

    def _copy(self, detector: Any) -> Seen | None:
        seen = seen_by(detector)
        mark = seen.window.watermark
        return still(seen) if mark and self._encoding.number(mark) > self._number else None

    def _work(self, copied: Seen, breathe: Breathe) -> list[Message]:
        began = time.monotonic()
        parts = list(self._encoding.run(copied, breathe))
        self._seconds = time.monotonic() - began
        self._number = self._encoding.number(copied.window.watermark)
        self._runs += 1
        self._entities = sum(len(part.entities) for part in parts)
        self._as_of = copied.window.watermark
        _log.info(
            "embedded as of %d: %d entities in %.1f s, %d left",
            self._as_of,
            self._entities,
            self._seconds,
            self._encoding.left,
        )
        return messages(parts)
