"""A ring head is taught by a replayed history, written if it pays, and found beside its model."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest

from api.graph_model import HEAD, open_ring_head
from api.ring_heads import train_ring_head
from gnn.ring_graph import ring_graph
from graph.ring_book import RingBook
from graph.ring_policy import RingPolicy
from graph.transaction import DAY, Money, Transaction, TransactionType
from scorer.evidence_context import NAMES
from scorer.evidence_judge import judged
from scorer.evidence_log import EvidenceLog
from scorer.judge_training import Taught
from scorer.party_columns import PartyColumns
from scorer.starter import starter
from tests.oracles.ring_evidence import cycle, mule

POLICY = RingPolicy()


def history(rings: int) -> tuple[SimpleNamespace, Taught]:
    """So many rings, a day apart and all of one weight: each second is a mule's, and a fraud."""
    log, parties = EvidenceLog(), PartyColumns()
    ids, users, named, fraud = [], [], [], []
    for n in range(rings):
        names = [chr(1_000 + 5 * n + k) for k in range(5)]
        bad = n % 2 == 0
        crowd = "".join(names[1:4])
        piece = (
            mule(f"{n}", names[0], crowd, names[4], n * DAY)
            if bad
            else cycle(f"{n}", "".join(names), n * DAY)
        )
        log.add(n, n * DAY, (), (piece,), np.zeros((1, len(NAMES)), np.float32))
        for hop in piece.hops:
            money = Money(hop.value, "EUR")
            ends = hop.source.id, hop.target.id
            tx = Transaction(
                hop.transaction_id, n * DAY, TransactionType.TRANSFER, money, hop.value, *ends
            )
            parties.extend([tx])
            ids.append(hop.transaction_id)
            users.append(hop.source.id)
            named.append(f"r{n}" if bad else None)
            fraud.append(bad)
    table = SimpleNamespace(
        ids=ids,
        users=users,
        ring_ids=named,
        fraud=np.array(fraud),
        places=np.repeat(np.arange(rings), [len(told.pieces[0].hops) for told in log.told]),
        parties=parties,
        evidence=log,
    )
    return table, Taught(starter(), np.full(rings, 0.95))


@pytest.mark.slow  # an export takes a quarter of a minute
def test_a_head_that_ranks_better_than_the_rings_own_score_is_written_and_served(tmp_path):
    table, taught = history(120)
    past = np.arange(len(table.ids))
    said = train_ring_head(table, past, POLICY, tmp_path / HEAD, taught=taught)
    assert said["kept"]
    assert (said["rings"], said["true"]) == (120, 60)
    assert said["own_score"] < 0.7
    assert said["head"] > 0.95
    scorer = open_ring_head(tmp_path)
    assert scorer is not None
    book = RingBook(taught.judge.rings(POLICY))
    scores = []
    for piece in (mule("m", "p", "qrs", "t", DAY), cycle("c", "uvwxy", DAY)):
        told = judged(piece, 0.95)
        (event,) = book.observe([told], DAY)
        scores += scorer([ring_graph(event.ring, [told])])
    assert scores[0] > 0 > scores[1]


def test_too_few_rings_teach_nothing(tmp_path):
    table, taught = history(20)
    said = train_ring_head(table, np.arange(len(table.ids)), POLICY, tmp_path / HEAD, taught=taught)
    assert said == {"kept": False, "rings": 20, "true": 10, "later_rings": 5, "later_true": 2}
    assert open_ring_head(tmp_path) is None
    assert open_ring_head(None) is None


def test_a_damaged_head_is_said_and_left_out(tmp_path, caplog):
    (tmp_path / HEAD).mkdir()
    (tmp_path / HEAD / "metadata.json").write_text("{}")
    with caplog.at_level(logging.WARNING):
        assert open_ring_head(tmp_path) is None
    assert "without their head" in caplog.text
    assert str(tmp_path / HEAD) in caplog.text
