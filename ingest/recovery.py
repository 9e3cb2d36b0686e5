"""Recovery: the detector's state again, from a checkpoint and the journal.

The journal is the topic `verdicts`: its order is the order in which the detector saw the
transactions, and each record names the input it answers. A checkpoint is a snapshot of the
detector, the journal's offset it was taken at, and which log that journal is of: offsets of two
logs look alike. Recovery restores the newest checkpoint that is of this log and can be read, then
feeds the detector every input the journal names after it, with the facts that
were known then, and compares what it says with what is written.

A standby does the same without end: it follows the journal of the engine that leads, so that its
detector is a few records behind when its turn comes.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from graph.errors import Incompatible, InvalidInput
from graph.snapshot import Snapshot, pack, unpack
from graph.transaction import Transaction
from ingest import records
from ingest.ports import Detector, Log, Record, Topic
from ingest.reference import Facts
from ingest.stream import Decode

Build = Callable[[bytes | None], Detector]
"""A detector from a snapshot, or a new one from None; raises `Incompatible`."""

PAGE: Final = 512
"""Journal records read and observed at a time."""
KEPT: Final = 2
"""Checkpoints kept: the newest, and the one before in case the newest is torn."""

_KIND: Final = "checkpoint"
_VERSION: Final = 3

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A detector's snapshot and what of the log it holds; `log` is the log's identity."""

    log: str
    offset: int
    known: Mapping[Topic, int]
    state: bytes


class Checkpoints:
    """Checkpoints in a folder, written so that a crash leaves the previous ones whole.

    A file is named for its offset and its log, so that two logs never write over each other's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, offset: int, state: bytes, known: Mapping[Topic, int], *, log: str) -> Path:
        """Write a checkpoint: `state` is the detector after the journal's records below `offset`.

        `KEPT` of this log stay. What cannot be gone back to from here goes once there are as many:
        those of another log, and those beyond `offset`, which were refused at the start.

        Args:
            offset: The journal's.
            state: The detector's snapshot.
            known: Up to where it had been told each reference topic.
            log: The log's identity.

        Raises:
            OSError: The disk is full or the folder cannot be written; older ones are untouched.
        """
        told = {topic.value: at for topic, at in known.items()}
        values = {"log": log, "offset": offset, "known": told}
        data = pack(_KIND, _VERSION, Snapshot(values, {"state": np.frombuffer(state, np.uint8)}))
        mark = f"-{hashlib.sha256(log.encode()).hexdigest()[:8]}.checkpoint"
        path = self._folder / f"{offset:015d}{mark}"
        unfinished = path.with_suffix(".unfinished")
        try:
            with unfinished.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except OSError:
            unfinished.unlink(missing_ok=True)  # what is left of it would keep the disk full
            raise
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name, too, must outlive a power cut
        finally:
            os.close(folder)
        newest = self._newest_first()
        ours = [each for each in newest if each.name.endswith(mark) and each.name <= path.name]
        if len(ours) >= KEPT:
            for old in newest:
                if old not in ours[:KEPT]:
                    old.unlink()
        return path

    def load(self) -> Iterable[tuple[Path, "Checkpoint | Incompatible"]]:
        """Every checkpoint, newest first, or why it cannot be used."""
        for path in self._newest_first():
            try:
                snapshot = unpack(_KIND, _VERSION, path.read_bytes())
                log = str(snapshot.values["log"])
                known = {Topic(topic): int(at) for topic, at in snapshot.values["known"].items()}
            except Incompatible as error:
                yield path, error
            except OSError as error:
                yield (
                    path,
                    Incompatible(
                        f"it cannot be read: {error.strerror}", remedy="Look at the disk."
                    ),
                )
            else:
                state = snapshot.arrays["state"].tobytes()
                yield path, Checkpoint(log, int(snapshot.values["offset"]), known, state)

    def _newest_first(self) -> list[Path]:
        return sorted(self._folder.glob("*.checkpoint"), reverse=True)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What recovery did.

    Attributes:
        next_verdict: The journal's offset the engine goes on from.
        from_checkpoint: Journal offset of the checkpoint used; None if it began with nothing.
        observed: Transactions fed to the detector.
        differing: Verdicts that now come out otherwise than they are written: the model, the
            rates or the code changed since. What was told stays told.
        missing: Journal records whose input retention has taken; the detector starts after them.
        refused: Checkpoints that could not be used, and why.
    """

    next_verdict: int
    from_checkpoint: int | None
    observed: int
    differing: int
    missing: int
    refused: tuple[str, ...]


