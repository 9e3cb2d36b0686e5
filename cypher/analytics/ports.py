"""The deep analysis as the rest of Ringfence sees it: one stored graph in, one table out.

What every adapter owes its callers is written here and checked by one contract suite
(`tests/contract/test_analytics.py`). What is computed, why and with which bounds is told in
`docs/deep-analysis.md`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from graph.errors import InvalidInput, InvalidSetting, Unavailable
from graph.transaction import ACCOUNTS, Entity
from scorer.reference import AnalysisPart

COLUMNS: Final = (
    "component_size",
    "cycle_size",
    "core",
    "pagerank",
    "fraud_rank",
    "betweenness",
    "twin",
    "community",
    "community_size",
    "community_fraud",
)
"""What is said of an entity, in the order of `Analysis.values`; NaN where it does not apply."""

PART_ENTITIES: Final = 200
"""Accounts in one part of a run: the engine reads parts between two batches, so each is small."""


class AnalysisTooLarge(InvalidInput):
    """The analysis would take more memory or time than it was given; nothing has changed."""

    code = "analysis-too-large"


class AnalysisFailed(Unavailable):
    """The analysis broke off; the previous result still counts."""

    code = "analysis-failed"


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """Parameters and bounds of a run; the reasons are in `docs/deep-analysis.md`.

    Attributes:
        memory: Bytes a run may take by its own estimate, made before anything is computed.
        seconds: How long a run may take; GDS is stopped at it, the embedded adapter looks at the
            clock between two algorithms.
        most_users: An identifier used by more users than this joins nobody: it is a shop's
            terminal or a test card, not a shared secret.
        damping: Of both PageRanks.
        iterations: Of both PageRanks at most.
        tolerance: A rank that moves by less has settled.
        exact_betweenness: Users up to which betweenness starts from every one of them.
        betweenness_samples: Users it starts from where there are more.
        community: louvain, or leiden where the adapter has it.
        levels: Of the community hierarchy at most.
        dimensions: Length of an entity's vector.
        seed: Of everything random.
    """

    memory: int = 2 << 30
    seconds: float = 1_800.0
    most_users: int = 50
    damping: float = 0.85
    iterations: int = 100
    tolerance: float = 1e-9
    exact_betweenness: int = 2_000
    betweenness_samples: int = 512
    community: Literal["louvain", "leiden"] = "louvain"
    levels: int = 10
    dimensions: int = 32
    seed: int = 7

    def __post_init__(self) -> None:
        for name, low, high in (
            ("memory", 1 << 20, 1 << 44),
            ("seconds", 0.001, 86_400.0),
            ("most_users", 2, 10_000),
            ("iterations", 1, 1_000),
            ("levels", 1, 100),
            ("dimensions", 2, 1_024),
            ("betweenness_samples", 1, 100_000),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise InvalidSetting(
                    f"has to be from {low:g} to {high:g}",
                    field=name,
                    value=f"{value:g}",
                    remedy="Choose a value between them.",
                )


@dataclass(frozen=True, slots=True)
class Step:
    """One algorithm of a run: what it took.

    Attributes:
        algorithm: Its name.
        milliseconds: How long it took.
        memory: Bytes it was expected to take beside the graph, at most.
    """

    algorithm: str
    milliseconds: float
    memory: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will take, told before it begins.

    Attributes:
        nodes: Nodes of the projected graph.
        relationships: Its relationships.
        graph: Bytes of the projected graph, at most.
        algorithms: Bytes of each algorithm beside it, at most; one runs at a time.
    """

    nodes: int
    relationships: int
    graph: int
    algorithms: Mapping[str, int]

    @property
    def memory(self) -> int:
        """Bytes at the worst moment."""
        return self.graph + max(self.algorithms.values(), default=0)

    def check(self, bound: int) -> None:
        """Refuse a run that would need more.

        Raises:
            AnalysisTooLarge: It would.
        """
        if self.memory > bound:
            raise AnalysisTooLarge(
                f"{self.nodes:,} nodes and {self.relationships:,} relationships would need "
                f"{self.memory / 2**20:,.0f} MiB",
                field="memory",
                value=f"a bound of {bound / 2**20:,.0f} MiB",
                remedy="Allow more memory, or let the retention job shorten the stored graph.",
            )


