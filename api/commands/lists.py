"""`ringfence lists`: who is blocked, allowed or watched, and decisions about it."""

import time
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from api.console import examples, figures, say
from graph.errors import InvalidInput
from graph.lists import ListChange, ListEntry, ListName
from graph.transaction import Entity, EntityKind

EXAMPLES: Final = examples(
    "ringfence lists",
    'ringfence lists put block device phone-17 --reason "stolen" --author j.doe',
    "ringfence lists put watch user u-1007 --expires 2026-03-31T00:00:00Z",
    "ringfence lists drop block device phone-17",
)


class Action(StrEnum):
    """What to do."""

    SHOW = "show"
    PUT = "put"
    DROP = "drop"


def lists(
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.SHOW,
    listing: Annotated[ListName | None, typer.Argument(help="Which list.")] = None,
    kind: Annotated[EntityKind | None, typer.Argument(help="Kind of the entity.")] = None,
    entity: Annotated[str | None, typer.Argument(help="Its id.", metavar="ID")] = None,
    reason: Annotated[str, typer.Option(help="Why; verdicts show it.")] = "",
    author: Annotated[str, typer.Option(help="Who decided.")] = "",
    expires: Annotated[
        str | None, typer.Option(help="Event time that ends it: RFC 3339 or epoch ms.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the log.")] = None,
    kafka: Annotated[str | None, typer.Option(help="Kafka's host:port.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file with settings; else ./ringfence.toml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Entries as JSON.")] = False,
) -> None:
    """Show the lists, put an entity on one, or take it off.

    A decision is a line in the log: engines that run take it into account from their next batch
    on, and every replay at the same place. Blocked is declined, allowed is never the centre of
    evidence, watched is named in verdicts and alerts and decides nothing.
    """
    from api.adapters import visit_log
    from api.list_board import ListBoard
    from api.lists import read_lists
    from api.settings import Settings
    from graph.lists import Lists
    from ingest.fields import possible_ids
    from ingest.list_changes import checked, message

    settings = Settings.load(config=config, data_dir=data, kafka=kafka)
    # The first decision may come before the first start.
    log = visit_log(settings, must_exist=action is not Action.PUT)
    try:
        begin = Lists() if settings.lists is None else read_lists(settings.lists)
        board = ListBoard(log, begin)
        board.catch_up_fully()
        if action is Action.SHOW:
            names = list(ListName) if listing is None else [listing]
            every = [each for name in names for each in board.entries(name)]
            named = None if entity is None else possible_ids(entity)
            _show([each for each in every if _is_asked(each.entity, kind, named)], as_json=as_json)
            return
        change = checked(
            _change(action, listing, kind, entity, reason, author, expires, board.event_time)
        )
        if not change.listed and board.get(change.listing, change.entity) is None:
            say(f"{change.entity} is not on the {change.listing} list: nothing is written")
            return
        (offset,) = log.append([message(change)])
        done = "is put on" if change.listed else "is taken off"
        say(f"{change.entity} {done} the {change.listing} list (decision {offset})")
    finally:
        log.close()


def _is_asked(of: Entity, kind: EntityKind | None, named: Collection[str] | None) -> bool:
    return (kind is None or of.kind is kind) and (named is None or of.id in named)


def _change(
    action: Action,
    listing: ListName | None,
    kind: EntityKind | None,
    entity: str | None,
    reason: str,
    author: str,
    expires: str | None,
    event_time: int,
) -> ListChange:
    from ingest.list_changes import ending

    if listing is None or kind is None or entity is None:
        raise InvalidInput(
            "it takes a list, a kind and an id",
            field=action.value,
            remedy=f"Write it as in `ringfence lists {action.value} block device phone-17`.",
        )
    ends: str | int | None = expires
    if expires is not None and expires.isdecimal():
        ends = int(expires)
    return ListChange(
        Entity(kind, entity),
        listing,
        listed=action is Action.PUT,
        reason=reason,
        author=author,
        expires_at=ending(ends, event_time, "--expires"),
        at=time.time_ns() // 1_000_000,
    )


def _show(entries: list[ListEntry], *, as_json: bool) -> None:
    from api.views import timestamp

    if as_json:
        figures(
            {
                "entries": [
                    {
                        "listing": each.listing,
                        "kind": each.entity.kind,
                        "id": each.entity.id,
                        "reason": each.reason,
                        "author": each.author,
                        "expires_at": each.expires_at and timestamp(each.expires_at),
                    }
                    for each in entries
                ]
            },
            as_json=True,
        )
        return
    table = Table("list", "entity", "reason", "author", "expires", box=None)
    for each in entries:
        ends = "" if each.expires_at is None else timestamp(each.expires_at)
        cells = (each.listing.value, str(each.entity), each.reason, each.author, ends)
        table.add_row(*(cell.replace("[", r"\[") for cell in cells))
    Console(highlight=False).print(table)
    say(f"{len(entries)} entries")
