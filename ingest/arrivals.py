"""The waiting room of the engine: what callers bring, bounded, until its thread takes it.

It is shut before the engine is ready and again before it ends; a caller who finds it shut or full
hears so at once and nothing of his was taken.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from graph.errors import InvalidInput, Unavailable
from ingest.ports import Overloaded
from ingest.stream import Input
from scorer.verdict import Verdict

T = TypeVar("T")

RETRY_AFTER_S: Final = 1.0
"""A full room is empty again well within this: it holds less than half a second of work."""


@dataclass(frozen=True, slots=True)
class Submission:
    """Transactions that arrived together and are answered together."""

    inputs: tuple[Input, ...]
    future: "Future[list[Verdict]]"


@dataclass(frozen=True, slots=True)
class Question:
    """Something to be read off the detector; stale after `deadline` (monotonic seconds)."""

    ask: Callable[[Any], Any]
    future: "Future[Any]"
    deadline: float

    def answer(self, detector: object) -> None:
        """Ask it, on the engine's thread, unless nobody waits for the answer any more."""
        if not self.future.set_running_or_notify_cancel():
            return
        if time.monotonic() > self.deadline:
            self.future.set_exception(
                Unavailable("the engine was too busy to look", remedy="Ask again in a moment.")
            )
            return
        try:
            answer = self.ask(detector)
        except Exception as error:  # noqa: BLE001 - it is the asker's, and goes back to him
            self.future.set_exception(error)
        else:
            self.future.set_result(answer)


class Arrivals:
    """Submissions and questions, first come first served. Safe to use from any thread.

    Args:
        transactions: How many may wait.
        questions: How many may wait.
    """

    def __init__(self, *, transactions: int, questions: int) -> None:
        self._most_transactions = transactions
        self._most_now = transactions
        self._most_questions = questions
        self._changed = threading.Condition()
        self._submissions: deque[Submission] = deque()
        self._questions: deque[Question] = deque()
        self._queued = 0
        self._woken = False
        self._refusal: Callable[[], Unavailable] | None = None

    @property
    def queued(self) -> int:
        """Transactions that wait."""
        return self._queued

    def submit(self, inputs: tuple[Input, ...]) -> "Future[list[Verdict]]":
        """Let transactions wait.

        Raises:
            Overloaded: There is no room for them now.
            InvalidInput: There never will be.
            Unavailable: The room is shut.
        """
        if len(inputs) > self._most_transactions:
            raise InvalidInput(
                f"at most {self._most_transactions} transactions may be submitted together",
                field="transactions",
                value=str(len(inputs)),
                remedy="Send them in several requests.",
            )
        future: Future[list[Verdict]] = Future()
        if not inputs:
            future.set_result([])
            return future
        with self._changed:
            self._must_have_room(len(inputs))
            self._queued += len(inputs)
            self._submissions.append(Submission(inputs, future))
            self._changed.notify()
        return future

    def expect(self, most: int) -> None:
        """Let so many wait from now on, where that is fewer than may ever wait."""
        with self._changed:
            self._most_now = min(most, self._most_transactions)

    def must_have_room(self, count: int) -> None:
        """Raise now what `submit` would: asked before a body is read, it makes refusing cheap."""
        with self._changed:
            self._must_have_room(count)

    def ask(self, question: Callable[[Any], T], timeout: float) -> "Future[T]":
        """Let a question wait for at most `timeout` seconds; raises as `submit`."""
        future: Future[T] = Future()
        with self._changed:
            if self._refusal is not None:
                raise self._refusal()
            if len(self._questions) >= self._most_questions:
                raise Overloaded(
                    "too many questions are waiting",
                    value=str(len(self._questions)),
                    retry_after=RETRY_AFTER_S,
                )
            self._questions.append(Question(question, future, time.monotonic() + timeout))
            self._changed.notify()
        return future

    def _must_have_room(self, count: int) -> None:
        if self._refusal is not None:
            raise self._refusal()
        # One submission may always wait alone, however slow the work is just now.
        most = self._most_now if self._queued else self._most_transactions
        if self._queued + count > most:
            raise Overloaded(
                "too many transactions are waiting",
                value=str(self._queued),
                retry_after=RETRY_AFTER_S,
            )

    def take(self, most: int) -> list[Submission]:
        """Whole submissions of together at most `most` transactions; a larger one goes alone."""
        taken: list[Submission] = []
        with self._changed:
            while self._submissions:
                size = len(self._submissions[0].inputs)
                if taken and size > most:
                    break
                submission = self._submissions.popleft()
                self._queued -= size
                if submission.future.set_running_or_notify_cancel():
                    taken.append(submission)
                    most -= size
        return taken

    def take_questions(self) -> list[Question]:
        """All that wait."""
        with self._changed:
            questions = list(self._questions)
            self._questions.clear()
        return questions

    def wait(self, seconds: float) -> None:
        """Until something waits, somebody wakes, or the time is over."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._woken or self._submissions or self._questions, seconds
            )
            self._woken = False

    def shut(self, refusal: Callable[[], Unavailable]) -> None:
        """Let nothing more in, say why, and wake whoever waits for arrivals."""
        with self._changed:
            self._refusal = refusal
            self._woken = True
            self._changed.notify_all()

    def open(self) -> None:
        """Let them in."""
        with self._changed:
            self._refusal = None

    def send_away(self, refusal: Unavailable) -> None:
        """Refuse all that still wait."""
        with self._changed:
            waiting: list[Future[Any]] = [s.future for s in self._submissions]
            waiting.extend(question.future for question in self._questions)
            self._submissions.clear()
            self._questions.clear()
            self._queued = 0
        for future in waiting:
            if future.set_running_or_notify_cancel():
                future.set_exception(refusal)
