"""Wording: counts as an investigator says them, for reasons, headlines and roles."""


def counted(n: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "account"), counted(0, "transfer")
    ('1 account', '0 transfers')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
