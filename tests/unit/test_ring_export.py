"""What is exported of a ring head answers as torch does, serves without it, and is checked."""

import subprocess
import sys
import time

import msgspec
import numpy as np
import pytest
import torch

from api.graph_model import HEAD as FOLDER
from api.settings import Settings
from api.wiring import build
from gnn import checked_files
from gnn.explain import importance
from gnn.export import TOLERANCE
from gnn.ring_artefact import HEAD, METADATA, RingHeadArtefact, load_head
from gnn.ring_columns import SCHEMA_HASH, columns_of
from gnn.ring_export import export_head, head_parity
from gnn.ring_graph import ring_graph
from gnn.ring_head import MESSAGES, RingHead, RingHeadSettings
from gnn.ring_inference import RingHeadScorer
from gnn.ring_training import score_rings
from graph.errors import Incompatible
from graph.ring_book import RingBook
from graph.rings import unborn
from graph.transaction import HOUR, EntityKind
from tests.oracles.ring_evidence import cycle, mule, shared
from tests.served import served
from tests.small_model import save_model


def a_head(messages="relational", seed=0) -> RingHead:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return RingHead(RingHeadSettings(messages, hidden=4)).eval()


def a_ring():
    book = RingBook()
    pieces = (
        cycle("c", "abc", HOUR),
        mule("m", "b", "xyz", "a", 2 * HOUR),
        shared(EntityKind.DEVICE, "phone", "ab", 2 * HOUR),
    )
    book.observe(pieces, 0)
    (ring,) = book.live()
    return ring_graph(ring, book.evidence_of(ring.ring_id))


@pytest.mark.slow  # an export takes a quarter of a minute
@pytest.mark.parametrize("messages", MESSAGES)
def test_torch_and_the_runtime_agree_on_rings_of_any_size_and_on_none(messages, tmp_path):
    head = a_head(messages)
    exported = export_head(head, {"seed": 3})
    assert exported.about["parity"] <= TOLERANCE
    assert head_parity(a_head(messages, seed=1), exported.head) > TOLERANCE
    exported.save(tmp_path)
    scorer, graph = RingHeadScorer.open(tmp_path), a_ring()
    assert scorer.about["seed"] == 3
    smaller = [graph.without(member=n) for n in range(len(graph.members))]
    rings = [graph, ring_graph(unborn("r", 0), []), *smaller]
    expected = score_rings(head, [columns_of(each) for each in rings])
    np.testing.assert_allclose(scorer(rings), expected, atol=TOLERANCE)
    found = importance(graph, scorer)
    for effect in found.members:
        n = graph.members.index(effect.entity)
        assert effect.remaining == pytest.approx(expected[2 + n], abs=TOLERANCE)
    assert scorer([]) == []


@pytest.fixture
def folder(tmp_path):
    RingHeadArtefact(b"onnx", {"seed": 1}).save(tmp_path)
    return tmp_path


def test_what_was_saved_is_read(folder):
    assert load_head(folder) == RingHeadArtefact(b"onnx", {"seed": 1})


@pytest.mark.parametrize("name", [HEAD, METADATA, checked_files.SUMS])
def test_a_flipped_byte_or_a_missing_file_is_refused(folder, name):
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    with pytest.raises(Incompatible, match="checksums"):
        load_head(folder)
    (folder / name).unlink()
    with pytest.raises(Incompatible, match="not a whole ring head"):
        load_head(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "expected format 1"),
        ({"schema_hash": SCHEMA_HASH[::-1]}, "other columns"),
        ({"about": None}, "cannot be understood"),
    ],
)
def test_another_format_or_other_columns_are_refused(folder, change, words):
    said = msgspec.json.decode((folder / METADATA).read_bytes()) | change
    files = {HEAD: b"onnx", METADATA: msgspec.json.encode(said)}
    checked_files.write_files(folder, files, "ring head")
    with pytest.raises(Incompatible, match=words):
        load_head(folder)


def test_what_serves_does_not_load_torch():
    served = "ring_graph ring_columns ring_artefact ring_inference explain"
    imports = ", ".join(f"gnn.{name}" for name in served.split())
    code = f"import sys, {imports}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow  # the imports of a server take two seconds
def test_a_server_starts_without_what_only_training_needs():
    code = "import sys, api.wiring, api.serving; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"torch", "xgboost", "sklearn", "lightgbm"} & set(done.stdout.split())


@pytest.mark.slow  # an export takes a quarter of a minute
def test_where_a_ring_head_is_served_it_says_what_the_score_rests_on(tmp_path):
    model = save_model(tmp_path / "model")
    export_head(a_head(), {}).save(model / FOLDER)
    service = build(
        Settings.load({}, data_dir=tmp_path / "data", model_dir=model, port=0, log_level="error")
    )
    with served(service) as client:
        for n, (source, target) in enumerate((("u1", "u2"), ("u2", "u3"), ("u3", "u1"))):
            transfer = {
                "transaction_id": f"c{n}",
                "timestamp": 1_772_366_400_000 + n * 600_000,
                "type": "transfer",
                "amount": f"{5200 - 100 * n}.00",
                "currency": "EUR",
                "user_id": source,
                "counterparty_id": target,
            }
            told = client.post("/v1/score", json=transfer).raise_for_status().json()
        (ring_id,) = told["rings"]
        deadline = time.monotonic() + 30
        while (answer := client.get(f"/v1/rings/{ring_id}/importance")).status_code == 404:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    sent = answer.raise_for_status().json()
    assert sent["scored_by"] == "ring_head"
    (piece,) = sent["evidence"]
    # Without its only evidence nothing is left.
    (nothing,) = RingHeadScorer.open(model / FOLDER)([ring_graph(unborn("r", 0), [])])
    assert piece["remaining"] == pytest.approx(nothing, abs=TOLERANCE)
    for each in (*sent["members"], *sent["hops"], *sent["evidence"]):
        assert each["drop"] == pytest.approx(sent["score"] - each["remaining"])
