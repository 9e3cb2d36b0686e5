"""The journal's lines: what the engine reads from the log and what it writes for one batch.

Everything a batch says goes into one open transaction: for each input, in the order the detector
saw them, its bytes (if they came by HTTP), its verdict with the place of that input, the ring
events and the alerts; then the dead letters and the offset of the stream.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from graph.errors import InvalidInput
from graph.transaction import Transaction
from ingest import records
from ingest.ports import HTTP_PARTITION, STREAM_PARTITION, Log, Message, Outputs, Topic
from ingest.recovery import Decode
from scorer.verdict import Verdict

CONSUMER: Final = "engine"
"""The engine's name in the log: consumer of the stream, and owner of the outputs."""


@dataclass(frozen=True, slots=True)
class Input:
    """A transaction on its way; `offset` is None until the journal has appended it (HTTP)."""

    transaction: Transaction
    raw: bytes
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class StreamPage:
    """A stretch of the stream: what could be read, what could not, and where it goes on."""

    inputs: tuple[Input, ...]
    letters: tuple[records.DeadLetterRecord, ...]
    lost: int
    next_offset: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One input and what is to be said about it, in the form of the wire.

    It is encoded but for the offset of an HTTP input, which only the open transaction knows.
    """

    source: Input
    verdict: records.VerdictFields
    outbox: tuple[Message, ...]


def read_stream(log: Log, decode: Decode, offset: int, limit: int) -> StreamPage | None:
    """At most `limit` records of the stream from `offset`; None where there are none."""
    page = log.read(Topic.TRANSACTIONS, STREAM_PARTITION, offset, limit)
    if not page:
        return None
    inputs: list[Input] = []
    letters: list[records.DeadLetterRecord] = []
    for record in page:
        try:
            inputs.append(Input(decode(record.value), record.value, record.offset))
        except InvalidInput as error:
            letters.append(
                records.DeadLetterRecord(
                    consumer=CONSUMER,
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    code=error.code,
                    reason=str(error),
                    raw=record.value,
                )
            )
    return StreamPage(tuple(inputs), tuple(letters), page[0].offset - offset, page[-1].offset + 1)


def known_verdicts(log: Log, inputs: Iterable[Input]) -> dict[str, Verdict]:
    """The verdicts that were already given, by transaction id."""
    found = log.find(Topic.VERDICTS, [item.transaction.transaction_id for item in inputs])
    return {
        key: records.decode(record.value, records.VerdictRecord).to_verdict()
        for key, record in found.items()
    }


def entry(source: Input, verdict: Verdict) -> Entry:
    """Put a verdict, its ring events and their alerts in the form of the wire."""
    outbox: list[Message] = []
    cause = verdict.transaction_id
    for event in verdict.ring_events:
        value = records.encode(records.ring_event_record(cause, event))
        outbox.append(Message(Topic.RINGS, 0, value, event.ring.ring_id))
        if event.alert is not None:
            value = records.encode(records.alert_record(cause, event.alert))
            outbox.append(Message(Topic.ALERTS, 0, value, event.alert.alert_id))
    return Entry(source, records.verdict_fields(verdict), tuple(outbox))


def write(outputs: Outputs, entries: Sequence[Entry], page: StreamPage | None) -> int:
    """Write a batch into an open transaction; the journal's offset after it, 0 if it says nothing.

    Writing it again in another transaction, after this one failed, says the same.
    """
    following = 0
    for item in entries:
        source = item.source
        partition, offset = STREAM_PARTITION, source.offset
        if offset is None:
            partition = HTTP_PARTITION
            offset = outputs.append(Message(Topic.TRANSACTIONS, partition, source.raw))
        line = records.encode(records.VerdictRecord(partition, offset, item.verdict))
        key = item.verdict.transaction_id
        following = outputs.append(Message(Topic.VERDICTS, 0, line, key)) + 1
        for message in item.outbox:
            outputs.append(message)
    if page is not None:
        for letter in page.letters:
            outputs.append(Message(Topic.DEAD_LETTERS, 0, records.encode(letter)))
        outputs.commit(CONSUMER, Topic.TRANSACTIONS, STREAM_PARTITION, page.next_offset)
    return following