class Recovery:
    """Brings a detector to where the journal stands, page by page.

    Args:
        log: The log.
        build: Makes the detector, from a snapshot or new.
        decode: Bytes of an input to a transaction.
        facts: How the records of reference topics are read.
        checkpoints: Where to begin; without it, at the beginning.

    Raises:
        Incompatible: The journal names an input that is not the one it answers, or that the
            decoder now refuses: the log was put together from two, or damaged.
    """

    def __init__(
        self,
        log: Log,
        build: Build,
        decode: Decode,
        facts: Facts,
        checkpoints: Checkpoints | None,
    ) -> None:
        self._log = log
        self._decode = decode
        self._facts = facts
        self.detector, found, self._refused = _restore(log, build, checkpoints)
        bounds = log.bounds(Topic.VERDICTS, 0)
        self._from = None if found is None else found.offset
        self._offset = bounds.first if found is None else found.offset
        self._missing = max(0, bounds.first - (0 if found is None else found.offset))
        self._observed = self._differing = 0
        self.known: dict[Topic, int] = {} if found is None else dict(found.known)

    @property
    def so_far(self) -> "Recovered":
        """What was done until now."""
        return Recovered(
            self._offset,
            self._from,
            self._observed,
            self._differing,
            self._missing,
            self._refused,
        )

    def step(self) -> bool:
        """Observe the next page of the journal; whether there was one.

        Raises:
            Unavailable: The log does not answer; nothing was observed, and it may be tried again.
        """
        page = self._log.read(Topic.VERDICTS, 0, self._offset, PAGE)
        if not page:
            return False
        headers = [records.decode(record.value, records.VerdictHeader) for record in page]
        inputs = fetch(self._log, headers)
        there = [
            (header, record)
            for header, record in zip(headers, page, strict=True)
            if place(header) in inputs
        ]
        told = self._facts_until([header.known for header, _ in there])
        start = 0
        while start < len(there):
            # Verdicts that knew the same are observed together.
            knew = there[start][0].known
            end = start + 1
            while end < len(there) and there[end][0].known == knew:
                end += 1
            self._tell(knew, told)
            self._observe(there[start:end], inputs)
            start = end
        self._observed += len(there)
        self._missing += len(page) - len(there)
        self._offset = page[-1].offset + 1
        return True

    def finish(self) -> "Recovered":
        """Go on to the end of the journal, which nobody else may write any more."""
        while self.step():
            pass
        return self.so_far

    def _facts_until(self, knew: Sequence[Mapping[Topic, int]]) -> dict[Topic, list[Record]]:
        """The facts that become known within a page: read before anything is observed."""
        until: dict[Topic, int] = {}
        for each in knew:
            for topic, offset in each.items():
                until[topic] = max(offset, until.get(topic, 0))
        return {
            topic: self._facts.between(topic, self.known.get(topic, 0), offset)
            for topic, offset in until.items()
        }

    def _tell(self, knew: Mapping[Topic, int], facts: Mapping[Topic, list[Record]]) -> None:
        for topic, until in knew.items():
            since = self.known.get(topic, 0)
            for record in facts[topic]:
                if since <= record.offset < until:
                    self._facts.tell(self.detector, record)
            self.known[topic] = max(until, since)

    def _observe(
        self,
        lines: Sequence[tuple[records.VerdictHeader, Record]],
        inputs: "Mapping[Place, Record]",
    ) -> None:
        transactions = [_decoded(inputs[place(h)], h, self._decode) for h, _ in lines]
        verdicts = self.detector.observe_batch(transactions)
        for verdict, (header, record) in zip(verdicts, lines, strict=True):
            if verdict.transaction_id != header.verdict.transaction_id:
                raise Incompatible(
                    "the detector answers another transaction than the journal",
                    field=f"verdicts offset {record.offset}",
                    value=verdict.transaction_id,
                    remedy="Report this with the log: the detector is not deterministic.",
                )
            fields = records.verdict_fields(verdict)
            again = records.VerdictRecord(
                header.topic, header.partition, header.offset, fields, header.known
            )
            if records.encode(again) != record.value:
                self._differing += not _same_but_degraded(again, record)


