"""Questions on threads of their own: few at once, and few that wait.

One to the graph database may take its twenty seconds, what a ring rests on a few. On the threads
that everything else shares, half a dozen of them would keep the server from saying that it is
ready; so they have their own, and who comes when all are taken and the queue is long is sent away
at once instead of after a minute.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from graph.errors import Unavailable

AT_ONCE: Final = 4
"""Questions that are being answered: they share two cores with the scoring."""

MOST: Final = 16
"""Questions that are being answered or wait."""

T = TypeVar("T")


class TooManyQuestions(Unavailable):
    """As many questions are being answered or wait as are allowed."""

    code = "too-many-questions"


class Questions:
    """Runs questions, `AT_ONCE` at a time; used from one event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="question")
        self._open = 0

    async def run(self, question: Callable[[], T]) -> T:
        """The answer to a question.

        Raises:
            TooManyQuestions: `MOST` are open.
        """
        if self._open >= MOST:
            raise TooManyQuestions(
                f"{MOST} questions are open already",
                field="questions",
                value=str(self._open),
                remedy="Ask again in a moment.",
            )
        self._open += 1
        # The thread goes on when the asker has left, so it is counted until it is done.
        running = asyncio.get_running_loop().run_in_executor(self._threads, question)
        running.add_done_callback(self._done)
        return await asyncio.shield(running)

    def close(self) -> None:
        """Begin nothing more; what is being answered ends by its own time limit."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _done(self, running: asyncio.Future[T]) -> None:
        self._open -= 1
        if not running.cancelled():
            running.exception()  # seen, also where the asker has left
