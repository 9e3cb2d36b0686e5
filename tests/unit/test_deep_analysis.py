"""The corners of the deep analysis: what features read when, what is refused, what a run costs."""

import json
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from msgspec import structs

from api.commands.analyse import analyse
from cypher.analytics import algorithms, embedded
from cypher.analytics.embedded import compute, estimate
from cypher.analytics.nightly import NightlyReplayer
from cypher.analytics.ports import (
    COLUMNS,
    PART_ENTITIES,
    Analysis,
    AnalysisSettings,
    AnalysisTooLarge,
)
from cypher.analytics.stored_graph import StoredGraph, stored_graph
from cypher.embedded import EmbeddedGraphStore
from cypher.sink import graph_batch
from graph.errors import Incompatible, InvalidInput, InvalidSetting
from graph.transaction import (
    DAY,
    Entity,
    EntityKind,
    Label,
    Money,
    Transaction,
    TransactionType,
)
from ingest import analysis_parts
from ingest.embedded import EmbeddedLog
from ingest.ports import Topic
from scorer.deep_features import FIRST, DeepFeatures
from scorer.detector import Detector
from scorer.feature_catalogue import DEEP_COLUMNS, FEATURES, SCHEMA
from scorer.reference import AnalysisPart

START = 1_700_000_000_000 // DAY * DAY
NAMES = tuple(feature.name for feature in FEATURES)
FOREVER = time.monotonic() + 1e6


def user(name: object) -> Entity:
    return Entity(EntityKind.USER, str(name))


def part(
    as_of: int,
    told: dict[Entity, dict[str, float]],
    *,
    run_id: str | None = None,
    number: int = 0,
    parts: int = 1,
) -> AnalysisPart:
    return AnalysisPart(
        run_id or f"run-{as_of}",
        as_of,
        number,
        parts,
        COLUMNS,
        tuple(told),
        tuple(tuple(row.get(name, float("nan")) for name in COLUMNS) for row in told.values()),
    )


def transfer(number: int, at: int, payer: str = "ann", payee: str = "bob") -> Transaction:
    return Transaction(
        f"t{number}",
        at,
        TransactionType.TRANSFER,
        Money(100, "EUR"),
        100,
        payer,
        counterparty_id=payee,
    )


def read(deep: DeepFeatures, tx: Transaction) -> dict[str, float]:
    out = np.full(len(FEATURES), np.nan, np.float32)
    deep.fill(tx, out)
    return dict(zip(NAMES, out.tolist(), strict=True))


def known(row: dict[str, float]) -> dict[str, float]:
    return {
        name: value
        for name, value in row.items()
        if name.startswith("deep_") and not np.isnan(value)
    }


# --- what features read ---------------------------------------------------------------------------


