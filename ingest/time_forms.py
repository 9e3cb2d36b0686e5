"""How a time may be written: a raw value, and what a mapping says of it, as epoch milliseconds."""

import re
import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from graph.transaction import DAY, HOUR, MILLISECOND, MINUTE, SECOND
from ingest import fields
from ingest.cell_text import text_of
from ingest.fields import Flaw
from ingest.mapping import Source

UNITS: Final = {
    "epoch_s": SECOND,
    "epoch_ms": MILLISECOND,
    "seconds": SECOND,
    "minutes": MINUTE,
    "hours": HOUR,
    "days": DAY,
}
"""What a number counts, in milliseconds."""
_AS_MILLISECONDS: Final = range(10**11, 10**14)
"""Whole numbers that are taken for epoch milliseconds; as seconds they are after 5138."""
_IS_SECONDS: Final = 'Set time = "epoch_s".'
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,12})?")


def time_reader(source: Source, earliest: int) -> Callable[[Any], int]:
    """What reads a value of a source as epoch milliseconds, and raises a `Flaw` of what is none."""
    match source.time:
        case "wire":
            return lambda raw: _wire_time(raw, earliest)
        case "iso":
            return lambda raw: _civil_time(raw, source, None)
        case "pattern":
            return lambda raw: _civil_time(raw, source, source.pattern)
        case "epoch_s" | "epoch_ms":
            return lambda raw: _epoch(raw, source.time)
        case unit:
            scale, origin = UNITS[unit], source.origin_ms
            return lambda raw: origin + _scaled(raw, scale)


def _wire_time(raw: Any, earliest: int) -> int:
    """As the wire has it; in a CSV file milliseconds come as text."""
    if isinstance(raw, str) and re.fullmatch("-?[0-9]{1,15}", raw):
        raw = int(raw)
    try:
        return fields.event_time(raw) if earliest == 0 else fields.opening_time(raw)
    except Flaw as flaw:
        raise Flaw(flaw.what, raw, _file_remedy(raw) or flaw.remedy) from None


def _file_remedy(raw: Any) -> str | None:
    """What to write in the mapping for a time that the wire does not take."""
    if isinstance(raw, int):
        return _IS_SECONDS if raw in fields.EPOCH_SECONDS else None
    try:
        if datetime.fromisoformat(raw).tzinfo is not None:
            return None
    except (TypeError, ValueError):
        return None
    return 'Set time = "iso" and zone = "UTC", or the name of the zone it means: "Europe/Berlin".'


def _epoch(raw: Any, unit: str) -> int:
    """Seconds or milliseconds since 1970, if they are not plainly the other ones."""
    time = _scaled(raw, UNITS[unit])
    if unit == "epoch_ms" and time in fields.EPOCH_SECONDS:
        what = "this looks like epoch seconds; the mapping says milliseconds"
        raise Flaw(what, raw, _IS_SECONDS)
    if unit == "epoch_s" and time // SECOND in _AS_MILLISECONDS:
        what = "this looks like epoch milliseconds; the mapping says seconds"
        raise Flaw(what, raw, 'Set time = "epoch_ms".')
    return time


def _scaled(raw: Any, scale: int) -> int:
    text = text_of(raw)
    if not _NUMBER.fullmatch(text):
        raise Flaw("not a number", raw, "Set time to the form it has.")
    return int((Decimal(text) * scale).to_integral_value(ROUND_HALF_EVEN))


def _civil_time(raw: Any, source: Source, pattern: str | None) -> int:
    try:
        text = text_of(raw)
        found = datetime.fromisoformat(text) if pattern is None else _strptime(text, pattern)
    except ValueError as error:
        expected = "ISO 8601" if pattern is None else f"the pattern {pattern}"
        raise Flaw(f"not a time of {expected}", raw, f"Correct the mapping: {error}.") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=_zone_info(source))
    try:
        since = found.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    except OverflowError:
        raise Flaw("outside the years 1970 to 2199", raw, "Check the column.") from None
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def _strptime(text: str, pattern: str) -> datetime:
    return datetime.strptime(text, pattern)  # noqa: DTZ007 - the mapping's zone follows


def _zone_info(source: Source) -> tzinfo:
    return zoneinfo.ZoneInfo(zone_of(source, "the time names no zone"))


def zone_of(source: Source, what: str) -> str:
    """The zone that a mapping names for times without one.

    Raises:
        Flaw: It names none (`what` says where one is needed), or one that does not exist.
    """
    zone = source.zone
    remedy = 'Say which zone it means: zone = "UTC", or a name such as "Europe/Berlin".'
    if zone is None:
        raise Flaw(what, None, remedy)
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise Flaw("there is no such time zone", zone, remedy) from None
    return zone
