"""How many examples a law is tried on."""

from hypothesis import settings


def examples(most: int) -> int:
    """`most`, or the share of it that the profile leaves: see `tests/conftest.py`.

    For laws that take seconds. A law of which every example counts says its number as it is.
    """
    return most * settings.default.max_examples // 100
