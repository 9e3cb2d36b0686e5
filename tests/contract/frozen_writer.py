"""A writer that is stopped from outside: before its transaction, or within it.

Usage: frozen_writer.py embedded FILE before|within, or kafka BOOTSTRAP PREFIX before|within.
"""

import sys
from pathlib import Path

from graph.errors import RingfenceError
from ingest.embedded import EmbeddedLog
from ingest.kafka import KafkaLog
from ingest.kafka_client import KafkaSettings
from ingest.ports import Log, Message, Topic


def wait() -> None:
    print("ready", flush=True)  # noqa: T201 - who stops us reads it
    sys.stdin.readline()


def main(adapter: str, *where: str) -> None:
    log: Log
    log = (
        EmbeddedLog(Path(where[0]))
        if adapter == "embedded"
        else KafkaLog(KafkaSettings(where[0], prefix=where[1]))
    )
    writer = log.claim("engine")
    if where[-1] == "before":
        wait()
    try:
        with writer.transaction() as outputs:
            outputs.append([Message(Topic.VERDICTS, 0, b"ghost")])
            outputs.commit("engine", Topic.TRANSACTIONS, 0, 99)
            if where[-1] == "within":
                wait()
    except RingfenceError as error:
        print(type(error).__name__)  # noqa: T201
    log.close()


main(*sys.argv[1:])