def test_every_column_reaches_the_feature_that_bears_its_name() -> None:
    deep = DeepFeatures()
    told = {name: float(place + 1) for place, name in enumerate(COLUMNS)}
    other = {name: value * 100 for name, value in told.items()}
    deep.refer(part(START, {user("ann"): told, user("bob"): other}))
    row = known(read(deep, transfer(1, START + DAY // 2)))
    for name in DEEP_COLUMNS:
        assert row.pop(f"deep_user_{name}") == told[name]
        assert row.pop(f"deep_other_{name}") == other[name]
    assert row == {"deep_same_community": 0.0, "deep_age": 0.5}


def test_without_a_run_and_of_strangers_nothing_is_known_rather_than_zero() -> None:
    deep = DeepFeatures()
    assert known(read(deep, transfer(1, START))) == {}
    deep.refer(part(START, {user("ann"): {"core": 2.0, "community": 1.0}}))
    row = known(read(deep, transfer(1, START + DAY, "ann", "eve")))
    assert row == {"deep_user_core": 2.0, "deep_age": 1.0}
    assert known(read(deep, transfer(1, START + DAY, "eve", "dan"))) == {"deep_age": 1.0}


def test_a_merchant_and_a_user_of_one_name_are_two() -> None:
    deep = DeepFeatures()
    shop = Entity(EntityKind.MERCHANT, "bob")
    deep.refer(part(START, {user("bob"): {"core": 3.0}, shop: {"fraud_rank": 0.5}}))
    buy = structs.replace(transfer(1, START + 1), counterparty_id=None, merchant_id="bob")
    row = known(read(deep, structs.replace(buy, type=TransactionType.PAYMENT)))
    assert row.keys() == {"deep_other_fraud_rank", "deep_age"}
    assert known(read(deep, transfer(1, START + 1)))["deep_other_core"] == 3.0


def test_communities_are_the_same_or_not_or_unknown() -> None:
    deep = DeepFeatures()
    said = {user("ann"): {"community": 4.0}, user("bob"): {"community": 4.0}, user("cid"): {}}
    deep.refer(part(START, said))
    later = START + 1
    assert read(deep, transfer(1, later))["deep_same_community"] == 1.0
    assert np.isnan(read(deep, transfer(1, later, "ann", "cid"))["deep_same_community"])


def test_a_transaction_reads_the_newest_run_that_saw_only_earlier_ones() -> None:
    deep = DeepFeatures()
    for day in range(3):
        deep.refer(part(START + day * DAY, {user("ann"): {"core": float(day)}}))
    at = {
        START + 2 * DAY + 1: 2.0,
        START + 2 * DAY: 1.0,
        START + DAY + 1: 1.0,
        START + DAY: None,
        START + 1: None,
    }
    for moment, core in at.items():
        assert known(read(deep, transfer(1, moment))).get("deep_user_core") == core


def test_a_poisoned_future_changes_no_verdict_before_it() -> None:
    stream = [transfer(n, START + n * 60_000, f"u{n % 7}", f"u{(n * 3) % 7}") for n in range(200)]
    everybody = {user(f"u{n}"): dict.fromkeys(COLUMNS, 0.25) for n in range(7)}
    honest, poisoned = Detector(), Detector()
    for detector in (honest, poisoned):
        detector.refer(part(START - DAY, everybody))
    poison = {who: dict.fromkeys(COLUMNS, 1e6) for who in everybody}
    poisoned.refer(part(stream[-1].timestamp, poison))
    rows = []
    for detector in (honest, poisoned):
        verdicts = detector.observe_batch(stream)
        rows.append((verdicts, detector.last_features.copy()))
    assert rows[0][0] == rows[1][0]
    np.testing.assert_array_equal(rows[0][1], rows[1][1])
    core = NAMES.index("deep_user_core")
    assert (rows[0][1][:, core] == 0.25).all()
    poisoned.observe(transfer(999, stream[-1].timestamp + 1, "u1", "u2"))
    assert poisoned.last_features[0, core] == 1e6


def test_a_run_from_a_future_the_engine_has_not_seen_is_refused() -> None:
    detector = Detector()
    detector.observe_batch([transfer(n, START + n) for n in range(3)])
    with pytest.raises(InvalidInput, match="a future that this engine has not"):
        detector.refer(part(253_402_300_799_000, {user("ann"): {"core": 1.0}}))
    detector.refer(part(START + 2, {user("ann"): {"core": 1.0}}))
    assert detector.deep.as_of == START + 2


def test_an_older_run_is_ignored_and_counted_and_one_as_old_replaces() -> None:
    deep = DeepFeatures()
    deep.refer(part(START, {user("ann"): {"core": 1.0}}))
    assert not deep.refer(part(START - 1, {user("ann"): {"core": 9.0}}))
    assert not deep.refer(part(START, {user("ann"): {"core": 1.0}}))
    assert deep.outdated == 2
    assert deep.refer(part(START, {user("ann"): {"core": 2.0}}, run_id="again"))
    assert (deep.run_id, deep.taken) == ("again", 2)
    assert known(read(deep, transfer(1, START))) == {}


def test_a_run_that_never_ends_gives_way_to_the_next() -> None:
    deep = DeepFeatures()
    deep.refer(part(START, {user("ann"): {"core": 1.0}}, parts=2))
    assert deep.run_id is None
    assert deep.refer(part(START + 1, {user("ann"): {"core": 2.0}}))
    assert deep.abandoned == 1
    assert not deep.refer(part(START, {}, number=1, parts=2))
    assert deep.as_of == START + 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"number": 1}, "contradicts itself"),
        ({"number": -1}, "contradicts itself"),
        ({"parts": 100_001}, "contradicts itself"),
    ],
)
def test_a_part_that_contradicts_itself_is_refused(wrong: dict[str, int], said: str) -> None:
    deep = DeepFeatures()
    with pytest.raises(InvalidInput, match=said):
        deep.refer(part(START, {user("ann"): {}}, **wrong))
    short = replace(part(START, {user("ann"): {}}), values=((1.0,),))
    with pytest.raises(InvalidInput, match=said):
        deep.refer(short)
    with pytest.raises(InvalidInput, match=r"columns: .*found .*core"):
        deep.refer(replace(part(START, {}), columns=("community",)))
    deep.refer(part(START, {user("ann"): {}}, parts=2))
    with pytest.raises(InvalidInput, match="does not belong to the run"):
        deep.refer(part(START + 1, {}, run_id=f"run-{START}", number=1, parts=2))
    assert deep.snapshot() == DeepFeatures.restore(deep.snapshot()).snapshot()


