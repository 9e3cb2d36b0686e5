"""Recovery: the detector's state again, from a checkpoint and the journal.

The journal is the topic `verdicts`: its order is the order in which the detector saw the
transactions, and each record names the input it answers. A checkpoint is a snapshot of the
detector and the journal's offset it was taken at. Recovery restores the newest checkpoint that
can be read, then feeds the detector every input the journal names after it, and compares what it
says with what is written.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from graph.errors import Incompatible, InvalidInput
from graph.snapshot import Snapshot, pack, unpack
from graph.transaction import Transaction
from ingest import records
from ingest.ports import Detector, Log, Record, Topic

Decode = Callable[[bytes], Transaction]
"""Bytes of the log to a transaction; raises `InvalidInput` (see `ingest.codec`)."""
Build = Callable[[bytes | None], Detector]
"""A detector from a snapshot, or a new one from None; raises `Incompatible`."""

PAGE: Final = 512
"""Journal records read and observed at a time."""
KEPT: Final = 2
"""Checkpoints kept: the newest, and the one before in case the newest is torn."""

_KIND: Final = "checkpoint"
_VERSION: Final = 1


class Checkpoints:
    """Checkpoints in a folder, written so that a crash leaves the previous ones whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def save(self, offset: int, state: bytes) -> Path:
        """Write a checkpoint: `state` is the detector after the journal's records below `offset`.

        Raises:
            OSError: The disk is full or the folder cannot be written; older ones are untouched.
        """
        values = {"offset": offset}
        data = pack(_KIND, _VERSION, Snapshot(values, {"state": np.frombuffer(state, np.uint8)}))
        path = self._folder / f"{offset:015d}.checkpoint"
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name, too, must outlive a power cut
        finally:
            os.close(folder)
        for old in self._newest_first()[KEPT:]:
            old.unlink()
        return path

    def load(self) -> Iterable[tuple[Path, int | Incompatible, bytes]]:
        """Every checkpoint, newest first: (path, offset, state), or the error instead of offset."""
        for path in self._newest_first():
            try:
                snapshot = unpack(_KIND, _VERSION, path.read_bytes())
            except Incompatible as error:
                yield path, error, b""
            else:
                yield path, int(snapshot.values["offset"]), snapshot.arrays["state"].tobytes()

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


def recover(
    log: Log, build: Build, decode: Decode, checkpoints: Checkpoints | None
) -> tuple[Detector, Recovered]:
    """Build the detector as it stood when the journal's last record was committed.

    Raises:
        Incompatible: The journal names an input that is not the one it answers, or that the
            decoder now refuses: the log was put together from two, or damaged.
    """
    detector, start, refused = _restore(log, build, checkpoints)
    bounds = log.bounds(Topic.VERDICTS, 0)
    offset = bounds.first if start is None else start
    missing = max(0, bounds.first - (start or 0))
    observed = differing = 0
    while page := log.read(Topic.VERDICTS, 0, offset, PAGE):
        offset = page[-1].offset + 1
        headers = [records.decode(record.value, records.VerdictHeader) for record in page]
        inputs = fetch(log, headers)
        there = [
            (h, r) for h, r in zip(headers, page, strict=True) if (h.partition, h.offset) in inputs
        ]
        missing += len(page) - len(there)
        transactions = [_decoded(inputs[h.partition, h.offset], h, decode) for h, _ in there]
        verdicts = detector.observe_batch(transactions) if transactions else []
        for verdict, (header, record) in zip(verdicts, there, strict=True):
            if verdict.transaction_id != header.verdict.transaction_id:
                raise Incompatible(
                    "the detector answers another transaction than the journal",
                    field=f"verdicts offset {record.offset}",
                    value=verdict.transaction_id,
                    remedy="Report this with the log: the detector is not deterministic.",
                )
            again = records.VerdictRecord(
                header.partition, header.offset, records.verdict_fields(verdict)
            )
            differing += records.encode(again) != record.value
        observed += len(there)
    return detector, Recovered(offset, start, observed, differing, missing, refused)


def fetch(
    log: Log, headers: Sequence[records.VerdictHeader | records.VerdictRecord]
) -> dict[tuple[int, int], Record]:
    """The inputs that verdicts answer, by (partition, offset); those retention took are left out.

    One range read a partition: the inputs of neighbouring verdicts are neighbours.
    """
    found: dict[tuple[int, int], Record] = {}
    for partition in {header.partition for header in headers}:
        wanted = {header.offset for header in headers if header.partition == partition}
        offset, last = min(wanted), max(wanted)
        while offset <= last:
            page = log.read(Topic.TRANSACTIONS, partition, offset, min(PAGE, last - offset + 1))
            if not page:
                break
            found.update({(partition, r.offset): r for r in page if r.offset in wanted})
            offset = page[-1].offset + 1
    return found


def _restore(
    log: Log, build: Build, checkpoints: Checkpoints | None
) -> tuple[Detector, int | None, tuple[str, ...]]:
    refused: list[str] = []
    end = log.bounds(Topic.VERDICTS, 0).next
    for path, offset, state in checkpoints.load() if checkpoints else ():
        if isinstance(offset, Incompatible):
            refused.append(f"{path.name}: {offset}")
        elif offset > end:
            refused.append(f"{path.name}: taken at {offset}, but the journal ends at {end}")
        else:
            try:
                return build(state), offset, tuple(refused)
            except Incompatible as error:
                refused.append(f"{path.name}: {error}")
    return build(None), None, tuple(refused)


def _decoded(record: Record, header: records.VerdictHeader, decode: Decode) -> Transaction:
    place = f"transactions {record.partition} offset {record.offset}"
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
