"""Redrive: dead letters back to where they came from, after what refused them was put right.

The bytes go back as they came and under their key, to the end of the partition they came from, and
the engine meets them there as new. What was redriven is written down in the same transaction, so
that a second run leaves it alone. What would be refused again stays, and is due until it can be
read: put back, it would only become another letter. Of a letter that holds the beginning of a large
record, the record itself is read from its place and put back whole, or not at all. Only
`transactions` is written to: what stands in the other topics is the engine's own word and would be
said twice, or lists that newer ones have replaced.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from msgspec import UNSET

from graph.errors import Incompatible, InvalidInput
from ingest import records
from ingest.codec import require_size
from ingest.ports import LARGEST_VALUE, Log, Message, Record, Topic
from ingest.stream import Decode

CONSUMER: Final = "redrive"
"""Owner of what is redriven, and consumer of the dead letters: done with all before its offset."""
PAGE: Final = 256
INTO: Final = frozenset({Topic.TRANSACTIONS})


class Became(StrEnum):
    """What became of a letter."""

    REDRIVEN = "redriven"
    DUE = "would be redriven"
    BEFORE = "redriven before"
    REFUSED = "still refused"
    STAYS = "stays"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters: those that came from here; where nothing is named, all."""

    topic: Topic | None = None
    partition: int | None = None
    offset: int | None = None

    @property
    def everything(self) -> bool:
        """Whether no letter is left out."""
        return self == Choice()

    def holds(self, letter: records.DeadLetterRecord) -> bool:
        """Whether this letter is chosen."""
        return (
            self.topic in (None, letter.topic)
            and self.partition in (None, letter.partition)
            and self.offset in (None, letter.offset)
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A chosen letter, and what became of it.

    Attributes:
        number: Its offset among the dead letters.
        letter: What it says; None where it cannot be read.
        became: What became of it.
        why: Why it stays, or is still refused.
    """

    number: int
    letter: records.DeadLetterRecord | None
    became: Became
    why: str = ""


def redrive(
    log: Log,
    choice: Choice,
    told: Callable[[Row], None],
    *,
    read: Decode | None = None,
    dry_run: bool = False,
    again: bool = False,
) -> None:
    """Put the chosen letters back, oldest first; those that come while it runs are left.

    Args:
        log: The log.
        choice: Which letters.
        told: Hears what became of each.
        read: How the engine reads a record: what this refuses is not put back.
        dry_run: Only tell.
        again: Also those that were redriven before.

    Raises:
        Fenced: Another redrive began meanwhile; what was told as redriven is.
        Unavailable: The log does not answer; the same holds.
    """
    bounds = log.bounds(Topic.DEAD_LETTERS, 0)
    writer = None if dry_run else log.claim(CONSUMER)
    done = log.committed(CONSUMER, Topic.DEAD_LETTERS, 0)
    held: int | None = None  # the first that is due still: nothing is said of those from it on
    at = bounds.first
    while at < bounds.next:
        page = log.read(Topic.DEAD_LETTERS, 0, at, PAGE)
        page = [record for record in page if record.offset < bounds.next]
        if not page:
            break
        at = page[-1].offset + 1
        rows = [row for record in page if (row := _row(log, record, choice, done, again=again))]
        looked = [_looked_at(log, row, read) for row in rows]
        due = [(row.number, message) for row, message in looked if message is not None]
        if held is None:
            held = next((row.number for row, _ in looked if row.became is Became.REFUSED), None)
        until = at if held is None else held
        if writer is not None:
            with writer.transaction() as outputs:
                if due:
                    outputs.append([message for _, message in due])
                if choice.everything and until > done:
                    outputs.commit(CONSUMER, Topic.DEAD_LETTERS, 0, until)
                for number, _ in due:
                    if not choice.everything or number >= until:
                        outputs.commit(_alone(number), Topic.DEAD_LETTERS, 0, number + 1)
        for row, message in looked:
            went = writer is not None and message is not None
            told(Row(row.number, row.letter, Became.REDRIVEN) if went else row)


def _row(log: Log, record: Record, choice: Choice, done: int, *, again: bool) -> Row | None:
    number = record.offset
    try:
        letter = records.decode(record.value, records.DeadLetterRecord)
    except Incompatible as error:
        return Row(number, None, Became.STAYS, str(error)) if choice.everything else None
    if not choice.holds(letter):
        return None
    if letter.topic not in INTO:
        return Row(number, letter, Became.STAYS, f"only the engine writes {letter.topic}")
    if letter.partition >= log.partitions(letter.topic):
        return Row(number, letter, Became.STAYS, f"there is no partition {letter.partition}")
    if not again and (number < done or log.committed(_alone(number), Topic.DEAD_LETTERS, 0)):
        return Row(number, letter, Became.BEFORE)
    return Row(number, letter, Became.DUE)


def _looked_at(log: Log, row: Row, read: Decode | None) -> tuple[Row, Message | None]:
    """The row, and what goes back; where that is nothing, why."""
    letter = row.letter
    if row.became is not Became.DUE or letter is None:
        return row, None
    value = letter.raw
    if letter.size is not UNSET:
        whole = _whole(log, letter, letter.size)
        if isinstance(whole, str):
            return Row(row.number, letter, Became.STAYS, whole), None
        value = whole
    if read is not None:
        try:
            require_size(value)
            read(value)
        except InvalidInput as error:
            return Row(row.number, letter, Became.REFUSED, str(error)), None
    key = None if letter.key is UNSET else letter.key
    return row, Message(letter.topic, letter.partition, value, key)


def _whole(log: Log, letter: records.DeadLetterRecord, size: int) -> bytes | str:
    """The record of which a letter holds the beginning, or why it cannot be put back."""
    if size > LARGEST_VALUE:
        return f"its {size} bytes are more than the {LARGEST_VALUE} that are written at once"
    page = log.read(letter.topic, letter.partition, letter.offset, 1)
    for record in page:
        if record.offset == letter.offset and len(record.value) == size:
            return record.value
    return f"the letter holds {len(letter.raw)} of its {size} bytes, and the log no more of it"


def _alone(number: int) -> str:
    """Who has committed where this letter was redriven out of turn."""
    return f"{CONSUMER}-{number}"
