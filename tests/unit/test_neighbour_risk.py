"""Columns of nodes made from recorded scores are what a live detector's memory would have said."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from msgspec import structs

from api.neighbour_risk import ACCOUNT_COLUMNS, IDENTIFIER_COLUMNS, NeighbourRisk
from gnn.recording import Recorder
from gnn.schema import ACCOUNT_KINDS, NODE_KINDS
from gnn.spool import SpoolWriter, open_spool
from graph.transaction import DAY, HOUR
from graph.window import WindowConfig
from scorer.artefact import load_model
from scorer.blend import Blend
from scorer.detector import Detector, DetectorConfig
from scorer.risk_kernel import PARTIES, PLACES, TAUS, WIDTH, RiskState, recall
from scorer.risk_trace import TOLD, RiskTrace
from tests.bare_replayer import Seen, stream
from tests.small_model import save_model

FORGETFUL = WindowConfig(retention=2 * DAY, memory=2 * DAY)
"""Who is away for two days is a stranger, and the id may be given to somebody else."""


class Moment(NamedTuple):
    place: int
    state: tuple[np.ndarray, ...]
    generations: tuple[np.ndarray, np.ndarray]


class Live:
    """A detector with a model as a replayer; before each stretch its memory is put aside."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.schema, self.ring_policy = detector.schema, detector.ring_policy
        self.moments: list[Moment] = []
        self.scores: list[float] = []

    def observe_features(self, transactions, out):
        del out
        window, state = self.detector.window, self.detector.memory.state
        spaces = window.accounts, window.identifiers
        sizes = (spaces[0].size,) * 3 + (spaces[1].size,) * 3
        self.moments.append(
            Moment(
                len(self.scores),
                tuple(column[:size].copy() for column, size in zip(state, sizes, strict=True)),
                tuple(space.generation[: space.size].copy() for space in spaces),
            )
        )
        verdicts = self.detector.observe_batch(transactions) if transactions else []
        self.scores += [verdict.score for verdict in verdicts]
        return [Seen(verdict.admission == "accepted") for verdict in verdicts]

    def learn(self, label):
        self.detector.learn(label)


def moving(seed: int, length: int):
    """A stream in which every entity has another name every few days."""
    found = []
    for tx in stream(seed, length, users=5, gap=4 * HOUR):
        era = tx.timestamp // (3 * DAY)
        names = ("user_id", "counterparty_id", "merchant_id", "device_id", "ip_address", "card_id")
        given = {name: getattr(tx, name) for name in names}
        found.append(
            structs.replace(tx, **{name: f"{was}{era}" for name, was in given.items() if was})
        )
    return found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    small = load_model(save_model(folder / "model", intercept=-1.0))
    remembering = Blend(intercept=0.1, model=0.9, memory=(0.01,) * WIDTH)
    model = replace(small, blend=remembering)
    live = Live(Detector(DetectorConfig(window=FORGETFUL), model))
    detector = live.detector
    recorder = Recorder(
        live, detector.window, detector.heuristics.profiles, SpoolWriter(folder / "spool")
    )
    transactions = moving(4, 300)
    for start in range(0, len(transactions), 7):
        recorder.observe_features(transactions[start : start + 7], np.zeros((7, 1), np.float32))
    recorder.finish()
    return live, open_spool(folder / "spool")


def remembered(moment: Moment, number: int, as_of: int, *, account: bool):
    """What the kernel recalls of one id, sums and peaks only."""
    state = RiskState(*moment.state)
    generation = int(moment.generations[0 if account else 1][number])
    who = np.full(2 * PARTIES, -1)
    party = 0 if account else 2
    who[party], who[party + PARTIES] = number, generation
    out = np.zeros(WIDTH)
    recall(state, who, as_of, out)
    places = range(2) if account else (PLACES.index("device"),)
    told = out.reshape(len(PLACES), len(TAUS), 3)[list(places)][:, :, :2]
    return told.ravel()


def test_columns_are_what_the_live_memory_said_at_the_tick(recorded):
    live, spool = recorded
    extras = NeighbourRisk.of(spool, np.arange(len(live.scores)), np.array(live.scores))
    compared = said = strangers = 0
    for tick in spool:
        begins = int(tick.rows.places[0])
        moment = max((m for m in live.moments if m.place <= begins), key=lambda m: m.place)
        columns = extras(tick)
        for kind in NODE_KINDS:
            account = kind in ACCOUNT_KINDS
            found = columns[0 if account else 1]
            for number in tick.subgraph.ids[kind].tolist():
                expected = remembered(moment, number, tick.as_of, account=account)
                np.testing.assert_allclose(found[number], expected, rtol=1e-4, atol=1e-4)
                compared += 1
                said += bool(expected.any())
                strangers += moment.generations[0 if account else 1][number] > 1
    assert compared > 1_000
    assert said > compared / 2
    assert strangers > 100  # ids were given out anew, and nobody inherits a memory


def test_what_comes_later_changes_nothing(recorded):
    live, spool = recorded
    scores, places = np.array(live.scores), np.arange(len(live.scores))
    half = len(spool) // 2
    since = int(spool.rows(half).places[0])
    other = np.where(places < since, scores, 1.0 - scores)
    before, after = (NeighbourRisk.of(spool, places, each) for each in (scores, other))
    for number in (half // 2, half):
        tick = spool.tick(number)
        for one, same in zip(before(tick), after(tick), strict=True):
            np.testing.assert_array_equal(one, same)
    tick = spool.tick(len(spool) - 1)
    assert any((one != same).any() for one, same in zip(before(tick), after(tick), strict=True))


def test_a_row_without_a_score_leaves_nothing_and_still_says_who_has_the_id():
    who = np.zeros((3, 2 * PARTIES), np.int64)
    who[:, 1:PARTIES] = -1
    who[:, PARTIES] = (1, 2, 2)  # the id becomes somebody else's
    times, ids = np.array([0, HOUR, 2 * HOUR]), np.zeros(1, np.int32)
    trace = RiskTrace.of(who, times, np.array([0.9, np.nan, 0.5]))
    told = [trace.accounts.told(ids, number, 2 * HOUR)[0] for number in range(4)]
    assert [bool(row.any()) for row in told] == [False, True, False, True]
    assert told[3][0] < np.log1p(0.6 / 1e-4)  # nothing of the first owner's
    assert not trace.identifiers.told(np.zeros(0, np.int32), 3, 0).size


def test_every_column_has_a_name():
    assert len(ACCOUNT_COLUMNS) == 2 * TOLD
    assert len(IDENTIFIER_COLUMNS) == TOLD
