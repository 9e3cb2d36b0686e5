"""The Neo4j driver's errors as ours: is the server the trouble, or what it was given?

The driver's tree mixes the two. What decides here is the status code that the server sent:

    Neo.TransientError.*         the server: try again (memory: the question was too broad)
    Neo.DatabaseError.*          either; a write asks once more with nothing in it (`ambiguous`)
    Neo.ClientError.Security.*   the server, until somebody mends the password or the role
    Neo.ClientError.Database.*, .Cluster.*, .Transaction.*   the server
    Neo.ClientError.*            what it was given
    no code                      the connection: the server
"""

from typing import Final

from neo4j.exceptions import (
    AuthError,
    ClientError,
    ConfigurationError,
    DatabaseError,
    DriverError,
    Neo4jError,
    TransientError,
)

from cypher.ports import GraphUnavailable, QueryTooBroad
from graph.errors import InvalidInput, InvalidSetting, RingfenceError

CAUGHT: Final = (
    Neo4jError,
    DriverError,
    OSError,  # the socket's own, where the driver lets it through; TimeoutError is one
    OverflowError,  # from packing: an integer beyond 64 bits,
    ValueError,  # text that is not Unicode,
    TypeError,  # or a value of no Cypher type
)
"""What a call of the driver can raise that is not a bug of ours."""

_OUT_OF_TIME: Final = "TransactionTimedOut"
_OUT_OF_MEMORY: Final = frozenset(
    {
        "Neo.TransientError.General.MemoryPoolOutOfMemoryError",
        "Neo.TransientError.General.TransactionMemoryLimit",
        "Neo.TransientError.General.OutOfMemoryError",
    }
)
_SERVERS_FAULT: Final = tuple(
    f"Neo.ClientError.{kind}." for kind in ("Security", "Database", "Cluster", "Transaction")
)
_ALREADY_THERE: Final = "Neo.ClientError.Schema.EquivalentSchemaRuleAlreadyExists"
_CHARACTERS: Final = 300
"""Of the server's message: it may quote a value of any length."""


def on_write(error: BaseException) -> RingfenceError:
    """What a batch that could not be written means."""
    return _from_packing(error) or _from_server(error)


def on_query(error: BaseException, timeout_ms: int) -> RingfenceError:
    """What a question that was not answered means."""
    if isinstance(error, Neo4jError):
        code = str(error.code)
        if _OUT_OF_TIME in code:
            return too_slow(timeout_ms)
        if code in _OUT_OF_MEMORY:
            return QueryTooBroad(
                "would hold more than its memory bound",
                field="query",
                value=_said(error),
                remedy="Ask for fewer hops or a shorter time.",
            )
    return _from_packing(error) or _from_server(error)


def on_open(error: BaseException, url: str) -> RingfenceError:
    """What a connection that cannot be opened means: a wrong setting, or a server that is away."""
    if isinstance(error, AuthError):
        return InvalidSetting(
            "the server refuses the user or the password",
            field="neo4j_user, neo4j_password",
            value=url,
            remedy="Correct them; the server's answer was: " + _said(error),
        )
    if isinstance(error, ConfigurationError):
        return InvalidSetting(
            str(error)[:_CHARACTERS],
            field="neo4j",
            value=url,
            remedy="Write a URL such as bolt://localhost:7687, of a Neo4j 5.",
        )
    if isinstance(error, ClientError) and ".Database." in str(error.code):
        return InvalidSetting(
            _said(error), field="neo4j database", value=url, remedy="Name one that is there."
        )
    return _from_server(error)


def ambiguous(error: BaseException) -> bool:
    """Whether the code leaves open if the server is ill or the batch is bad."""
    return isinstance(error, DatabaseError)


def already_there(error: BaseException) -> bool:
    """Whether a schema command found the very index or constraint that it was to make."""
    return isinstance(error, Neo4jError) and error.code == _ALREADY_THERE


def refused(error: BaseException) -> InvalidInput:
    """The batch is what is bad."""
    return InvalidInput(
        f"the graph cannot take this: {_said(error)}",
        field="query",
        remedy="Send one read-only Cypher statement with all its parameters, and 64-bit integers.",
    )


def too_slow(timeout_ms: int) -> QueryTooBroad:
    """The question used its time up."""
    return QueryTooBroad(
        "took longer than its time limit",
        field="query",
        value=f"{timeout_ms} ms",
        remedy="Ask for fewer hops or a shorter time, or allow more time.",
    )


def silent(seconds: float) -> GraphUnavailable:
    """The server took no notice of us for so long."""
    return GraphUnavailable(
        f"the graph database did not answer within {seconds:g} s",
        remedy="See whether it runs and can be reached; it is tried again.",
    )


def _from_packing(error: BaseException) -> InvalidInput | None:
    if isinstance(error, OverflowError | ValueError | TypeError):
        return refused(error)
    return None


def _from_server(error: BaseException) -> RingfenceError:
    if isinstance(error, Neo4jError):
        code = str(error.code)
        given = code.startswith("Neo.ClientError.") and not code.startswith(_SERVERS_FAULT)
        if given and not isinstance(error, TransientError):  # NotALeader is both to the driver
            return refused(error)
    return GraphUnavailable(
        f"the graph database does not answer: {_said(error)}",
        remedy="See whether it runs, can be reached and has room; it is tried again.",
    )


def _said(error: BaseException) -> str:
    if isinstance(error, Neo4jError):
        text = f"{error.message} ({error.code})"
    else:
        text = str(error) or type(error).__name__
    text = text.partition("\n")[0]
    return text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 3] + "..."
