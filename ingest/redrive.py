"""Redrive: dead letters back to where they came from, after what refused them was put right.

The bytes go back as they came, to the end of the partition they came from, and the engine meets
them there as new. What was redriven is written down in the same transaction, so that a second run
leaves it alone. Only `transactions` is written to: what stands in the other topics is the engine's
own word and would be said twice, or lists that newer ones have replaced.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from graph.errors import Incompatible
from ingest import records
from ingest.ports import Log, Message, Record, Topic

CONSUMER: Final = "redrive"
"""Owner of what is redriven, and consumer of the dead letters: done with all before its offset."""
PAGE: Final = 256
INTO: Final = frozenset({Topic.TRANSACTIONS})


class Became(StrEnum):
    """What became of a letter."""

    REDRIVEN = "redriven"
    DUE = "would be redriven"
    BEFORE = "redriven before"
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
        why: Why it stays.
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
    dry_run: bool = False,
    again: bool = False,
) -> None:
    """Put the chosen letters back, oldest first; those that come while it runs are left.

    Args:
        log: The log.
        choice: Which letters.
        told: Hears what became of each.
        dry_run: Only tell.
        again: Also those that were redriven before.

    Raises:
        Fenced: Another redrive began meanwhile; what was told as redriven is.
        Unavailable: The log does not answer; the same holds.
    """
    bounds = log.bounds(Topic.DEAD_LETTERS, 0)
    writer = None if dry_run else log.claim(CONSUMER)
    done = log.committed(CONSUMER, Topic.DEAD_LETTERS, 0)
    at = bounds.first
    while at < bounds.next:
        page = log.read(Topic.DEAD_LETTERS, 0, at, PAGE)
        page = [record for record in page if record.offset < bounds.next]
        if not page:
            break
        at = page[-1].offset + 1
        rows = [row for record in page if (row := _row(log, record, choice, done, again=again))]
        due = [row for row in rows if row.became is Became.DUE]
        if writer is not None:
            with writer.transaction() as outputs:
                if due:
                    outputs.append([_back(row) for row in due])
                if choice.everything and at > done:
                    outputs.commit(CONSUMER, Topic.DEAD_LETTERS, 0, at)
                elif not choice.everything:
                    for row in due:
                        outputs.commit(_alone(row.number), Topic.DEAD_LETTERS, 0, row.number + 1)
        for row in rows:
            went = writer is not None and row.became is Became.DUE
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


def _back(row: Row) -> Message:
    assert row.letter is not None  # noqa: S101 - what cannot be read is never due
    return Message(row.letter.topic, row.letter.partition, row.letter.raw)


def _alone(number: int) -> str:
    """Who has committed where this letter was redriven out of turn."""
    return f"{CONSUMER}-{number}"