@dataclass(frozen=True, slots=True)
class Analysis:
    """The result of one run.

    Attributes:
        run_id: Names it; the same graph and settings give the same id.
        as_of: Event time, ms: nothing newer is in it.
        entities: Whom it speaks of: users, merchants, devices and cards, sorted.
        values: float64 [N, COLUMNS].
        vectors: float32 [N, dimensions], the FastRP vector of each; zero for merchants.
        modularity: Of the communities.
        seeds: Users that were known for fraud.
        estimate: What it was expected to take.
        steps: What each algorithm took, in order.
    """

    run_id: str
    as_of: int
    entities: tuple[Entity, ...]
    values: NDArray[np.float64]
    vectors: NDArray[np.float32]
    modularity: float
    seeds: int
    estimate: Estimate
    steps: tuple[Step, ...]

    def column(self, name: str) -> NDArray[np.float64]:
        """One column of `values`, by name."""
        return self.values[:, COLUMNS.index(name)]

    def parts(self) -> Iterator[AnalysisPart]:
        """The accounts of the run for the log; one empty part if there are none."""
        rows = [row for row, entity in enumerate(self.entities) if entity.kind in ACCOUNTS]
        starts = range(0, max(len(rows), 1), PART_ENTITIES)
        for part, start in enumerate(starts):
            chosen = rows[start : start + PART_ENTITIES]
            yield AnalysisPart(
                run_id=self.run_id,
                as_of=self.as_of,
                part=part,
                parts=len(starts),
                columns=COLUMNS,
                entities=tuple(self.entities[row] for row in chosen),
                values=tuple(tuple(self.values[row].tolist()) for row in chosen),
            )


@dataclass(frozen=True, slots=True)
class CurrentRun:
    """The run whose results the stored graph shows.

    Attributes:
        run_id: Names it.
        as_of: Event time, ms: nothing newer is in it.
        slot: Which of the two sets of properties holds it: `a` or `b`.
    """

    run_id: str
    as_of: int
    slot: str


class Analytics(Protocol):
    """Whole-graph algorithms over the stored graph. One run at a time."""

    def estimate(self) -> Estimate:
        """What a run over the graph as it is would take.

        Raises:
            GraphUnavailable: The graph database does not answer.
        """
        ...

    def analyse(self, *, as_of: int | None = None, fraud: Collection[Entity] = ()) -> Analysis:
        """Run every algorithm, write the results to the entities, and make them count.

        Laws, each of them a contract test:

        - The run sees transactions up to and including `as_of` and nothing newer.
        - It is as of the moment asked for even where the newest transaction is older: `fraud` may
          have become known in between.
        - Known for fraud are the users of `fraud` and the members of rings that an alert is about.
        - Results are written as properties under the run's id, in the set that is not shown; one
          small write then shows them all. Until then, and after any failure, the previous run is
          shown unchanged.
        - Nothing of the run stays behind in the database but its results.
        - The same graph, settings and arguments give the same run.

        Args:
            as_of: Event time, ms. If left out, the third-newest timestamp in the graph: the house
                rule of the watermark, so that one absurd timestamp cannot carry a run away.
            fraud: Users whose fraud was known by `as_of`, beside those the graph knows of.

        Raises:
            AnalysisTooLarge: It would take more memory or time than the settings allow.
            AnalysisFailed: The database broke it off, or another run began meanwhile.
            GraphUnavailable: The graph database does not answer.
            InvalidInput: There is no transaction to analyse, or none as old as `as_of`.
        """
        ...

    def current(self) -> CurrentRun | None:
        """The run whose results are shown; None before the first.

        Raises:
            GraphUnavailable: The graph database does not answer.
        """
        ...

    def close(self) -> None:
        """Give back what the adapter itself opened. Closing twice is harmless."""
        ...
