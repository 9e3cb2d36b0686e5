"""The kinds of values a setting may hold: each says what it expects, and shows no password.

A function here takes what was given and returns what the engine works with, or raises a
ValueError whose message completes "RINGFENCE_KAFKA: ...".
"""

import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BeforeValidator, Secret, SecretStr

MASK: Final = "**********"
FOLLOWERS: Final = ("graph", "cache")
_BOLT: Final = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")
_REDIS: Final = ("redis", "rediss")
_PREFIX: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_DATABASE: Final = re.compile(r"[A-Za-z][A-Za-z0-9.-]{2,62}")
_SECRET_PARAMETER: Final = re.compile(r"(?i)\b(password|username)=[^&#]*")
_SHORTEST_TOKEN: Final = 16


def masked_url(text: str) -> str:
    """A URL as it may be shown: nothing of a password in it, even where it cannot be parsed."""
    scheme, found, rest = text.partition("://")
    if not found:
        return MASK if "@" in text else text
    # A password may hold an unescaped slash or "@": all before the last "@" is taken for one.
    before, at, after = rest.rpartition("@")
    user = before.partition(":")[0] if ":" in before else ""
    return _SECRET_PARAMETER.sub(r"\1=***", f"{scheme}://{f'{user}:***@' if at else ''}{after}")


def _whole(value: object) -> object:
    if isinstance(value, bool | float) or (isinstance(value, str) and not value.isdecimal()):
        raise ValueError("not a whole number")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("not a number")  # noqa: TRY004 - pydantic collects a ValueError
    return value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _not_a_file(path: Path) -> Path:
    path = path.expanduser()
    if path.exists() and not path.is_dir():
        raise ValueError("is a file, not a folder")
    return path


def _folder(path: Path) -> Path:
    path = path.expanduser()
    if not path.is_dir():
        raise ValueError("is a file, not a folder" if path.exists() else "there is no such folder")
    return path


def _file(path: Path) -> Path:
    path = path.expanduser()
    if not path.is_file():
        raise ValueError("is not a file" if path.exists() else "there is no such file")
    return path


def _split(text: str) -> SplitResult:
    """A URL in its parts, or a ValueError in plain words; `urlsplit` alone lets bad ports pass."""
    if any(letter.isspace() for letter in text):
        raise ValueError("has a space in it")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("has a host or a port that cannot be one") from None
    if not parts.hostname:
        raise ValueError("names no host")
    if port == 0:
        raise ValueError("has port 0: name the one the server listens on")
    return parts


def bootstrap(text: str) -> str:
    """Kafka's servers to ask first: "host:port", several with commas, without a scheme."""
    bare = text.strip().removeprefix("kafka://").rstrip("/")
    servers = [server.strip() for server in bare.split(",")]
    for server in servers:
        if not server:
            raise ValueError("has an empty place between its commas")
        if "://" in server or "/" in server:
            raise ValueError("is host:port, with kafka:// before it or nothing")
        parts = _split(f"kafka://{server}")
        if "@" in server:
            raise ValueError("holds a user: that goes into kafka_user and kafka_password")
        if parts.port is None:
            raise ValueError(f"{server} has no port")
    return ",".join(servers)


def bolt(text: str) -> str:
    """Where Neo4j answers: a bolt:// or neo4j:// URL, +s for TLS, without user and password."""
    if text.partition("://")[0] not in _BOLT:
        raise ValueError(f"begins with none of {', '.join(f'{each}://' for each in _BOLT)}")
    parts = _split(text)
    if "@" in parts.netloc:
        raise ValueError("holds a user: that goes into neo4j_user and neo4j_password")
    if parts.path not in {"", "/"}:
        raise ValueError("has a path: the database goes into neo4j_database")
    return text.rstrip("/")


def redis_url(text: str) -> str:
    """Where Redis answers: redis:// or rediss:// (TLS), with a number for a path."""
    if text.partition("://")[0] not in _REDIS:
        raise ValueError("begins with neither redis:// nor rediss://")
    parts = _split(text)
    if not re.fullmatch(r"(/\d{0,5})?", parts.path):
        raise ValueError("has a path that is not the number of a database")
    return text


def followers(value: object) -> object:
    """The followers of this process, in the house's order: "graph,cache", one of them, "none"."""
    names = [each.strip() for each in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError("is not a list of names")
    if [name.lower() for name in names] in ([], ["none"]):
        return ()
    if unknown := [name for name in names if name not in FOLLOWERS]:
        raise ValueError(f"{unknown[0]!r} is not a follower")
    return tuple(each for each in FOLLOWERS if each in names)


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise ValueError("may hold letters, digits, dot, hyphen and underscore, 100 at most")
    return text


def _database(text: str) -> str:
    if not _DATABASE.fullmatch(text):
        raise ValueError("is no name of a database: 3 to 63 letters, digits, dots and hyphens")
    return text


def _token(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if len(text) < _SHORTEST_TOKEN:
        raise ValueError(f"is shorter than {_SHORTEST_TOKEN} characters: it could be guessed")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("holds a character that a header cannot carry")
    return secret


class RedisUrl(Secret[Annotated[str, AfterValidator(redis_url)]]):
    """A Redis URL: shown with its password masked; `get_secret_value()` is the whole of it."""

    def _display(self) -> str:
        return masked_url(self.get_secret_value())


Whole = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, BeforeValidator(_number)]
Lower = BeforeValidator(_lower)
Upper = BeforeValidator(_upper)
NewFolder = Annotated[Path, AfterValidator(_not_a_file)]
Folder = Annotated[Path, AfterValidator(_folder)]
File = Annotated[Path, AfterValidator(_file)]
Bootstrap = Annotated[str, AfterValidator(bootstrap)]
BoltUrl = Annotated[str, AfterValidator(bolt)]
TopicPrefix = Annotated[str, AfterValidator(_prefix)]
DatabaseName = Annotated[str, AfterValidator(_database)]
Followers = Annotated[tuple[str, ...], BeforeValidator(followers)]
Token = Annotated[SecretStr, AfterValidator(_token)]
