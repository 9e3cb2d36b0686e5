"""Wording: counts and patterns as an investigator says them, for reasons, headlines and roles."""

from collections.abc import Mapping
from typing import Final

from graph.evidence import Pattern

_WRITTEN: Final[Mapping[Pattern, str]] = {
    Pattern.PING_PONG: "ping-pong",
    Pattern.FAN_IN: "fan-in",
    Pattern.FAN_OUT: "fan-out",
    Pattern.SCATTER_GATHER: "scatter-gather",
    Pattern.GATHER_SCATTER: "gather-scatter",
    Pattern.BIPARTITE: "bipartite layer",
    Pattern.STACK: "stack of layers",
    Pattern.SHARED_IP: "shared IP",
    Pattern.BLOCKED: "blocked entity",
    Pattern.MULE: "pass-through mule",
    Pattern.DORMANT_BURST: "dormant account in a burst",
    Pattern.TAKEOVER: "account takeover",
    Pattern.BUST_OUT: "bust-out",
}
"""What is written otherwise than its name with spaces."""


def pattern_words(pattern: Pattern) -> str:
    """A pattern as it stands in a sentence.

    >>> pattern_words(Pattern.FAN_IN), pattern_words(Pattern.SHARED_DEVICE)
    ('fan-in', 'shared device')
    """
    return _WRITTEN.get(pattern, pattern.replace("_", " "))


def were(n: int) -> str:
    """What goes with a number of things.

    >>> f"1 of 3 payments {were(1)} new", f"2 of 3 payments {were(2)} new"
    ('1 of 3 payments was new', '2 of 3 payments were new')
    """
    return "was" if n == 1 else "were"


def counted(n: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "account"), counted(0, "transfer")
    ('1 account', '0 transfers')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
