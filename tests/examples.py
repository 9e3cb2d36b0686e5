"""How many examples a law is tried on."""

from hypothesis import settings


def examples(most: int) -> int:
    """`most`, or the share of it that the profile leaves: see `tests/conftest.py`.

    For laws that take a good part of a second. Three at least: Hypothesis begins with the plainest.
    A law of which every example counts says its number as it is.
    """
    return max(min(most, 3), most * settings.default.max_examples // 100)
