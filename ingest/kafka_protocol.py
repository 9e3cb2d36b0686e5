"""Requests of Kafka's protocol in versions the driver does not speak.

Three facts cannot be had otherwise: whether committed offsets are final (OffsetFetch 7 with
`require_stable`), a new epoch for a producer that must not fence its successor (InitProducerId 3
with the epoch it had), and the identity of a topic that may have been made anew (Metadata 12).

The driver ships no types, hence what is ignored.

Source: the message definitions of Apache Kafka (clients/src/main/resources/common/message).
"""

import uuid
from io import BytesIO
from typing import Any

from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

NO_PRODUCER = -1
"""Producer id and epoch of who has none yet."""

_TEXT = CompactString("utf-8")
_TAGS: dict[int, bytes] = {}


class _Uuid(AbstractType):  # type: ignore[misc]
    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(16))


class _InitProducerIdResponse(Response):  # type: ignore[misc]
    API_KEY = 22
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


class _InitProducerIdStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 22
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _InitProducerIdResponse
    SCHEMA = Schema(
        ("transactional_id", _TEXT),
        ("transaction_timeout_ms", Int32),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("tags", TaggedFields),
    )


class InitProducerId(Request[_InitProducerIdStruct]):  # type: ignore[misc]
    """A producer id, or the next epoch of one.

    Args:
        transactional_id: None for a producer that is idempotent only.
        timeout_ms: After which the broker aborts a transaction left open.
        producer: (id, epoch) to raise the epoch of; refused if somebody else has done so. Without
            it the epoch is raised whoever has it: that fences them.
    """

    API_KEY = 22

    def __init__(
        self,
        transactional_id: str | None,
        timeout_ms: int,
        producer: tuple[int, int] = (NO_PRODUCER, NO_PRODUCER),
    ) -> None:
        self._fields = (transactional_id, timeout_ms, *producer, _TAGS)

    def build(self, request_struct_class: type[Any]) -> Any:
        """The request as it is sent."""
        return request_struct_class(*self._fields)


class _OffsetFetchResponse(Response):  # type: ignore[misc]
    API_KEY = 9
    API_VERSION = 7
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", _TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("partition_index", Int32),
                        ("committed_offset", Int64),
                        ("committed_leader_epoch", Int32),
                        ("metadata", _TEXT),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class _OffsetFetchStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 9
    API_VERSION = 7
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _OffsetFetchResponse
    SCHEMA = Schema(
        ("group_id", _TEXT),
        (
            "topics",
            CompactArray(
                ("name", _TEXT),
                ("partition_indexes", CompactArray(Int32)),
                ("tags", TaggedFields),
            ),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class OffsetFetch(Request[_OffsetFetchStruct]):  # type: ignore[misc]
    """Committed offsets of a group.

    Args:
        group: The group.
        partitions: Topic to partitions.
        stable: Refuse to answer while a transaction that commits one of them is not over.
    """

    API_KEY = 9

    def __init__(self, group: str, partitions: dict[str, list[int]], *, stable: bool) -> None:
        topics = [(topic, numbers, _TAGS) for topic, numbers in partitions.items()]
        self._fields = (group, topics, stable, _TAGS)

    def build(self, request_struct_class: type[Any]) -> Any:
        """The request as it is sent."""
        return request_struct_class(*self._fields)


class _MetadataResponse(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", _TEXT),
                ("port", Int32),
                ("rack", _TEXT),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _TEXT),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition_index", Int32),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("replica_nodes", CompactArray(Int32)),
                        ("isr_nodes", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("topic_authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _MetadataStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", _Uuid), ("name", _TEXT), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class Metadata(Request[_MetadataStruct]):  # type: ignore[misc]
    """What the brokers know of some topics; it creates none."""

    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        asked = [(uuid.UUID(int=0), topic, _TAGS) for topic in topics]
        self._fields = (asked, False, False, _TAGS)

    def build(self, request_struct_class: type[Any]) -> Any:
        """The request as it is sent."""
        return request_struct_class(*self._fields)
