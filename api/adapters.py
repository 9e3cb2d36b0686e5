"""Which adapter stands behind each port: a URL names a server, without one the part is embedded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from api.settings import Settings
from cypher.ports import GraphStore
from graph.errors import InvalidSetting, Unavailable
from ingest.embedded import EmbeddedLog
from ingest.lease import Lease
from ingest.ports import Log
from ingest.workshop import held

if TYPE_CHECKING:
    from ingest.kafka_client import KafkaSettings

GRAPH: Final = "graph.kgl"
LOG: Final = "log.sqlite"
INDEX: Final = "verdicts.sqlite"
SERVED: Final = ".ringfence-served"
"""A file in the data folder that its server holds."""


def data_folder(folder: Path) -> Path:
    """The data folder, made where it is missing.

    Raises:
        InvalidSetting: It cannot be made or is not a folder.
    """
    with _of_data_folder(folder, "made"):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _of_data_folder(folder: Path, what: str) -> Iterator[None]:
    """What the system refuses in the block is said of the data folder."""
    try:
        yield
    except OSError as error:
        raise InvalidSetting(
            f"the data folder cannot be {what}: {error.strerror}",
            field="--data",
            value=str(folder),
            remedy="Name a folder that can be written.",
        ) from error


@contextmanager
def served(folder: Path) -> Iterator[None]:
    """Be the only server of a data folder for the time of the block.

    Commands may work with the folder meanwhile, and followers in processes of their own.

    Raises:
        InvalidSetting: The folder cannot be made or written.
        Unavailable: Another server has it.
    """
    file = data_folder(folder) / SERVED
    with _of_data_folder(folder, "written"):
        file.touch()
    with held(file) as ours:
        if ours is False:  # None where there are no such locks: nobody is kept out there
            raise Unavailable(
                "another server has this data folder",
                field="--data",
                value=str(folder),
                remedy="Stop it first, or name another folder: on Kafka, a leader and its standby"
                " have folders of their own.",
            )
        yield


def visit_log(settings: Settings, *, must_exist: bool = True) -> Log:
    """The log, for a command that does one thing and ends: nothing is left behind by having looked.

    Args:
        settings: The settings.
        must_exist: Refuse a folder that holds no log, rather than begin one.

    Raises:
        InvalidSetting: There is no such log, or Kafka lacks a topic.
        Incompatible: The file is no log, or of another version.
        Unavailable: It does not answer.
    """
    where = kafka_settings(settings)
    if where is not None:
        from ingest.kafka import KafkaLog  # noqa: PLC0415 - only where it is used

        return KafkaLog(where)
    if must_exist and not (settings.data_dir / LOG).exists():
        raise InvalidSetting(
            "there is no log in this folder",
            field="--data",
            value=str(settings.data_dir),
            remedy="Name the data folder of `ringfence serve`, or a broker with --kafka.",
        )
    return open_log(settings)


def open_log(settings: Settings) -> Log:
    """Kafka, or the embedded log of the data folder, which is made where it is missing.

    Raises:
        InvalidSetting: The folder cannot be made, or Kafka lacks a topic.
        Incompatible: The file is no log, or of another version.
        Unavailable: It does not answer.
    """
    where = kafka_settings(settings)
    if where is None:
        return EmbeddedLog(data_folder(settings.data_dir) / LOG)
    from ingest.kafka import KafkaLog  # noqa: PLC0415 - only where it is used

    return KafkaLog(where, index=data_folder(settings.data_dir) / INDEX)


def kafka_settings(settings: Settings) -> "KafkaSettings | None":
    """Where Kafka is, and how to enter; None where the log is embedded."""
    if settings.kafka is None:
        return None
    from ingest.kafka_client import KafkaSettings  # noqa: PLC0415 - only where it is used

    password = settings.kafka_password
    return KafkaSettings(
        bootstrap=settings.kafka,
        prefix=settings.kafka_prefix,
        security=settings.kafka_security,
        mechanism=settings.kafka_mechanism,
        user=settings.kafka_user,
        password=None if password is None else password.get_secret_value(),
        ca=settings.kafka_ca,
    )


def lease(settings: Settings, log: Log, name: str) -> Lease | None:
    """Who leads, where several processes share the log; the embedded log has one owner."""
    return None if settings.kafka is None else Lease(log, name, patience=settings.lease_s)


def open_graph(settings: Settings, *, must_exist: bool = False) -> GraphStore:
    """Neo4j, or the embedded graph database of the data folder.

    Args:
        settings: The settings.
        must_exist: Refuse a folder that holds no graph, rather than begin one.

    Raises:
        InvalidSetting: The folder has no graph, or Neo4j refuses the user.
        GraphUnavailable: Another process owns the folder's.
    """
    if settings.neo4j is not None:
        from cypher.store import Neo4jStore  # noqa: PLC0415 - the driver takes its time to load

        password = settings.neo4j_password
        return Neo4jStore(
            settings.neo4j,
            user=settings.neo4j_user,
            password="" if password is None else password.get_secret_value(),
            database=settings.neo4j_database,
        )
    path = settings.data_dir / GRAPH
    if must_exist and not path.exists():
        raise InvalidSetting(
            "there is no graph database in this folder",
            field="--data",
            value=str(settings.data_dir),
            remedy="Name the data folder of `ringfence serve`, or a Neo4j with --neo4j.",
        )
    data_folder(settings.data_dir)
    # Only where it is used: it fills the room that glibc keeps for libraries loaded later, and the
    # learners that training may compare with (LightGBM) would find none left.
    from cypher.embedded import EmbeddedGraphStore  # noqa: PLC0415

    return EmbeddedGraphStore(path)
