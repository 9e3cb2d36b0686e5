"""Where an event stream starts: after what the client has, or now."""

from typing import Final

from api.problems import InvalidParameter, shorten
from api.streams import Feed

ENDLESS: Final = 2**48 - 1
"""No offset that a client may name is as large: the next one has to be an offset as well."""
_DIGITS = len(str(ENDLESS))


async def start_after(feed: Feed, last_event_id: str | None, after: int | None) -> int:
    """The offset of the last event the client has; what its browser remembers comes first.

    Raises:
        InvalidParameter: `Last-Event-ID` is not an id that we sent.
    """
    if last_event_id is not None:
        text = last_event_id.strip()
        digits = text.isascii() and text.isdecimal() and len(text) <= _DIGITS
        if text == "-1" or (digits and int(text) < ENDLESS):
            return int(text)
        raise InvalidParameter(
            "this is not the id of an event",
            field="Last-Event-ID",
            value=shorten(last_event_id),
            remedy="Send the `id` of the last event you got, or nothing to start from now.",
        )
    if after is not None:
        return after
    return (await feed.bounds()).next - 1