def test_the_state_of_the_detector_goes_on_from_its_snapshot_within_a_run() -> None:
    told = {user("u1"): {"core": 5.0}}
    straight = Detector()
    straight.refer(part(START, told))
    straight.refer(part(START + DAY, told, parts=2))
    resumed = Detector.restore(straight.snapshot())
    for detector in (straight, resumed):
        detector.refer(part(START + DAY, {}, number=1, parts=2))
        detector.observe(transfer(1, START + DAY + 1, "u1", "u2"))
    assert resumed.snapshot() == straight.snapshot()
    assert resumed.last_features[0, NAMES.index("deep_user_core")] == 5.0
    with pytest.raises(Incompatible, match="deep features"):
        DeepFeatures.restore(resumed.features.snapshot())


def test_deep_features_are_a_connection_of_the_graph() -> None:
    assert "deep" in SCHEMA.graph_families
    assert "deep" in SCHEMA.connection_families
    assert SCHEMA.names[FIRST:] == tuple(name for name in NAMES if name.startswith("deep_"))


# --- the embedded algorithms ----------------------------------------------------------------------


def random_graph(nodes: int, edges: int, seed: int = 0) -> StoredGraph:
    rng = np.random.default_rng(seed)
    users = [user(n) for n in range(nodes)]
    phones = [Entity(EntityKind.DEVICE, f"d{n}") for n in range(nodes)]
    money = rng.integers(0, nodes, (edges, 2))
    used = rng.integers(0, nodes, (nodes, 2))
    return stored_graph(
        START,
        users,
        [(users[a], users[b]) for a, b in money],
        [(users[a], phones[b]) for a, b in used],
        users[:5],
        50,
    )


def run(graph: StoredGraph, settings: AnalysisSettings | None = None) -> Analysis:
    expected = estimate(graph.nodes, len(graph.money) + len(graph.used))
    return compute(graph, settings or AnalysisSettings(), expected, FOREVER)


def test_betweenness_is_that_of_networkx() -> None:
    graph = random_graph(150, 600)
    adjacency = graph.matrix(graph.user_money, graph.users)
    mine = algorithms.betweenness(adjacency, np.arange(graph.users))
    theirs = nx.betweenness_centrality(nx.DiGraph(adjacency), normalized=False)
    np.testing.assert_allclose(mine, [theirs[n] for n in range(graph.users)], atol=1e-8)


