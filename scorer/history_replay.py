"""The replay: a history runs through the engine in batches and leaves a table of labelled rows.

The history runs through the engine's own path, so a feature is in training what it is in serving:
computed from what was known at that moment, and from labels only once they were known.
"""

import gc
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Final

import numpy as np
from msgspec import structs

from graph.lists import NEVER
from graph.transaction import Label
from scorer.history import LabelledTransaction
from scorer.ports import Replayer
from scorer.table import Kept, Table, TableBuilder

BATCH: Final = 1_024
"""Transactions the engine is given at a time at most."""

_COLLECT_EVERY: Final = 65_536

Batch = list[tuple[LabelledTransaction, Label | None]]
"""Transactions with the labels that are to be learned of them."""
Progress = Callable[[str, int], None]
"""Called with the name of the stage and how many transactions or rounds are done."""


def silent(_stage: str, _done: int) -> None:
    """A progress callback that says nothing."""


def replay(
    history: Iterable[LabelledTransaction],
    replayer: Replayer,
    *,
    keep: Callable[[LabelledTransaction], bool] = lambda _: True,
    withheld: frozenset[int] = frozenset(),
    at_once: bool = False,
    progress: Progress = silent,
) -> Table:
    """Run a history through the engine and keep the labelled rows.

    The engine is given batches, and the rows are those of one transaction at a time: a batch ends
    before event time could reach the moment at which one of its own labels becomes known. Where
    labels are known at once, every batch is a single transaction.

    Args:
        history: In arrival order.
        replayer: A fresh one.
        keep: Which labelled transactions become rows; the others still run and are learned from.
        withheld: Places in the history whose labels the engine never learns.
        at_once: Labels are known as soon as their transaction has passed, whatever their delay.
        progress: Told "replay" and the number of transactions done.

    Raises:
        InvalidInput: More than `scorer.table.MAX_ROWS` rows would be kept.
    """
    builder = TableBuilder(replayer.schema)
    rows = np.empty((BATCH, len(replayer.schema.names)), dtype=np.float32)
    with closing(_rarely_collected(_batches(history, withheld, at_once=at_once))) as batches:
        for batch in batches:
            first = builder.transactions
            builder.transactions += len(batch)
            kept: list[Kept] = []
            seen = replayer.observe_features([item.transaction for item, _ in batch], rows)
            for place, ((item, label), signals) in enumerate(zip(batch, seen, strict=True), first):
                if signals.contexts is not None:
                    found = signals.findings
                    builder.evidence.add(
                        place, signals.watermark, found, signals.evidence, signals.contexts
                    )
                if not signals.accepted:
                    builder.rejected += 1
                    continue
                warm = builder.take(item)
                if label is not None:
                    replayer.learn(label)
                if item.fraud is not None and keep(item):
                    kept.append(Kept(item, signals, place, warm))
            builder.keep(kept, rows[[one.place - first for one in kept]])
            progress("replay", builder.transactions)
    return builder.table()


def _rarely_collected(batches: Iterator[Batch]) -> Generator[Batch, None, None]:
    """The batches, with Python's collector of cycles at work every `_COLLECT_EVERY` transactions.

    What a replay keeps are millions of plain values without cycles; to walk them again and again
    took a fifth of its time. What outlived one round is left out of the next until the end.
    """
    was = gc.isenabled()
    gc.disable()
    kept, frozen = 0, False
    try:
        for batch in batches:
            yield batch
            kept += len(batch)
            if kept >= _COLLECT_EVERY:
                gc.collect()
                gc.freeze()
                kept, frozen = 0, True
    finally:
        if frozen:  # else what another froze, as tests do their imports, would be thawed
            gc.unfreeze()
        if was:
            gc.enable()


def _batches(
    history: Iterable[LabelledTransaction], withheld: frozenset[int], *, at_once: bool
) -> Iterator[Batch]:
    """The history with the labels that are to be learned, none known before its batch has ended."""
    batch: Batch = []
    newest, due = -NEVER, NEVER
    for place, item in enumerate(history):
        newest = max(newest, item.transaction.timestamp)
        # The watermark never passes the newest timestamp.
        if batch and (len(batch) == BATCH or newest >= due):
            yield batch
            batch, due = [], NEVER
        label = None if place in withheld else item.label
        if label is not None:
            if at_once:
                label = structs.replace(label, known_at=item.transaction.timestamp)
            due = min(due, label.known_at)
        batch.append((item, label))
    if batch:
        yield batch
