"""The benchmarks that need a server: which settings name it, and what is said where none does."""

from typing import Any, TypeVar

from api.settings import Settings
from graph.errors import InvalidInput

T = TypeVar("T")


def bench_servers(
    what: str, *, kafka: str | None, neo4j: str | None, redis: str | None
) -> dict[str, Any]:
    """Run the benchmark against the server that the flag or the settings name.

    Raises:
        InvalidInput: There is no such benchmark, or no server is named.
        Unavailable: The server does not answer.
    """
    settings = Settings.load(kafka=kafka, neo4j=neo4j, redis=redis)
    if what == "kafka":
        from api.bench.kafka import bench_kafka  # noqa: PLC0415 - each loads its own client

        return bench_kafka(_named(settings.kafka, "--kafka", "127.0.0.1:9092"))
    if what == "graph":
        from api.bench.graph import bench_graph  # noqa: PLC0415 - as above

        password = settings.neo4j_password
        return bench_graph(
            settings.neo4j,
            user=settings.neo4j_user,
            password="" if password is None else password.get_secret_value(),
            database=settings.neo4j_database,
        )
    if what == "cache":
        from api.bench.cache import bench_cache  # noqa: PLC0415 - as above

        url = None if settings.redis is None else settings.redis.get_secret_value()
        return bench_cache(_named(url, "--redis", "redis://127.0.0.1:6379/0"))
    if what == "outages":
        from api.bench.outages import bench_outages  # noqa: PLC0415 - as above

        _named(settings.neo4j, "--neo4j", "bolt://127.0.0.1:7687")
        _named(settings.redis, "--redis", "redis://127.0.0.1:6379/0")
        return bench_outages(settings)
    raise InvalidInput(
        "there is no such benchmark",
        field="WHAT",
        value=what,
        remedy="Use window, score, explain, gnn, http, shards, kafka, graph, cache or outages.",
    )


def _named(server: T | None, flag: str, example: str) -> T:
    if server is None:
        raise InvalidInput(
            "this benchmark needs a server",
            field=flag,
            remedy=f"Name one, as {flag} {example}; `make servers` starts them.",
        )
    return server
