"""The deep analysis as the settings name it: which adapter computes, and where the parts go."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, NamedTuple

from api.adapters import open_graph, visit_log
from api.settings import Settings
from cypher.analytics.ports import AnalysisSettings, Analytics
from cypher.embedded import EmbeddedGraphStore
from ingest.analysis_parts import messages
from scorer.reference import AnalysisPart

_AT_ONCE: Final = 100
"""Records appended at once, about 2 MB; the last part makes the run count, so no more is needed."""

Publish = Callable[[Iterable[AnalysisPart]], int]
"""Appends parts to the log and says how many they were."""


class DeepAnalysis(NamedTuple):
    """What `ringfence analyse` needs."""

    analytics: Analytics
    publish: Publish


@contextmanager
def opened(settings: Settings, chosen: AnalysisSettings) -> Iterator[DeepAnalysis]:
    """Analytics over the configured graph, and a way to the configured log.

    Raises:
        InvalidSetting: The data folder holds no graph, or the algorithm is not to be had there.
        GraphUnavailable: The graph database does not answer, or another process owns it.
        Unavailable: The log does not answer.
    """
    with ExitStack() as stack:
        analytics = _analytics(settings, chosen, stack)
        # An embedded graph is of this folder, and has said that it is there.
        log = visit_log(settings, must_exist=settings.neo4j is not None)
        stack.callback(log.close)

        def publish(parts: Iterable[AnalysisPart]) -> int:
            found = messages(parts)
            for start in range(0, len(found), _AT_ONCE):
                log.append(found[start : start + _AT_ONCE])
            return len(found)

        yield DeepAnalysis(analytics, publish)


def _analytics(settings: Settings, chosen: AnalysisSettings, stack: ExitStack) -> Analytics:
    if settings.neo4j is not None:
        # The client loads pandas and takes its time; only who uses it shall wait.
        from cypher.analytics.gds import GdsAnalytics  # noqa: PLC0415

        password = settings.neo4j_password
        server = GdsAnalytics(
            settings.neo4j,
            settings.neo4j_user,
            "" if password is None else password.get_secret_value(),
            chosen,
            database=settings.neo4j_database,
        )
        stack.callback(server.close)
        return server
    from cypher.analytics.embedded import EmbeddedAnalytics  # noqa: PLC0415 - loads scipy

    store = open_graph(settings, must_exist=True)
    stack.callback(store.close)
    assert isinstance(store, EmbeddedGraphStore)  # noqa: S101 - no URL, so it is this one
    return EmbeddedAnalytics(store, chosen)
