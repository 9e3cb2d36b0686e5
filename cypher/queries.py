"""The catalogue of investigations, and how one is run.

Every `.cypher` file beside this module is an investigation. Its query is sent as it stands in the
file; what the caller gives is checked against the header and reaches the database as parameters
only, so no value can become part of a query.

Rings merge, and the ids of those that did go on being asked about: they stand in alerts, mails and
case files. Which ring each became lies in the graph (`MERGED_INTO`), so it is looked up there, for
every parameter that is a ring, before the question is put: the same on every adapter, after a
restart, and where no server runs beside the graph.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import ClassVar, Final

from cypher.investigation import Group, Investigation, ParameterType, nearest, parse
from cypher.ports import GraphStore, Rows
from graph.errors import InvalidInput

_ORDER: Final = list(Group)

# A ring names all that ever merged into it, so one hop reaches the one that is left.
_BECAME: Final = (
    "UNWIND $rings AS given MATCH (:Ring {id: given})-[:MERGED_INTO]->(became:Ring) "
    "WHERE NOT (became)-[:MERGED_INTO]->(:Ring) "
    "RETURN given, min(became.id) AS became ORDER BY given"
)


class WrongDialect(InvalidInput):
    """The graph database that is in use does not understand this question."""

    code: ClassVar[str] = "wrong-dialect"


class UnknownInvestigation(InvalidInput):
    """There is no investigation of this name."""

    code: ClassVar[str] = "unknown-investigation"
    http_status: ClassVar[int] = 404


@dataclass(frozen=True, slots=True)
class Answer(Rows):
    """The rows that answer an investigation.

    Attributes:
        became: Of each ring that was asked about and had merged: which one the rows tell of.
    """

    became: Mapping[str, str]


def catalogue() -> list[Investigation]:
    """Every investigation, by group and name."""
    return list(_shipped())


@cache
def _shipped() -> tuple[Investigation, ...]:
    files = (f for f in resources.files(__package__).iterdir() if f.name.endswith(".cypher"))
    found = (parse(f.name.removesuffix(".cypher"), f.read_text(encoding="utf-8")) for f in files)
    return tuple(sorted(found, key=lambda each: (_ORDER.index(each.group), each.name)))


def find(name: str) -> Investigation:
    """The investigation of this name.

    Raises:
        UnknownInvestigation: There is none; the remedy has the nearest names.
    """
    for investigation in catalogue():
        if investigation.name == name:
            return investigation
    names = sorted(each.name for each in catalogue())
    raise UnknownInvestigation(
        "there is no investigation of this name",
        field="name",
        value=repr(name[:80]),
        remedy=f"{nearest(name, names)}`ringfence investigate` and GET /v1/investigations list "
        f"all {len(names)}.",
    )


def run(
    store: GraphStore,
    name: str,
    parameters: Mapping[str, object],
    *,
    max_rows: int | None = None,
    timeout_ms: int | None = None,
) -> Answer:
    """Ask the store one of the catalogue's questions.

    An id that the graph does not know gives no rows; it is not an error. The id of a ring that
    merged asks about the ring it became, which `Answer.became` names.

    Args:
        store: Whom to ask.
        name: Name in the catalogue.
        parameters: By name, as a form or JSON carries them; those with a default may be missing.
        max_rows: At most so many rows, 1 to the investigation's own limit, which is taken where
            this is None; `Rows.truncated` says that there were more.
        timeout_ms: At most so long; the same. Looking up what a ring became has as long again.

    Raises:
        UnknownInvestigation: There is no such investigation.
        WrongDialect: It is written for another graph database than this one.
        InvalidInput: A parameter is unknown, missing, of another type or out of bounds.
        QueryTooBroad: It took longer or needed more memory than it may.
        GraphUnavailable: The store does not answer.
    """
    investigation = find(name)
    bound = investigation.bind(parameters)
    if investigation.needs is not None and investigation.needs != store.dialect:
        raise WrongDialect(
            f"{name} needs {investigation.needs_for}",
            field="name",
            value=name,
            remedy="Set RINGFENCE_NEO4J to a Neo4j 5 server, or ask `money-trail`.",
        )
    most_rows = _limit("max_rows", max_rows, investigation.max_rows)
    most_ms = _limit("timeout_ms", timeout_ms, investigation.timeout_ms)
    rings = [p.name for p in investigation.parameters if p.type is ParameterType.RING]
    became = _became(store, [str(bound[ring]) for ring in rings], most_ms)
    for ring in rings:
        bound[ring] = became.get(str(bound[ring]), bound[ring])
    rows = store.query(investigation.cypher, bound, max_rows=most_rows, timeout_ms=most_ms)
    return Answer(rows.columns, rows.rows, rows.truncated, became)


def _became(store: GraphStore, rings: list[str], timeout_ms: int) -> dict[str, str]:
    """Which ring each of these is part of now; those that never merged are left out."""
    if not rings:
        return {}
    found = store.query(_BECAME, {"rings": rings}, max_rows=len(rings), timeout_ms=timeout_ms)
    return {str(given): str(became) for given, became in found.rows}


def _limit(name: str, given: int | None, most: int) -> int:
    if given is None:
        return most
    if not 1 <= given <= most:
        raise InvalidInput(
            f"must be from 1 to {most}",
            field=name,
            value=str(given),
            remedy=f"Leave it out for {most}.",
        )
    return given
