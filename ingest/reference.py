"""Reference topics: how the facts in them (lists, deep analysis) reach the detector.

The engine looks for new ones between two batches and writes into every verdict's record up to
which offset they were known; recovery tells them again at the same point. What cannot be read or
used changes nothing: it is skipped, each time alike, and the engine that met it first says so.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from graph.errors import InvalidInput
from ingest.ports import Detector, Log, Record, Topic

PAGE: Final = 64
"""Records told before the next batch has its turn; a part of an analysis costs about 1 ms."""

ReadFact = Callable[[bytes], object]
"""Bytes of a record to a fact for `Detector.refer`; raises `InvalidInput`."""

_log: Final = logging.getLogger(__name__)


class Facts:
    """Reads reference topics.

    Args:
        log: The log.
        kinds: How the records of each topic are read; topics not named are not followed.
    """

    def __init__(self, log: Log, kinds: Mapping[Topic, ReadFact]) -> None:
        self._log = log
        self._kinds = kinds

    @property
    def topics(self) -> Sequence[Topic]:
        """Those that are followed."""
        return tuple(self._kinds)

    def between(self, topic: Topic, offset: int, until: int) -> list[Record]:
        """The records from `offset` to before `until` that retention has left."""
        found: list[Record] = []
        while offset < until and (page := self._log.read(topic, 0, offset, PAGE)):
            found += [record for record in page if record.offset < until]
            offset = page[-1].offset + 1
        return found

    def news(
        self, detector: Detector, known: Mapping[Topic, int]
    ) -> Iterator[tuple[Topic, int, list[tuple[Record, InvalidInput]]]]:
        """Tell what is new, at most a page a topic: (topic, known from now on, what was refused).

        Raises:
            Unavailable: The log does not answer; what was told before counts.
        """
        for topic in self._kinds:
            page = self._log.read(topic, 0, known.get(topic, 0), PAGE)
            refused = []
            for record in page:
                error = self.tell(detector, record)
                if error is not None:
                    refused.append((record, error))
            if page:
                yield topic, page[-1].offset + 1, refused

    def tell(self, detector: Detector, record: Record) -> InvalidInput | None:
        """Tell one record; what is wrong with it, if it cannot be used."""
        try:
            detector.refer(self._kinds[record.topic](record.value))
        except InvalidInput as error:
            _log.warning("%s %d is not used: %s", record.topic, record.offset, error)
            return error
        return None
