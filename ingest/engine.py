"""The engine: one detector, one thread that writes, two ways in.

    stream  transactions ─┐                            one transaction of the log:
                          ├─► micro-batch ─► detector ─► verdicts, rings, alerts,   ─► futures
    HTTP    submit() ─────┘                            dead letters, stream offsets

What arrives while a batch is at work is the next batch; an idle engine never waits to fill one.
The state of the detector is never written in part: it can always be had again from the journal
(`ingest.recovery`), so kill -9 at any point loses nothing and doubles nothing.

With a lease, several processes run an engine over one log: one leads, the others follow its
journal with detectors of their own, and one of them takes over when the leader falls silent. An
engine that is fenced (it was frozen, or a commit's end could not be learnt) drops its detector,
which may hold what was never written, and follows again.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from msgspec import structs

from graph.errors import InvalidInput, Unavailable
from graph.transaction import Transaction
from ingest import records
from ingest.arrivals import Arrivals, Submission
from ingest.engine_stats import EngineStats, Tally
from ingest.journal import Entry, entry, known_verdicts, write
from ingest.lease import Lease
from ingest.ports import Detector, Fenced, Log, Message, Record, Topic, Writer
from ingest.recovery import PAGE, Build, Checkpoints, Recovered, Recovery
from ingest.reference import Facts, ReadFact
from ingest.standing import NOT_YET, Standing
from ingest.stream import CONSUMER, Decode, Input, Stream, StreamPage
from scorer.verdict import Verdict

T = TypeVar("T")

LETTERS: Final = f"{CONSUMER}-letters"
"""Consumer of the reference topics: letters of what could not be used stand before its offset."""
FIRST_GUESS_S: Final = 0.0005
"""What a transaction is taken to cost before the first batch was timed."""

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Bounds of the engine.

    Attributes:
        batch: Transactions of one micro-batch: 1,024 cost about 100 ms with all they take, the
            worst a caller waits behind others, and make the commit cheap.
        stream_share: Of these, kept for the stream when HTTP alone would fill the batch.
        queue: Transactions that may ever wait in `submit`: 4 batches.
        wait_ms: How long they may have to wait, by what the last batches took: where work is slow
            (hubs, a busy machine) fewer are let in, so that whoever is let in is answered soon.
        questions: Reads that may wait in `ask`.
        poll_ms: How often an idle engine looks for new records of the stream.
        news_ms: How often it looks for new facts in the reference topics.
        retry_ms: Longest pause between two attempts at a commit that failed; they start at 50 ms.
        checkpoint_every: Verdicts after which an idle engine writes a checkpoint; a busy one
            waits up to four times as long, since writing it holds up verdicts.
        give_up_ms: How long `stop` lets a failing commit be tried before its callers are refused.
    """

    batch: int = 1_024
    stream_share: int = 128
    queue: int = 4_096
    wait_ms: int = 1_000
    questions: int = 256
    poll_ms: int = 50
    news_ms: int = 500
    retry_ms: int = 2_000
    checkpoint_every: int = 200_000
    give_up_ms: int = 5_000


