"""Decisions about the lists on the wire: what `Topic.LISTS` holds.

A record is one decision about one entity on one list, so the topic is kept whole: the detector
is told each of them in order, and whoever folds them from the first on knows who is listed.
"""

from dataclasses import replace
from typing import Final

import msgspec

from graph.errors import InvalidInput
from graph.lists import ListChange, ListName
from graph.transaction import Entity, EntityKind
from ingest import fields
from ingest.ports import Message, Topic

LONGEST_REASON: Final = 200
LONGEST_AUTHOR: Final = 64

_ENCODER: Final = msgspec.json.Encoder(order="deterministic")
_REMEDY: Final = "Send it with PUT /v1/lists/{list}/{kind}/{id} or `ringfence lists`."


class InvalidListChange(InvalidInput):
    """A decision about the lists cannot be understood."""

    code = "invalid-list-change"


class ListChangeRecord(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="schema", tag="list-change/1"
):
    """A `graph.lists.ListChange` as it is written."""

    listing: ListName
    kind: EntityKind
    id: str
    listed: bool
    reason: str
    author: str
    expires_at: int | None
    at: int

    def to_change(self) -> ListChange:
        """The decision as the core knows it."""
        return ListChange(
            entity=Entity(self.kind, self.id),
            listing=self.listing,
            listed=self.listed,
            reason=self.reason,
            author=self.author,
            expires_at=self.expires_at,
            at=self.at,
        )


def checked(change: ListChange) -> ListChange:
    """The same decision about the entity as the codec would name it.

    Raises:
        InvalidListChange: The id is none of its kind, a text is too long, or a time absurd.
    """
    entity = change.entity
    field = str(entity.kind)
    try:
        name = _NAMED.get(entity.kind, fields.identifier)(entity.id)
        field = "reason"
        _must_be_a_line(change.reason, LONGEST_REASON)
        field = "author"
        _must_be_a_line(change.author, LONGEST_AUTHOR)
        field = "expires_at"
        if change.expires_at is not None:
            fields.event_time(change.expires_at)
        field = "at"
        fields.within_years(change.at, 0, change.at)
    except fields.Flaw as flaw:
        raise _refusal(field, flaw) from None
    return change if name == entity.id else replace(change, entity=Entity(entity.kind, name))


def ending(given: str | int | None, now: int, field: str = "expires_at") -> int | None:
    """The event time at which an entry ends; one that has come by `now` would list nobody.

    Args:
        given: RFC 3339 or epoch milliseconds, as it was sent; None: nothing ends it.
        now: Event time.
        field: What names it to whoever sent it.

    Raises:
        InvalidListChange: It is no time, or past.
    """
    if given is None:
        return None
    try:
        ends = fields.event_time(given)
    except fields.Flaw as flaw:
        raise _refusal(field, flaw) from None
    if ends <= now:
        raise InvalidListChange(
            "event time is past it already, so the entry would end at once",
            field=field,
            value=fields.show(given),
            remedy=f"Send a time after {fields.rfc_3339(now)}; to take the entity off the list, "
            "DELETE it or `ringfence lists drop` it.",
        )
    return ends


def _refusal(field: str, flaw: fields.Flaw) -> InvalidListChange:
    """The error that names the field of a decision; a card number is not shown back."""
    value = None if flaw.value is None else fields.show(flaw.value)
    return InvalidListChange(flaw.what, field=field, value=value, remedy=flaw.remedy)


def _must_be_a_line(text: str, longest: int) -> None:
    if len(text) > longest:
        what, remedy = f"longer than {longest} characters", f"Shorten it to {longest} characters."
        raise fields.Flaw(what, text, remedy)
    if not text.isprintable():
        what = "it has line breaks or other characters that cannot be printed"
        raise fields.Flaw(what, text, "Send one line of plain text.")


def _record(change: ListChange) -> ListChangeRecord:
    return ListChangeRecord(
        listing=change.listing,
        kind=change.entity.kind,
        id=change.entity.id,
        listed=change.listed,
        reason=change.reason,
        author=change.author,
        expires_at=change.expires_at,
        at=change.at,
    )


_NAMED: Final = {EntityKind.IP: fields.ip_address, EntityKind.CARD: fields.card_token}


def message(change: ListChange) -> Message:
    """The decision, ready to be appended.

    Raises:
        InvalidListChange: See `checked`.
    """
    record = _record(checked(change))
    key = f"{record.listing}:{record.kind}:{record.id}"
    return Message(Topic.LISTS, 0, _ENCODER.encode(record), key)


def read(data: bytes) -> ListChange:
    """A record of `Topic.LISTS`: the `ReadFact` of `ingest.reference`.

    Raises:
        InvalidListChange: It is none, or of another version.
    """
    try:
        record = msgspec.json.decode(data, type=ListChangeRecord)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidListChange(
            f"this is not a decision about a list: {error}",
            field="record",
            value=data[:80].decode("utf-8", "replace"),
            remedy=_REMEDY,
        ) from None
    return checked(record.to_change())
