"""The exceptions of the house.

    RingfenceError
    ├── InvalidInput       what was sent cannot be understood      HTTP 4xx, CLI exit 2, dead letter
    │   └── ...            (the codec's and the datasets' own leaves)
    ├── InvalidSetting     the configuration cannot work           CLI exit 2
    ├── Incompatible       an artefact is of another version, torn or tampered with   CLI exit 3
    └── Unavailable        a part outside this process does not answer              HTTP 503, exit 4

Every one says which field or part, what was found, and what to do about it. Late and duplicate
transactions are answers, not exceptions.
"""

from typing import Any, ClassVar


class RingfenceError(Exception):
    """The root: `code` is stable, `field`, `value` and `remedy` fill the problem document."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(
        self, what: str, *, field: str | None = None, value: str | None = None, remedy: str
    ) -> None:
        self.what = what
        self.field = field
        self.value = value
        self.remedy = remedy
        place = f"{field}: " if field else ""
        found = f" (found {value})" if value is not None else ""
        super().__init__(f"{place}{what}{found}. {remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are pickled as their class and `args`, of which no leaf can be made again: it
        # was raised in a process of a pool, and what arrived was that the pool is broken.
        return _again, (type(self), self.args, vars(self))


def _again(
    leaf: type[RingfenceError], args: tuple[object, ...], told: dict[str, Any]
) -> RingfenceError:
    error = leaf.__new__(leaf, *args)
    vars(error).update(told)
    return error


class InvalidInput(RingfenceError):
    """What was sent cannot be understood."""

    code = "invalid-input"
    exit_code = 2
    http_status = 422


class InvalidSetting(RingfenceError):
    """The configuration cannot work."""

    code = "invalid-setting"
    exit_code = 2


class Incompatible(RingfenceError):
    """A snapshot or model is of another version, torn, or tampered with."""

    code = "incompatible"
    exit_code = 3


class Unavailable(RingfenceError):
    """A part outside this process does not answer."""

    code = "unavailable"
    exit_code = 4
    http_status = 503
