"""What an engine did since it started, counted by its own thread and read from any."""

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

from ingest.recovery import Recovered
from ingest.stream import StreamPage
from scorer.verdict import Verdict


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What the engine did since it started, and how it stands.

    Attributes:
        state: "recovering", "standby", "running", "stopping", "stopped" or "failed".
        error: Why it failed, or why the log does not take what it wants to write.
        observed: Transactions given to the detector, by its answer: accepted, late, ahead,
            duplicate (of something the log no longer holds).
        duplicates: Transactions answered with the verdict they already had.
        dead_letters: Records of the stream that could not be understood.
        lost: Records of the stream that retention took before they were read.
        decisions: Verdicts by decision.
        ring_events: Ring events written.
        alerts: Alerts written.
        batches: Micro-batches committed.
        commit_failures: Attempts at a commit that failed.
        queued: Transactions now waiting in `submit`.
        stream_lag: Records of the stream not yet read; None while the log does not answer.
        checkpoint_failures: Checkpoints that could not be written.
        checkpoint_error: Why the last one could not; None once one could again.
        checkpoint: Journal offset of the newest checkpoint tried; None if there is none.
        fenced: Times it led and had to give way.
        known: Offset up to which the detector knows each reference topic.
        recovered: What recovery did; None until it is done.
    """

    state: str
    error: str | None
    observed: dict[str, int]
    duplicates: int
    dead_letters: int
    lost: int
    decisions: dict[str, int]
    ring_events: int
    alerts: int
    batches: int
    commit_failures: int
    queued: int
    stream_lag: int | None
    checkpoint_failures: int
    checkpoint_error: str | None
    checkpoint: int | None
    fenced: int
    known: dict[str, int]
    recovered: Recovered | None


@dataclass(slots=True)
class Tally:
    """The counts among the figures of `EngineStats`, by the same names."""

    observed: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    dead_letters: int = 0
    lost: int = 0
    decisions: Counter[str] = field(default_factory=Counter)
    ring_events: int = 0
    alerts: int = 0
    batches: int = 0
    commit_failures: int = 0
    checkpoint_failures: int = 0
    fenced: int = 0

    def count(self, observed: list[Verdict], *, duplicates: int, page: StreamPage | None) -> None:
        """A batch was committed."""
        self.batches += 1
        self.duplicates += duplicates
        self.observed.update([verdict.admission for verdict in observed])
        for decision, count in Counter([verdict.decision for verdict in observed]).items():
            self.decisions[decision.value] += count
        events = [event for verdict in observed for event in verdict.ring_events]
        self.ring_events += len(events)
        self.alerts += sum(event.alert is not None for event in events)
        if page is not None:
            self.dead_letters += len(page.letters)
            self.lost += page.lost

    def figures(self) -> dict[str, Any]:
        """What was counted until now, by name: a copy."""
        return {
            name: dict(value) if isinstance(value, Counter) else value
            for name, value in ((each.name, getattr(self, each.name)) for each in fields(self))
        }
