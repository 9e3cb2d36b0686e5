"""The wall clock. Only the border has one; the core is given its times."""

import time


def wall_clock() -> int:
    """Epoch milliseconds now."""
    return time.time_ns() // 1_000_000
