"""Free Cypher: a statement that somebody wrote, for the few who may, and only to read the graph.

The store refuses to write. But a database that reads only can still be made to read files of its
machine and pages of its network (`LOAD CSV`), to call procedures, to build projections in memory
and to show or end other people's transactions. So a statement is looked at before it is sent,
whatever the store does for itself: it may use the words of a reading query and no others.

This is a fence, not a parser. It reads words outside of strings, comments and backticks, and what
it cannot be sure of it refuses: a property called `set` has to be written in backticks.
"""

import re
from collections.abc import Mapping
from typing import ClassVar, Final

from cypher.ports import GraphStore, Rows
from graph.errors import InvalidInput

MAX_CHARACTERS: Final = 20_000
"""Of one statement: the longest investigation that ships has 6,000."""

MAX_ROWS: Final = 500
TIMEOUT_MS: Final = 5_000

_REMEDY: Final = "Send one Cypher statement; long lists belong into parameters."

_QUIET: Final = re.compile(
    r"""
      '(?:\\.|[^'\\])*'      # text
    | "(?:\\.|[^"\\])*"
    | `(?:``|[^`])*`         # a quoted name
    | //[^\n\r]*             # a comment
    | /\*.*?\*/
    """,
    re.VERBOSE | re.DOTALL,
)
_WORD: Final = re.compile(r"[^\W\d]\w*")
_ESCAPE: Final = re.compile(r"\\u", re.IGNORECASE)
_DOTTED_CALL: Final = re.compile(r"([^\s.,()\[\]{}+*/<>=:;-]+)\s*(?:\.\s*[^\s.(]+\s*)+\(")
_CALL: Final = re.compile(r"\bCALL\b(?!\s*[{(])", re.IGNORECASE)

_BATCHES: Final = re.compile(r"\}\s*IN\s+(?:\S+\s+){0,2}TRANSACTIONS\b", re.IGNORECASE)

_REFUSED: Final = frozenset(
    {
        *("CREATE", "MERGE", "INSERT", "SET", "REMOVE", "DELETE", "DETACH", "NODETACH", "FOREACH"),
        *("LOAD", "PERIODIC", "SHOW", "TERMINATE", "USE", "FINISH"),
        *("ALTER", "DENY", "DROP", "DRYRUN", "ENABLE", "GRANT", "RENAME", "REVOKE"),
        *("START", "STOP"),
    }
)
"""Words that begin, or belong to, what is not reading the graph."""

_NAMESPACES: Final = frozenset(
    {"DATE", "DATETIME", "DURATION", "LOCALDATETIME", "LOCALTIME", "POINT", "TIME"}
)
"""Before the dot of functions that belong to Cypher itself; others are of plug-ins."""


class NotReading(InvalidInput):
    """The statement may do more than read the graph."""

    code: ClassVar[str] = "not-reading"


def check(statement: str) -> None:
    """Let a statement pass that can only read the graph.

    Raises:
        NotReading: A word, procedure or function in it is not of a reading query.
        InvalidInput: It is empty, too long, or more than one.

    >>> check("MATCH (u:User {id: $user}) RETURN u.id AS account")
    >>> check("MATCH (n) SET n.x = 1")
    Traceback (most recent call last):
    cypher.free_cypher.NotReading: query: may only read the graph (found SET). Use MATCH, ...
    """
    if not 1 <= len(statement.strip()) <= MAX_CHARACTERS:
        raise InvalidInput(
            f"must have 1 to {MAX_CHARACTERS} characters",
            field="query",
            value=f"{len(statement)} characters",
            remedy=_REMEDY,
        )
    if _ESCAPE.search(statement):
        # Neo4j turns \u0027 into a quote before it reads the statement, also inside of a string.
        raise _refusal("\\u", "Write the character itself, or send it as a parameter.")
    _check_words(statement)


def _check_words(statement: str) -> None:
    # A name in backticks stays a name: it must not make two words one, nor hide a procedure's.
    bare = _QUIET.sub(lambda found: " `x` " if found[0].startswith("`") else " ", statement)
    for quote in ("'", '"', "/*"):
        if quote in bare:
            raise _refusal(quote, "End every string and comment.")
    if _CALL.search(bare):
        raise _refusal("CALL of a procedure", "A subquery, CALL { } or CALL (x) { }, is allowed.")
    if _BATCHES.search(bare):
        raise _refusal("IN TRANSACTIONS", "A statement is one transaction.")
    for word in _WORD.findall(bare):
        if word.upper() in _REFUSED:
            raise _refusal(
                word.upper(),
                "Use MATCH, WHERE, WITH, UNWIND, UNION, CALL { } and RETURN; put a name that "
                "looks like another clause into backticks.",
            )
    for namespace in _DOTTED_CALL.findall(bare):
        if namespace.upper() not in _NAMESPACES:
            raise _refusal(f"{namespace}.…()", "Use the functions of Cypher itself.")
    if ";" in bare.strip().removesuffix(";"):
        # A store answers the last of several, and says nothing of the others.
        raise InvalidInput(
            "must be one statement", field="query", value="more after a semicolon", remedy=_REMEDY
        )


def ask(
    store: GraphStore,
    statement: str,
    parameters: Mapping[str, object],
    *,
    max_rows: int = MAX_ROWS,
    timeout_ms: int = TIMEOUT_MS,
) -> Rows:
    """Answer a statement that somebody wrote, if it can only read the graph.

    Args:
        store: Whom to ask.
        statement: One statement of Cypher.
        parameters: By name, without the `$`.
        max_rows: At most so many rows; `Rows.truncated` says that there were more.
        timeout_ms: At most so long.

    Raises:
        NotReading: See `check`.
        InvalidInput: It is no Cypher, more than one statement, or misses a parameter.
        QueryTooBroad: It took longer or needed more memory than it may.
        GraphUnavailable: The store does not answer.
    """
    check(statement)
    return store.query(statement, parameters, max_rows=max_rows, timeout_ms=timeout_ms)


def _refusal(found: str, remedy: str) -> NotReading:
    return NotReading("may only read the graph", field="query", value=found, remedy=remedy)
