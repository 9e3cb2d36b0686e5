"""The watermark: how far event time has come, as far as several transactions agree.

It is the third-newest timestamp seen (the oldest of them while fewer were seen). One or two
transactions with absurd timestamps therefore cannot advance it; a third that agrees can, so whoever
lets transactions in refuses timestamps in the future by the clock on the wall.
"""

from enum import Enum
from typing import Final

WITNESSES: Final = 3


class Punctuality(Enum):
    """How a timestamp stands to the watermark."""

    ON_TIME = "on time"
    LATE = "late"
    AHEAD = "ahead"


class Watermark:
    """Event time as `WITNESSES` transactions agree on it.

    Args:
        lateness: How far behind the watermark a transaction may still come, ms.
        ahead: How far in front of it a transaction may be taken in, ms.

    Attributes:
        time: The watermark, ms; 0 before the first transaction.
        newest: The newest timestamp seen, however absurd; 0 before the first.
    """

    def __init__(self, lateness: int, ahead: int) -> None:
        self.lateness = lateness
        self.ahead = ahead
        self.time = 0
        self.newest = 0
        self._newest: list[tuple[int, int]] = []

    def judge(self, timestamp: int) -> Punctuality:
        """How a timestamp stands to the watermark as it is."""
        if not self._newest:
            return Punctuality.ON_TIME
        if timestamp < self.time - self.lateness:
            return Punctuality.LATE
        if timestamp > self.time + self.ahead:
            return Punctuality.AHEAD
        return Punctuality.ON_TIME

    def observe(self, timestamp: int, key: int) -> Punctuality:
        """Let a timestamp count, then say how it stands to the watermark.

        `key` stands for the transaction, which counts once however often it is sent.

        >>> mark = Watermark(lateness=5, ahead=100)
        >>> [mark.observe(t, t).value for t in (10, 11, 253_402_300_799_000, 12, 13)]
        ['on time', 'on time', 'ahead', 'on time', 'on time']
        >>> mark.time
        12
        """
        newest = self._newest
        witness = (timestamp, key)
        if witness not in newest:
            if len(newest) < WITNESSES:
                newest.append(witness)
                newest.sort()
            elif witness > newest[0]:
                newest[0] = witness
                newest.sort()
            self.time, self.newest = newest[0][0], newest[-1][0]
        return self.judge(timestamp)

    def snapshot(self) -> list[tuple[int, int]]:
        """The timestamps it rests on, with the transactions they came from."""
        return list(self._newest)

    def restore(self, newest: list[tuple[int, int]]) -> None:
        """Take over a snapshot."""
        self._newest = [(timestamp, key) for timestamp, key in newest]
        if newest:
            self.time, self.newest = newest[0][0], newest[-1][0]