def _same_but_degraded(again: records.VerdictRecord, record: Record) -> bool:
    """What was out of reach then (a cache) is written in the verdict, and is not its detector's."""
    written = records.decode(record.value, records.VerdictRecord)
    fields = msgspec.structs.replace(again.verdict, degraded=written.verdict.degraded)
    return msgspec.structs.replace(again, verdict=fields) == written


Place = tuple[Topic, int, int]
"""Topic, partition and offset."""


def place(line: records.VerdictHeader | records.VerdictRecord) -> Place:
    """Where the input stands that a verdict answers."""
    return line.topic, line.partition, line.offset


def fetch(
    log: Log, headers: Sequence[records.VerdictHeader | records.VerdictRecord]
) -> dict[Place, Record]:
    """The inputs that verdicts answer, by place; those retention took are left out.

    One range read a partition: the inputs of neighbouring verdicts are neighbours.
    """
    found: dict[Place, Record] = {}
    for topic, partition in {(header.topic, header.partition) for header in headers}:
        wanted = {h.offset for h in headers if (h.topic, h.partition) == (topic, partition)}
        offset, last = min(wanted), max(wanted)
        while offset <= last:
            page = log.read(topic, partition, offset, min(PAGE, last - offset + 1))
            if not page:
                break
            found.update({(topic, partition, r.offset): r for r in page if r.offset in wanted})
            offset = page[-1].offset + 1
    return found


def _restore(
    log: Log, build: Build, checkpoints: Checkpoints | None
) -> tuple[Detector, Checkpoint | None, tuple[str, ...]]:
    refused: list[str] = []
    end = log.bounds(Topic.VERDICTS, 0).next
    for path, found in checkpoints.load() if checkpoints else ():
        if isinstance(found, Incompatible):
            refused.append(f"{path.name}: {found}")
        elif found.log != log.identity:
            refused.append(
                f"{path.name}: taken of another log, {found.log}; this one is {log.identity}."
                " The state is built again from this log"
            )
        elif found.offset > end:
            refused.append(f"{path.name}: taken at {found.offset}, but the journal ends at {end}")
        else:
            try:
                return build(found.state), found, _aloud(refused)
            except Incompatible as error:
                refused.append(f"{path.name}: {error}")
    return build(None), None, _aloud(refused)


def _aloud(refused: Sequence[str]) -> tuple[str, ...]:
    for each in refused:
        _log.warning("a checkpoint was refused: %s", each)
    return tuple(refused)


def _decoded(record: Record, header: records.VerdictHeader, decode: Decode) -> Transaction:
    place = f"{record.topic} {record.partition} offset {record.offset}"
    remedy = "Start with the rates and the version that accepted it, or start a new log."
    try:
        transaction = decode(record.value)
    except InvalidInput as error:
        raise Incompatible(
            f"an input that was once accepted is refused now: {error}", field=place, remedy=remedy
        ) from error
    if transaction.transaction_id != header.verdict.transaction_id:
        raise Incompatible(
            f"the journal answers {header.verdict.transaction_id} here",
            field=place,
            value=transaction.transaction_id,
            remedy=remedy,
        )
    return transaction
