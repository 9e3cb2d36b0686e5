"""How the lists begin: a TOML file.

[blocked]
device = ["stolen-phone-17"]
user = ["u-666"]

[allowed]
merchant = ["payroll-gmbh"]

[watched]
card = ["tok-4711"]
"""

from pathlib import Path
from typing import Any, Final

from graph.errors import InvalidSetting
from graph.lists import ListChange, ListName, Lists
from graph.toml_text import NotToml, read_toml
from graph.transaction import Entity, EntityKind
from ingest.list_changes import InvalidListChange, checked

_REMEDY: Final = (
    'Write [blocked], [allowed] and [watched] with lines such as device = ["id", "id"].'
)


def read_lists(path: Path) -> Lists:
    """Read the lists.

    Raises:
        InvalidSetting: The file cannot be read, or a key or value in it is wrong.
    """
    try:
        content = read_toml(path.read_text(encoding="utf-8"))
    except NotToml as error:
        raise InvalidSetting(
            f"the lists cannot be read: {path} {error.what}",
            field="--lists",
            value=error.value,
            remedy=f"{error.remedy} {_REMEDY}",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting(
            f"the lists cannot be read: {error}", field="--lists", value=str(path), remedy=_REMEDY
        ) from None
    blocked = _entities("blocked", content.pop("blocked", {}))
    allowed = _entities("allowed", content.pop("allowed", {}))
    watched = _entities("watched", content.pop("watched", {}))
    if content:
        raise InvalidSetting(
            "there is no such list", field="--lists", value=", ".join(content), remedy=_REMEDY
        )
    return Lists(blocked=blocked, allowed=allowed, watched=watched)


def _entities(name: str, section: Any) -> frozenset[Entity]:
    kinds = [kind.value for kind in EntityKind]
    if not isinstance(section, dict):
        raise InvalidSetting("it is not a table", field=f"[{name}]", remedy=_REMEDY)
    found: set[Entity] = set()
    for kind, ids in section.items():
        if kind not in kinds:
            raise InvalidSetting(
                "there is no such kind of entity",
                field=f"[{name}]",
                value=kind,
                remedy=f"Use one of {', '.join(kinds)}.",
            )
        if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
            raise InvalidSetting(
                "it is not a list of ids", field=f"[{name}] {kind}", remedy=_REMEDY
            )
        found.update(_as_named(name, Entity(EntityKind(kind), each)) for each in ids)
    return frozenset(found)


def _as_named(name: str, entity: Entity) -> Entity:
    """The entity as transactions name it: else a block of the same address would block nobody."""
    try:
        return checked(ListChange(entity, ListName.WATCH)).entity
    except InvalidListChange as error:
        raise InvalidSetting(
            error.what,
            field=f"[{name}] {entity.kind.value}",
            value=error.value,
            remedy=error.remedy,
        ) from None