def test_twins_over_many_blocks_are_those_over_one(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graph(120, 10)
    uses = graph.matrix(graph.used, graph.nodes)[: graph.users]
    whole = algorithms.twins(uses)
    monkeypatch.setattr(algorithms, "_BLOCK", 7)
    np.testing.assert_array_equal(algorithms.twins(uses), whole)
    assert 0 < whole.max() <= 1


def test_the_order_of_what_is_stored_does_not_matter() -> None:
    users = [user(n) for n in range(30)]
    rng = np.random.default_rng(5)
    pairs = [(users[a], users[b]) for a, b in rng.integers(0, 30, (90, 2))]
    one = run(stored_graph(START, users, pairs, [], users[:3], 50))
    other = run(stored_graph(START, users[::-1], pairs[::-1], [], users[2::-1], 50))
    assert one.run_id == other.run_id
    np.testing.assert_array_equal(one.values, other.values)
    np.testing.assert_array_equal(one.vectors, other.vectors)


@pytest.mark.parametrize(("nodes", "edges"), [(400, 1_500), (150, 4_500)])
def test_a_run_takes_no_more_memory_than_was_estimated_and_not_a_tenth(
    nodes: int, edges: int
) -> None:
    run(random_graph(50, 100))  # what is compiled and imported counts for no graph
    tracemalloc.start()
    graph = random_graph(nodes, edges)
    found = run(graph)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < found.estimate.memory < 10 * peak


def test_parts_tell_of_every_account_once_and_of_nobody_else() -> None:
    found = run(random_graph(PART_ENTITIES + 5, 600))
    parts = list(found.parts())
    assert [(each.part, each.parts) for each in parts] == [(0, 2), (1, 2)]
    told = [entity for each in parts for entity in each.entities]
    assert told == [each for each in found.entities if each.kind is EntityKind.USER]
    deep, wired = DeepFeatures(), DeepFeatures()
    assert [deep.refer(each) for each in parts] == [False, True]
    for message in analysis_parts.messages(parts):
        wired.refer(analysis_parts.read(message.value))
    assert wired.snapshot() == deep.snapshot()


@pytest.mark.parametrize("wrong", [{"as_of": 10**30}, {"as_of": -1}, {"values": [[1e300]]}])
def test_a_number_that_no_checkpoint_holds_is_refused_where_it_is_read(
    wrong: dict[str, object],
) -> None:
    part = {"schema": "analysis-part/1", "run_id": "r", "as_of": 1, "part": 0, "parts": 1,
            "columns": ["core"], "entities": [["user", "a"]], "values": [[1.0]]}  # fmt: skip
    assert analysis_parts.read(json.dumps(part).encode()).values == ((1.0,),)
    with pytest.raises(InvalidInput, match=r"Expected `(int|float)`"):
        analysis_parts.read(json.dumps(part | wrong).encode())


@pytest.mark.parametrize(
    "record", [b"", b"{}", b'{"schema":"analysis-part/2"}', b"\xff", b'{"schema":"list-change/1"}']
)
def test_a_record_that_is_no_part_is_refused_and_shown(record: bytes) -> None:
    with pytest.raises(InvalidInput, match="not a part of a deep analysis"):
        analysis_parts.read(record)


def test_time_that_is_used_up_stops_a_run_before_the_next_algorithm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(embedded.time, "monotonic", lambda: now[0])

    def slow(*_: object, **__: object) -> np.ndarray:
        now[0] = 10.0
        return np.zeros(30)

    monkeypatch.setattr(algorithms, "pagerank", slow)
    graph = stored_graph(START, [user(n) for n in range(30)], [], [], [], 50)
    with pytest.raises(AnalysisTooLarge, match="before betweenness"):
        compute(graph, AnalysisSettings(), estimate(30, 0), 5.0)


@pytest.mark.parametrize(
    "wrong", [{"memory": 1}, {"seconds": 0.0}, {"most_users": 1}, {"levels": 0}]
)
def test_a_bound_that_cannot_work_is_refused_by_its_name(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidSetting, match=f"{next(iter(wrong))}: has to be from"):
        AnalysisSettings(**wrong)


# --- in a replay ----------------------------------------------------------------------------------


def test_a_replay_tells_each_night_what_was_known_then_and_no_more() -> None:
    runs: list[Analysis] = []
    detector = Detector()
    nightly = NightlyReplayer(detector, 1, told=runs.append)
    out = np.empty((1, len(NAMES)), np.float32)

    def observe(number: int, at: int, payer: str, payee: str) -> dict[str, float]:
        (seen,) = nightly.observe_features([transfer(number, at, payer, payee)], out)
        assert seen.accepted
        return dict(zip(NAMES, out[0].tolist(), strict=True))

    hour = DAY // 24
    for n in range(24):
        assert known(observe(n, START + n * hour, *(("ann", "bob"), ("bob", "ann"))[n % 2])) == {}
    first = transfer(0, START, "ann", "bob")
    nightly.learn(Label(first, fraud=True, known_at=START + DAY + hour))
    row = observe(24, START + DAY, "cid", "ann")
    assert [(each.as_of, each.seeds) for each in runs] == [(START + DAY - hour, 0)]
    assert np.isnan(row["deep_user_core"])
    assert (row["deep_other_core"], row["deep_other_cycle_size"]) == (1.0, 2.0)
    assert np.isnan(row["deep_other_fraud_rank"])
    for n in range(25, 48):
        observe(n, START + n * hour, "cid", "ann")
    assert len(runs) == 1
    row = observe(48, START + 2 * DAY, "ann", "dan")
    assert [(each.as_of, each.seeds) for each in runs[1:]] == [(START + 2 * DAY - hour, 2)]
    assert row["deep_user_fraud_rank"] > 0.15
    assert row["deep_age"] == pytest.approx(1 / 24)
    assert detector.deep.taken == 2


def test_a_clock_that_runs_ahead_by_years_does_not_end_the_runs_of_a_replay() -> None:
    runs: list[int] = []
    nightly = NightlyReplayer(Detector(), 1, told=lambda found: runs.append(found.as_of))
    out = np.empty((1, len(NAMES)), np.float32)
    refused = []
    for n, at in enumerate([*range(0, 30, 6), 3_650 * 24, *range(30, 60, 6), 120, 121, 144]):
        moved = transfer(n, START + at * DAY // 24, f"u{n % 3}", f"u{(n + 1) % 3}")
        if not nightly.observe_features([moved], out)[0].accepted:
            refused.append(at)
    assert refused == [3_650 * 24, 120]  # the first after a silence may be another such clock
    assert [(at - START) // (DAY // 24) for at in runs] == [18, 42, 121]


def test_a_replay_needs_a_whole_number_of_days() -> None:
    with pytest.raises(InvalidSetting, match="--deep-analysis"):
        NightlyReplayer(Detector(), 0)


def test_no_file_of_the_analysis_imports_a_library_under_the_gpl() -> None:
    folder = Path(embedded.__file__).parent
    text = "".join(path.read_text() for path in folder.glob("*.py"))
    assert not any(f"import {name}" in text for name in ("igraph", "leidenalg", "graph_tool"))


# --- from the terminal ----------------------------------------------------------------------------


def test_the_command_analyses_a_folder_and_tells_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data"
    folder.mkdir()
    store = EmbeddedGraphStore(folder / "graph.kgl")
    names = ("ann", "bob", "cid", "ann", "dan")
    moved = [transfer(n, START + n, *names[n : n + 2]) for n in range(4)]
    store.write(graph_batch([(tx, None) for tx in moved]))
    store.close()
    bounds = {"memory": 64, "seconds": 60.0, "community": "louvain", "kafka": None, "neo4j": None}
    analyse(**bounds, as_of=START + 10, data=folder, config=None, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert (told["entities"], told["parts"], told["as_of"]) == (4, 1, START + 10)
    assert told["largest"]["cycle_size"] == 3.0
    assert told["largest"]["fraud_rank"] is None
    log = EmbeddedLog(folder / "log.sqlite")
    records = log.read(Topic.DEEP_ANALYSIS, 0, 0, 10)
    log.close()
    detector = Detector()
    for record in records:
        detector.refer(analysis_parts.read(record.value))
    assert detector.deep.run_id == told["run_id"]
    analyse(**bounds, as_of=START + 10, data=folder, config=None, as_json=False)
    shown = capsys.readouterr().out
    assert "betweenness" in shown
    assert "user:ann" in shown
    with pytest.raises(InvalidSetting, match="Louvain only"):
        analyse(**(bounds | {"community": "leiden"}), as_of=None, data=folder)
    with pytest.raises(InvalidSetting, match="no such algorithm"):
        analyse(**(bounds | {"community": "magic"}), as_of=None, data=folder)
    with pytest.raises(InvalidSetting, match="no graph database"):
        analyse(**bounds, as_of=None, data=tmp_path / "elsewhere")
