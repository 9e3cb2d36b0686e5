"""The ring model learns: the same from the same, with and without a kill, and from edges."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gnn.checkpoint import FILE
from gnn.examples import Examples
from gnn.hetero import batch, to_hetero
from gnn.model import CONVOLUTIONS, ModelSettings, RingModel
from gnn.recording import Recorder
from gnn.schema import EDGE_KINDS, NODE_KINDS, GraphSchema, name_of
from gnn.spool import Spool, SpoolWriter, open_spool
from gnn.tensors import widened
from gnn.training import Learned, TrainingSettings, score, train
from graph.errors import Incompatible, InvalidSetting
from graph.transaction import HOUR
from tests.bare_replayer import BareReplayer, stream

pytestmark = pytest.mark.slow

SMALL = ModelSettings(hidden=8, embedding=4, head=8)
FEW = TrainingSettings(epochs=4, patience=4)
LENGTH = 160


@pytest.fixture(scope="module")
def spool(tmp_path_factory) -> Spool:
    folder = tmp_path_factory.mktemp("spool")
    replayer = BareReplayer()
    recorder = Recorder(
        replayer, replayer.window, replayer.profiles, SpoolWriter(folder), every=10 * HOUR
    )
    recorder.observe_features(stream(8, LENGTH, gap=HOUR), np.zeros((LENGTH, 1), np.float32))
    recorder.finish()
    return open_spool(folder)


@pytest.fixture(scope="module")
def examples() -> Examples:
    rng = np.random.default_rng(0)
    return Examples(
        np.arange(LENGTH, dtype=np.int64),
        rng.random(LENGTH) < 0.3,
        np.ones(LENGTH, np.float32),
        rng.normal(size=(LENGTH, 2)).astype(np.float32),
    )


EARLY, LATER = np.arange(100), np.arange(100, LENGTH)
SCHEMA = GraphSchema(context=("one", "other"))


def learned(spool: Spool, examples: Examples, **more: object) -> Learned:
    settings = {"schema": SCHEMA, "shape": SMALL, "settings": FEW, "device": "cpu", **more}
    return train(spool, examples, EARLY, LATER, **settings)


@pytest.fixture(scope="module")
def whole(spool: Spool, examples: Examples) -> Learned:
    """What a run that nobody disturbed learned; not to be changed."""
    return learned(spool, examples)


def weights(model: torch.nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}


def test_the_same_seed_gives_the_same_weights_and_another_one_others(spool, examples, whole):
    again = learned(spool, examples)
    assert weights(again.model) == weights(whole.model)
    assert again.history == whole.history
    assert weights(learned(spool, examples, seed=1).model) != weights(whole.model)


def test_a_head_onto_a_column_begins_with_it_and_learns_what_to_correct(spool, examples):
    shape = replace(SMALL, onto="other")
    fresh = RingModel(SCHEMA, shape)
    every = np.arange(LENGTH)
    plain = np.where(np.isnan(examples.context[:, 1]), 0.0, examples.context[:, 1])
    np.testing.assert_allclose(score(fresh, spool, examples, every), plain, rtol=1e-6)
    found = learned(spool, examples, shape=shape)
    assert np.abs(score(found.model, spool, examples, every) - plain).max() > 0.01
    with pytest.raises(InvalidSetting, match="nobody"):
        RingModel(SCHEMA, replace(SMALL, onto="nobody"))


def test_training_leaves_the_callers_random_numbers_alone(spool, examples):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    learned(spool, examples, settings=TrainingSettings(epochs=1))
    assert torch.equal(torch.rand(3), expected)


class Killed(Exception):
    pass


@pytest.mark.parametrize("after", [1, 3])
def test_a_kill_changes_nothing_of_the_result(spool, examples, whole, tmp_path, after):
    told: list[int] = []

    def kill(_stage: str, done: int) -> None:
        told.append(done)
        if len(told) == after:
            raise Killed

    with pytest.raises(Killed):
        learned(spool, examples, folder=tmp_path, told=kill)
    resumed = learned(spool, examples, folder=tmp_path, told=lambda _, done: told.append(done))
    assert weights(resumed.model) == weights(whole.model)
    assert (resumed.history, resumed.best_epoch) == (whole.history, whole.best_epoch)
    assert told == sorted(told)
    assert len(told) == FEW.epochs


def test_a_checkpoint_of_another_run_or_a_torn_one_is_refused(spool, examples, tmp_path):
    learned(spool, examples, folder=tmp_path)
    with pytest.raises(Incompatible, match="other data, settings or seed"):
        learned(spool, examples, folder=tmp_path, seed=1)
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(Incompatible, match="cannot be read"):
        learned(spool, examples, folder=tmp_path)


def test_a_folder_that_cannot_be_written_is_said(spool, examples, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSetting, match="cannot be written"):
        learned(spool, examples, folder=tmp_path / "file" / "epochs")


def test_it_stops_when_the_later_slice_gets_no_better(spool, examples):
    found = learned(spool, examples, settings=TrainingSettings(epochs=40, patience=2))
    assert len(found.history) == found.best_epoch + 2
    assert found.history[found.best_epoch - 1] == max(found.history)


def test_a_slice_of_one_kind_is_refused(spool, examples):
    honest = replace(examples, fraud=np.zeros(LENGTH, np.bool_))
    with pytest.raises(InvalidSetting, match="early slice"):
        learned(spool, honest)


def test_scores_come_in_the_order_asked_for(spool, examples, whole):
    model = whole.model
    rows = np.array([120, 3, 77])
    one_by_one = [score(model, spool, examples, rows[i : i + 1])[0] for i in range(3)]
    np.testing.assert_allclose(score(model, spool, examples, rows), one_by_one, atol=1e-5)


@pytest.mark.parametrize("convolution", CONVOLUTIONS)
def test_every_convolution_learns_behind_the_same_interface(spool, examples, convolution):
    shape = ModelSettings(convolution=convolution, hidden=8, embedding=4, head=8)
    found = learned(spool, examples, shape=shape, settings=TrainingSettings(epochs=1))
    scores = score(found.model, spool, examples, LATER)
    assert np.isfinite(scores).all()
    assert len(set(scores.tolist())) > 10


@pytest.mark.parametrize("convolution", ["relational", "alone"])
def test_seeds_are_embedded_alike_with_and_without_what_they_do_not_need(spool, convolution):
    model = RingModel(GraphSchema(), ModelSettings(convolution=convolution)).eval()
    tick = spool.tick(len(spool) - 1)
    none = np.zeros((256, 0), np.float32)
    data = to_hetero(tick.subgraph, widened(tick.subgraph, GraphSchema(), none, none))
    found = batch(data)
    with torch.no_grad():
        trimmed, whole = model.encoder(*found), model.encoder(found.nodes, found.edges)
    for kind in NODE_KINDS:
        size = tick.subgraph.seeds[kind]
        assert len(trimmed[kind]) == size
        torch.testing.assert_close(trimmed[kind], whole[kind][:size], atol=1e-5, rtol=1e-5)


def test_hetero_data_hold_what_the_subgraph_does(spool):
    subgraph = spool.tick(len(spool) - 1).subgraph
    none = np.zeros((256, 0), np.float32)
    data = to_hetero(subgraph, widened(subgraph, GraphSchema(), none, none))
    assert data.validate(raise_on_error=True)
    assert set(data.edge_types) <= set(EDGE_KINDS)
    assert sum(len(data[kind].edge_index[0]) for kind in EDGE_KINDS) > 0
    for kind in EDGE_KINDS:
        assert data[kind].edge_index.tolist() == subgraph.edges[kind].ends.tolist(), name_of(kind)


def test_an_encoder_does_not_care_in_which_order_edges_and_nodes_come(spool):
    subgraph = spool.tick(len(spool) - 1).subgraph
    none = np.zeros((256, 0), np.float32)
    nodes, edges, _ = batch(to_hetero(subgraph, widened(subgraph, GraphSchema(), none, none)))
    model = RingModel(GraphSchema(), ModelSettings()).eval()
    draw = torch.Generator().manual_seed(0)
    order = {kind: torch.randperm(len(nodes[kind]), generator=draw) for kind in NODE_KINDS}
    place = {kind: torch.argsort(order[kind]) for kind in NODE_KINDS}
    ends, features = {}, {}
    for kind in EDGE_KINDS:
        name = name_of(kind)
        mixed = torch.randperm(edges.ends[name].shape[1], generator=draw)
        source, target = edges.ends[name][:, mixed]
        ends[name] = torch.stack([place[kind[0]][source], place[kind[2]][target]])
        features[name] = edges.features[name][mixed]
    with torch.no_grad():
        before = model.encoder(nodes, edges)
        moved = {kind: nodes[kind][order[kind]] for kind in NODE_KINDS}
        after = model.encoder(moved, type(edges)(ends, features))
    for kind in NODE_KINDS:
        torch.testing.assert_close(after[kind], before[kind][order[kind]], atol=1e-5, rtol=1e-5)