class Engine:
    """Answers transactions in one order, and writes that order down before it answers.

    Args:
        log: Where input comes from and everything goes.
        build: Makes the detector, from a snapshot or new. It is called on the engine's thread,
            and nothing else may touch what it returns: use `ask`.
        decode: Bytes of a record to a transaction.
        checkpoints: Where to keep checkpoints; without it recovery reads the whole journal.
        facts: How the records of reference topics are read; those not named are not followed.
        lease: Who leads; without it this engine leads at once and ends when it is fenced.
        degraded: Names what is out of reach just now besides the detector's own parts (a cache);
            they are written into the verdicts. Called once a batch, and must not wait.
        between: Called after each batch was answered, with how many transactions it had; the next
            batch waits for it, and what it raises ends the engine. Also after each page of a
            journal that is followed.
        config: Bounds.
    """

    def __init__(
        self,
        log: Log,
        build: Build,
        decode: Decode,
        *,
        checkpoints: Checkpoints | None = None,
        facts: Mapping[Topic, ReadFact] | None = None,
        lease: Lease | None = None,
        degraded: Callable[[], tuple[str, ...]] = tuple,
        between: Callable[[int], None] = lambda _: None,
        config: EngineConfig | None = None,
    ) -> None:
        self._log = log
        self._build = build
        self._decode = decode
        self._checkpoints = checkpoints
        self._facts = Facts(log, facts or {})
        self._lease = lease
        self._degraded = degraded
        self._between = between
        self._config = config or EngineConfig()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._arrivals = Arrivals(transactions=self._config.queue, questions=self._config.questions)
        self._standing = Standing(self._arrivals)
        self._cost = FIRST_GUESS_S  # seconds a transaction, of the last batches
        self._expect()
        # The rest is written by the engine's thread alone; `stats` reads it as it is.
        self._tally = Tally()
        self._stream: Stream | None = None
        self._known: dict[Topic, int] = {}
        self._news_at = 0.0  # when the reference topics are to be looked at again
        self._look_at = 0.0  # when the stream is to be looked at again (monotonic seconds)
        self._next_verdict = 0
        self._checkpoint: int | None = None
        self._checkpoint_error: str | None = None
        self._taken: list[Submission] = []
        self._unread: dict[str, Unavailable] = {}  # what could not be read when it was last tried
        self._recovered: Recovered | None = None

    # -- from any thread -----------------------------------------------------------------------

    def start(self) -> None:
        """Begin recovery and then work, on the engine's own thread."""
        self._thread.start()

    def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until recovery is done.

        Raises:
            Unavailable: It failed, or is not done in `timeout` seconds.
        """
        self._standing.wait_ready(timeout)

    def submit(
        self, transactions: Sequence[Transaction], raw: Sequence[bytes]
    ) -> "Future[list[Verdict]]":
        """Ask for verdicts, in the order of the transactions; they count as one arrival.

        A transaction whose id already has a verdict gets that one.

        Args:
            transactions: At most `EngineConfig.queue` of them.
            raw: The bytes each came in: `decode` must make the same transaction of them.

        Raises:
            Overloaded: Too many are waiting; nothing was taken.
            InvalidInput: More than may ever wait.
            Unavailable: The engine is recovering, stopping or has failed; nothing was taken. The
                future raises it where the engine stopped before the verdicts were written.
        """
        inputs = tuple(
            Input(transaction, data) for transaction, data in zip(transactions, raw, strict=True)
        )
        return self._arrivals.submit(inputs)

    def must_have_room(self, count: int = 1) -> None:
        """Raise what `submit` of so many transactions would raise now.

        Raises:
            Overloaded: Too many are waiting.
            Unavailable: The engine is recovering, stopping or has failed.
        """
        self._arrivals.must_have_room(count)

    def ask(self, question: Callable[[Any], T], *, timeout: float = 2.0) -> "Future[T]":
        """Read the detector between two batches: `question(detector)` on the engine's thread.

        The question holds up verdicts while it runs, so it must be bounded itself. What it raises
        comes out of the future. Wait for it with `future.result(timeout)`.

        Args:
            question: What to read; it must not keep or change anything of the detector's.
            timeout: Seconds after which it is no longer asked; the future raises `Unavailable`.

        Raises:
            Overloaded: Too many questions are waiting.
            Unavailable: The engine is recovering, stopping or has failed.
        """
        return self._arrivals.ask(question, timeout)

    @property
    def batches(self) -> int:
        """Micro-batches committed since the start; it stands still while nothing arrives."""
        return self._tally.batches

    def standing(self) -> tuple[str, str | None]:
        """State and error, without asking the log anything."""
        return self._standing.now()

    def stats(self) -> EngineStats:
        """Figures since the start."""
        stream = self._stream
        try:
            lag = None if stream is None else stream.lag()
        except Unavailable:
            lag = None
        state, error = self.standing()
        return EngineStats(
            state=state,
            error=error,
            queued=self._arrivals.queued,
            stream_lag=lag,
            checkpoint_error=self._checkpoint_error,
            checkpoint=self._checkpoint,
            known={topic.value: offset for topic, offset in self._known.items()},
            recovered=self._recovered,
            **self._tally.figures(),
        )

    def stop(self, timeout: float | None = None) -> bool:
        """Take nothing more, answer what waits, write a checkpoint, and end.

        Returns:
            Whether it ended within `timeout` seconds; whatever it had not committed is as if it
            had never been taken.
        """
        self._standing.stop()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    # -- on the engine's thread ----------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._take_turn():
                pass
            if self._lease is not None:
                self._lease.release()
        except BaseException as error:
            # The edge of the thread: whatever it was, every caller must hear of it.
            _log.exception("the engine failed")
            if self._lease is not None:
                self._lease.drop()
            self._end("failed", f"{type(error).__name__}: {error}")
            if not isinstance(error, Exception):
                raise
        else:
            self._end("stopped", None)

    def _take_turn(self) -> bool:
        """Follow, lead, and work; True if it was fenced and there may be another turn."""
        recovery = self._insist(self._recovery)
        if not self._follow(recovery):
            self._save(recovery.detector, due=1)
            return False
        try:
            # Claim first: from here on no predecessor adds to the journal we are about to read.
            writer = self._insist(lambda: self._log.claim(CONSUMER))
            if self._lease is not None:
                self._lease.hold()
            self._standing.enter("recovering", "standby")
            self._recovered = self._insist(recovery.finish)
            self._next_verdict = self._recovered.next_verdict
            self._known = recovery.known
            self._stream = self._insist(lambda: Stream(self._log, self._decode))
            self._standing.open()
            with closing(self._stream):
                self._work(recovery.detector, writer, self._stream)
        except Fenced as error:
            if self._lease is None:
                raise
            _log.warning("the engine gives way: %s", error)
            self._lease.drop()
            self._tally.fenced += 1
            self._standing.give_way()
            self._refuse_all()  # the next leader answers it when it comes again
            return True
        return False

    def _recovery(self) -> Recovery:
        recovery = Recovery(self._log, self._build, self._decode, self._facts, self._checkpoints)
        self._checkpoint = recovery.so_far.from_checkpoint
        self._next_verdict, self._known = recovery.so_far.next_verdict, recovery.known
        return recovery

    def _follow(self, recovery: Recovery) -> bool:
        """Follow the journal until it is this engine's turn; False if it was stopped before."""
        lease = self._lease
        if lease is None:
            return self._standing.state != "stopping"
        look_at = 0.0
        while self._standing.state in NOT_YET:
            behind = False
            try:
                behind = recovery.step()
                if behind:
                    self._between(PAGE)
                if time.monotonic() >= look_at:
                    if lease.vacant():
                        return True
                    look_at = time.monotonic() + lease.beat / 2
            except Unavailable as error:
                self._note(error)
            else:
                self._note(None)
            self._next_verdict, self._known = recovery.so_far.next_verdict, recovery.known
            if not behind:
                self._standing.enter("standby", "recovering")
                self._save(recovery.detector, due=self._config.checkpoint_every)
                pause = min(lease.beat / 2, self._config.poll_ms / 1000)
                self._standing.wait_while("standby", pause)
        return False

    def _work(self, detector: Detector, writer: Writer, stream: Stream) -> None:
        every = self._config.checkpoint_every
        while True:
            stopping = self._standing.state != "running"
            if self._lease is not None and self._lease.superseded:
                raise Fenced("another process leads now", remedy="Let it: this one follows.")
            for question in self._arrivals.take_questions():
                question.answer(detector)
            if time.monotonic() >= self._news_at:
                self._hear(detector, writer)
            self._taken = self._arrivals.take(self._config.batch)
            page = None
            if not stopping:
                page = self._read(stream, sum(len(s.inputs) for s in self._taken))
            if self._taken or page:
                self._process(detector, writer, stream, page)
                self._save(detector, due=4 * every)
            elif stopping:
                self._save(detector, due=1)
                return
            else:
                self._save(detector, due=every)
                self._arrivals.wait(self._config.poll_ms / 1000)

    def _hear(self, detector: Detector, writer: Writer) -> None:
        """Tell the detector what is new in the reference topics; dead letters of what is not."""
        unusable: dict[Topic, list[tuple[Record, InvalidInput]]] = {}
        try:
            for topic, known, refused in self._facts.news(detector, self._known):
                self._known[topic] = known
                if refused:
                    unusable[topic] = refused
        except Unavailable as error:
            self._note_reading("facts", error)
        else:
            self._note_reading("facts", None)
        for topic, refused in unusable.items():
            # A start without traffic meets again what no checkpoint holds yet.
            told = self._insist(partial(self._log.committed, LETTERS, topic, 0))
            letters = [_letter(record, error) for record, error in refused if record.offset >= told]
            if letters:
                until = refused[-1][0].offset + 1
                self._insist(partial(_append, writer, letters, topic, until))
                self._tally.dead_letters += len(letters)
        self._news_at = time.monotonic() + self._config.news_ms / 1000

    def _read(self, stream: Stream, taken: int) -> StreamPage | None:
        """The next of the stream: what room the submissions leave, and always some.

        A stream that was empty is left alone for `poll_ms`: submissions do not pay for looking.
        """
        now = time.monotonic()
        if now < self._look_at:
            return None
        limit = max(self._config.batch - taken, self._config.stream_share)
        try:
            page = stream.take(limit)
        except Unavailable as error:
            self._note_reading("stream", error)  # submissions go on; it is tried again later
            page = None
        else:
            self._note_reading("stream", None)
        self._look_at = 0.0 if page else now + self._config.poll_ms / 1000
        return page

    def _process(
        self, detector: Detector, writer: Writer, stream: Stream, page: StreamPage | None
    ) -> None:
        """Detect, commit, and only then tell."""
        began = time.monotonic()
        arrived = [item for submission in self._taken for item in submission.inputs]
        arrived.extend(page.inputs if page else ())
        verdicts = self._insist(lambda: known_verdicts(self._log, arrived))
        fresh: dict[str, Input] = {}  # the first of each id, in order of arrival
        for item in arrived:
            key = item.transaction.transaction_id
            if key not in verdicts:
                fresh.setdefault(key, item)
        unseen = [item.transaction for item in fresh.values()]
        observed = detector.observe_batch(unseen) if unseen else []
        observed = [records.fitted(said) for said in observed]
        if missing := self._degraded():
            observed = [
                structs.replace(said, degraded=(*said.degraded, *missing)) for said in observed
            ]
        entries = [entry(item, said) for item, said in zip(fresh.values(), observed, strict=True)]
        if page and len(page.inputs) + len(page.letters) >= self._config.stream_share:
            # There will be more: it is read while the commit is waited for.
            stream.begin(self._config.stream_share if self._taken else self._config.batch)
        following = self._insist(lambda: _commit(writer, entries, page, self._known))
        verdicts.update(zip(fresh, observed, strict=True))

        self._next_verdict = following or self._next_verdict
        self._tally.count(observed, duplicates=len(arrived) - len(fresh), page=page)
        if page and page.lost:
            _log.warning("retention took %d records of the stream unread", page.lost)
        self._pace(len(arrived), time.monotonic() - began)
        taken, self._taken = self._taken, []
        for submission in taken:
            submission.future.set_result(
                [verdicts[item.transaction.transaction_id] for item in submission.inputs]
            )
        self._between(len(arrived))

    def _pace(self, count: int, seconds: float) -> None:
        """Let in what can be answered in time; a small batch is mostly its commit and says less."""
        weight = min(1.0, count / self._config.batch) / 2
        self._cost += weight * (seconds / max(count, 1) - self._cost)
        self._expect()

    def _expect(self) -> None:
        self._arrivals.expect(int(self._config.wait_ms / 1000 / max(self._cost, 1e-6)))

    def _insist(self, attempt: Callable[[], T]) -> T:
        """Try until the log answers: meanwhile the queue fills, and callers are told to wait.

        Raises:
            Fenced: Another engine has taken over.
            Unavailable: The engine was told to stop, and the log did not answer in time.
        """
        pause = 0.05
        given_up: float | None = None
        while True:
            try:
                answer = attempt()
            except Fenced:
                raise
            except Unavailable as error:
                self._tally.commit_failures += 1
                self._note(error)
                state = self._standing.state
                if state == "stopping" and given_up is None:
                    given_up = time.monotonic() + self._config.give_up_ms / 1000
                if given_up is not None and time.monotonic() > given_up:
                    raise
                self._standing.wait_while(state, pause)
                pause = min(2 * pause, self._config.retry_ms / 1000)
            else:
                self._note(None)
                return answer

    def _save(self, detector: Detector, *, due: int) -> None:
        """Write a checkpoint if `due` verdicts were given since the last one."""
        if self._checkpoints is None or self._next_verdict - (self._checkpoint or 0) < due:
            return
        try:
            self._checkpoints.save(
                self._next_verdict, detector.snapshot(), self._known, log=self._log.identity
            )
        except OSError as error:
            # Recovery reads more of the journal then; no verdict depends on it.
            _log.warning("no checkpoint could be written: %s", error)
            self._tally.checkpoint_failures += 1
            self._checkpoint_error = str(error.strerror or error)
        else:
            self._checkpoint_error = None
        self._checkpoint = self._next_verdict

    def _note(self, error: Unavailable | None) -> None:
        if error is not None:
            _log.warning("%s", error)
        self._standing.note(error)

    def _note_reading(self, what: str, error: Unavailable | None) -> None:
        """What cannot be read troubles an idle engine until it can be: no commit ends that."""
        before = self._unread.pop(what, None)
        if error is not None:
            self._unread[what] = error
        if error is not None or before is not None:
            self._note(next(iter(self._unread.values()), None))

    def _end(self, state: str, error: str | None) -> None:
        """Refuse whatever is left: nothing of it was committed, all of it may be sent again."""
        self._standing.end(state, error)
        self._refuse_all()

    def _refuse_all(self) -> None:
        refusal = self._standing.unavailable()
        taken, self._taken = self._taken, []
        for submission in taken:
            submission.future.set_exception(refusal)
        self._arrivals.send_away(refusal)


def _commit(
    writer: Writer, entries: Sequence[Entry], page: StreamPage | None, known: Mapping[Topic, int]
) -> int:
    with writer.transaction() as outputs:
        return write(outputs, entries, page, known)


def _append(writer: Writer, letters: Sequence[Message], topic: Topic, until: int) -> None:
    """Letters of the facts of a topic, and before which of them there are letters."""
    with writer.transaction() as outputs:
        outputs.append(letters)
        outputs.commit(LETTERS, topic, 0, until)


def _letter(record: Record, error: InvalidInput) -> Message:
    return Message(
        Topic.DEAD_LETTERS, 0, records.encode(records.dead_letter(CONSUMER, record, error))
    )
