"""The journal's lines: what the engine reads from the log and what it writes for one batch.

Everything a batch says goes into one open transaction: the bytes of what came by HTTP; for each
input, in the order the detector saw them, its verdict with the place of that input; the ring
events and alerts; the dead letters; and the offsets of the stream.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from ingest import records
from ingest.ports import Log, Message, Outputs, Topic
from ingest.stream import CONSUMER, Input, StreamPage
from scorer.verdict import Verdict


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One input and what is to be said about it, in the form of the wire.

    It is encoded but for the offset of an HTTP input, which only the open transaction knows.
    """

    source: Input
    verdict: records.VerdictFields
    outbox: tuple[Message, ...]


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


def write(
    outputs: Outputs,
    entries: Sequence[Entry],
    page: StreamPage | None,
    known: Mapping[Topic, int],
) -> int:
    """Write a batch into an open transaction; the journal's offset after it, 0 if it says nothing.

    Writing it again in another transaction, after this one failed, says the same.

    Args:
        outputs: The open transaction.
        entries: What is said, in the order the detector saw the inputs.
        page: What was taken of the stream.
        known: Up to where the detector knew each reference topic.
    """
    sources = _placed(outputs, [item.source for item in entries])
    knew = dict(known)
    lines: list[Message] = []
    outbox: list[Message] = []
    for item, source in zip(entries, sources, strict=True):
        assert source.offset is not None  # noqa: S101 - `_placed` gave it one
        record = records.VerdictRecord(
            source.topic, source.partition, source.offset, item.verdict, knew
        )
        key = item.verdict.transaction_id
        lines.append(Message(Topic.VERDICTS, 0, records.encode(record), key))
        outbox.extend(item.outbox)
    if page is not None:
        outbox += [Message(Topic.DEAD_LETTERS, 0, records.encode(each)) for each in page.letters]
        for partition, offset in page.next_offsets.items():
            outputs.commit(CONSUMER, Topic.TRANSACTIONS, partition, offset)
    offsets = outputs.append(lines + outbox)
    return offsets[len(lines) - 1] + 1 if lines else 0


def _placed(outputs: Outputs, sources: Sequence[Input]) -> list[Input]:
    """The inputs, those come by HTTP appended to the log."""
    new = [Message(source.topic, 0, source.raw) for source in sources if source.offset is None]
    offsets = iter(outputs.append(new) if new else ())
    return [
        replace(source, offset=next(offsets)) if source.offset is None else source
        for source in sources
    ]
