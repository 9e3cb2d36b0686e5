"""What is exported answers as torch does, and serves without it."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from gnn import export
from gnn.artefact import load
from gnn.hetero import batch, to_hetero
from gnn.inference import RingScorer
from gnn.model import ModelSettings, RingModel
from gnn.recording import Recorder
from gnn.sampling import Fanout
from gnn.schema import NODE_KINDS, GraphSchema
from gnn.snapshots import GraphSnapshot
from gnn.spool import SpoolWriter, open_spool
from gnn.tensors import nothing, widened
from gnn.training import looked_up
from graph.errors import InvalidInput
from graph.transaction import HOUR
from tests.bare_replayer import BareReplayer, stream

# An export takes half a minute.
pytestmark = pytest.mark.slow

SCHEMA = GraphSchema(("risk",), ("risk", "labels"), ("value", "margin"))
SHAPE = ModelSettings(hidden=8, embedding=4, head=8)
RISKS = np.random.default_rng(4).normal(size=(256, 1)).astype(np.float32)
LABELS = np.random.default_rng(5).normal(size=(256, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> RingModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return RingModel(SCHEMA, SHAPE).eval()


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    export.export(model, Fanout(paid=5), {"seed": 0}).save(folder)
    return folder


def test_torch_and_the_runtime_agree_on_random_subgraphs_one_node_and_none(model, folder):
    found = load(folder, SCHEMA)
    assert export.encoder_parity(model, found.encoder) <= export.TOLERANCE
    assert export.head_parity(model, found.head) <= export.TOLERANCE
    assert found.about["parity"] <= export.TOLERANCE
    assert found.about["seed"] == 0


def test_a_model_that_answers_no_number_is_not_the_same():
    said, silent = np.array([1.0, np.nan], np.float32), np.array([1.0, 2.0], np.float32)
    assert export.difference(silent, said) == export.difference(said, silent) == np.inf
    assert export.difference(silent, silent) == 0.0
    assert export.difference(silent, silent[:1]) == np.inf


def test_parity_would_show_another_model(folder):
    found = load(folder)
    other = RingModel(SCHEMA, SHAPE).eval()
    assert export.encoder_parity(other, found.encoder) > export.TOLERANCE
    assert export.head_parity(other, found.head) > export.TOLERANCE


def everybody(taken: GraphSnapshot) -> tuple[np.ndarray, np.ndarray]:
    kinds = taken.account_kind, taken.identifier_kind
    return tuple(np.arange(len(kind), dtype=np.int32) for kind in kinds)


def embeddings(scorer: RingScorer, taken: GraphSnapshot) -> dict[tuple[bool, int, int], np.ndarray]:
    """Embeddings of a snapshot by space, id and generation."""
    found = {}
    for part in scorer.embedded(taken, RISKS, LABELS, everybody(taken)):
        whose = taken.account_generation if part.accounts else taken.identifier_generation
        found |= {
            (part.accounts, int(id_), int(whose[id_])): row
            for id_, row in zip(part.ids, part.rows, strict=True)
        }
    return found


def test_what_serves_says_what_training_would_have_said(model, folder, tmp_path):
    """Recorded, embedded and scored by torch; taken, embedded and scored by the runtime."""
    transactions = stream(6, 120, gap=HOUR)
    replayer, scorer = BareReplayer(), RingScorer.open(folder, SCHEMA)
    assert scorer.fanout == Fanout(paid=5)
    recorder = Recorder(
        replayer,
        replayer.window,
        replayer.profiles,
        SpoolWriter(tmp_path),
        every=6 * HOUR,
        fanout=scorer.fanout,
    )
    context = np.random.default_rng(1).normal(size=(120, 2)).astype(np.float32)
    served, as_of = [], 0
    known: dict[tuple[bool, int, int], np.ndarray] = {}
    for place, tx in enumerate(transactions):
        moment = tx.timestamp // (6 * HOUR) * 6 * HOUR
        if moment != as_of:
            profiles = replayer.profiles.columns(replayer.window)
            taken = GraphSnapshot.take(replayer.window, profiles, moment, scorer.fanout)
            as_of, known = moment, embeddings(scorer, taken)
        recorder.observe_features([tx], np.zeros((1, 1), np.float32))
        accounts, identifiers = replayer.window.accounts, replayer.window.identifiers
        spaces = (accounts, accounts, identifiers, identifiers, identifiers)
        named = dict.fromkeys(range(5), -1)
        named |= {0: accounts.find(tx.user.kind, tx.user.id)}
        if tx.other_party is not None:
            named[1] = accounts.find(tx.other_party.kind, tx.other_party.id)
        for entity in tx.identifiers:
            slot = {"device": 2, "ip": 3, "card": 4}[entity.kind.value]
            named[slot] = identifiers.find(entity.kind, entity.id)
        generations = [
            int(space.generation[i]) if i >= 0 else 0
            for space, i in zip(spaces, named.values(), strict=True)
        ]
        parties = list(named.values())
        rows, there = np.zeros((5, scorer.width), np.float32), np.zeros(5, np.float32)
        for slot, whose in enumerate(zip(parties, generations, strict=True)):
            if (slot < 2, *whose) in known:
                rows[slot], there[slot] = known[slot < 2, *whose], 1.0
        age = np.log1p(max(tx.timestamp - as_of, 0) / HOUR)
        served.append(scorer.log_odds(rows.ravel(), there, age, context[place]))
    recorder.finish()
    learned = []
    with torch.no_grad():
        for tick in open_spool(tmp_path):
            features = widened(tick.subgraph, SCHEMA, RISKS, LABELS)
            embedded = model.encoder(*batch(to_hetero(tick.subgraph, features)))
            rows = torch.cat([embedded[kind] for kind in NODE_KINDS])
            age = np.log1p(tick.ages / HOUR).astype(np.float32)[:, None]
            learned += model.head(
                *looked_up(rows, torch.from_numpy(tick.members).long()),
                torch.from_numpy(age),
                torch.from_numpy(context[tick.rows.places]),
            ).tolist()
    assert len(set(np.round(served, 4))) > 100
    np.testing.assert_allclose(served, learned, atol=1e-4)


def test_of_nobody_nothing_is_embedded_and_a_head_answers_all_the_same(folder):
    scorer = RingScorer.open(folder)
    assert scorer.embed(nothing(), RISKS, LABELS).shape == (0, 4)
    nobody = np.zeros(5 * 4, np.float32), np.zeros(5, np.float32)
    assert np.isfinite(scorer.log_odds(*nobody, 0.0, np.full(2, np.nan, np.float32)))


def test_a_row_of_other_columns_is_refused(folder):
    nobody = np.zeros(5 * 4, np.float32), np.zeros(5, np.float32)
    with pytest.raises(InvalidInput, match="expected 2 columns"):
        RingScorer.open(folder).log_odds(*nobody, 0.0, np.zeros(3, np.float32))


def test_some_are_embedded_as_all_are(folder):
    replayer, scorer = BareReplayer(), RingScorer.open(folder)
    for tx in stream(9, 80, gap=HOUR):
        replayer.observe(tx)
    taken = GraphSnapshot.take(
        replayer.window, replayer.profiles.columns(replayer.window), None, scorer.fanout
    )
    whole = embeddings(scorer, taken)
    assert len(whole) == len(taken.account_kind) + len(taken.identifier_kind)
    some = np.array([0, 3], np.int32)
    parts = list(scorer.embedded(taken, RISKS, LABELS, (some, some)))
    assert sum(len(part.ids) for part in parts) == 4
    for part in parts:
        whose = taken.account_generation if part.accounts else taken.identifier_generation
        for id_, row in zip(part.ids, part.rows, strict=True):
            same = whole[part.accounts, int(id_), int(whose[id_])]
            np.testing.assert_allclose(row, same, atol=1e-5)


def test_the_version_names_the_bytes(folder):
    found = load(folder)
    assert load(folder).version == found.version
    others = [
        replace(found, encoder=found.encoder + b"\0"),
        replace(found, head=found.head + b"\0"),
        replace(found, about={**found.about, "seed": 1}),
    ]
    assert len({found.version, *(other.version for other in others)}) == 4


def test_what_serves_and_records_does_not_load_torch():
    served = "schema sampling node_features snapshots tensors spool recording artefact inference"
    served += " event_sequences sequence_scorer shuffled_edges"
    imports = ", ".join(f"gnn.{name}" for name in served.split())
    code = f"import sys, {imports}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
