"""Replay: history through the detector's own path, into files that can be compared byte by byte.

The same history, detector and library versions give the same bytes, however the history was
batched, and a replay from a snapshot in the middle gives the same rows as the rest of a straight
one.

    verdicts      one row a transaction, in order, with its label
    features      what the models were given for it, one column a feature
    evidence      what it completed, with members and witness
    rings         what happened to rings because of it
    ring_members  who joined a ring at that moment, and in what role
    alerts        the alerts it raised
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from graph.errors import InvalidSetting
from ingest.embedder import InLine
from ingest.output_folder import new_folder
from ingest.ports import LearningDetector
from ingest.replay_files import FILES, ReplayFiles
from scorer.history import LabelledTransaction

WHAT: Final = "a replay"
"""What `FILES` are together, in errors."""


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """What a replay came to. The rate is of this machine and is not in the files.

    Attributes:
        transactions: Verdicts written.
        labelled: Of these, how many with a label.
        admissions: Verdicts by admission.
        decisions: Verdicts by decision.
        evidence: Pieces of evidence.
        rings: Distinct rings born.
        ring_events: Ring events.
        alerts: Alerts.
        seconds: Wall-clock time.
    """

    transactions: int
    labelled: int
    admissions: dict[str, int]
    decisions: dict[str, int]
    evidence: int
    rings: int
    ring_events: int
    alerts: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Transactions a second, reading and writing included."""
        return self.transactions / self.seconds if self.seconds else 0.0


def replay(
    history: Iterable[LabelledTransaction],
    detector: LearningDetector,
    out_dir: Path,
    *,
    field: str = "out_dir",
    batch: int = 512,
    resume_from: int = 0,
    embed: InLine | None = None,
    progress: Callable[[int], None] | None = None,
) -> ReplaySummary:
    """Replay a history and write the six files, all or none.

    Args:
        history: In the order of arrival.
        detector: New, or restored from a snapshot (then say where with `resume_from`).
        out_dir: Where to; created, or replaced if it holds an earlier replay.
        field: What names `out_dir` to the person: an option.
        batch: Transactions given to the detector at a time; it changes nothing but the speed.
        resume_from: Transactions at the head of the history that the detector has seen already
            (and whose labels it was told): they are passed over, and the files begin after them.
        embed: Runs the encoder of the graph model, where the detector has its head.
        progress: Called after every batch with the transactions done so far.

    Raises:
        InvalidSetting: `out_dir` holds something that is not a replay, or cannot be replaced or
            written, or a number is out of range.
    """
    for name, number, least in (("batch", batch, 1), ("resume_from", resume_from, 0)):
        if number < least:
            raise InvalidSetting(
                f"must be at least {least}", field=name, value=str(number), remedy="Raise it."
            )
    began = time.perf_counter()
    with (
        new_folder(out_dir, FILES, WHAT, field=field) as folder,
        ReplayFiles(folder, list(detector.feature_names)) as files,
    ):
        for position, rows in _batches(history, batch, resume_from, embed):
            first = rows[0].transaction.timestamp
            if embed is not None and embed.is_due(first):
                embed.run(detector, first)
            verdicts = detector.observe_batch([row.transaction for row in rows])
            files.add(position, rows, verdicts, detector.last_features)
            for row in rows:
                if row.label is not None:
                    detector.learn(row.label)
            if progress is not None:
                progress(position + len(rows) - resume_from)
    return ReplaySummary(
        transactions=files.rows("verdicts"),
        labelled=files.labelled,
        admissions=dict(sorted(files.admissions.items())),
        decisions=dict(sorted(files.decisions.items())),
        evidence=files.rows("evidence"),
        rings=files.rings_born,
        ring_events=files.rows("rings"),
        alerts=files.rows("alerts"),
        seconds=time.perf_counter() - began,
    )


def _batches(
    history: Iterable[LabelledTransaction], size: int, skipped: int, embed: InLine | None
) -> Iterator[tuple[int, list[LabelledTransaction]]]:
    """Cut the history where a label must be told, or a run made, before the next transaction.

    Told one by one, each label would be told right after its transaction. A batch is the same as
    that unless a label's time comes within it, so it ends there. Event time never runs ahead of
    the newest timestamp, which is why that is what labels are compared with.
    """
    rows: list[LabelledTransaction] = []
    begin = skipped
    newest: int | None = None
    first_known: int | None = None
    for position, row in enumerate(history):
        at = row.transaction.timestamp
        newest = at if newest is None else max(newest, at)
        if position < skipped:
            continue
        told = first_known is not None and newest >= first_known
        if rows and (len(rows) == size or told or (embed is not None and embed.is_due(at))):
            yield begin, rows
            begin, rows, first_known = position, [], None
        rows.append(row)
        if row.label is not None:
            known_at = row.label.known_at
            first_known = known_at if first_known is None else min(first_known, known_at)
    if rows:
        yield begin, rows
