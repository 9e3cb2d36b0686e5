"""What is on disk: spools and models that are torn, altered or of another version are refused."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gnn import artefact, checked_files, spool
from gnn.artefact import RingArtefact, load
from gnn.event_sequences import STEP
from gnn.examples import Examples, by_tick
from gnn.sampling import Fanout
from gnn.schema import EDGE_FEATURES, EDGE_KINDS, NODE_FEATURES, NODE_KINDS, GraphSchema
from gnn.spool import SpoolWriter, TickRows, open_spool
from gnn.tensors import nothing, widened
from graph.errors import Incompatible, InvalidInput, InvalidSetting
from graph.transaction import HOUR

SCHEMA = GraphSchema(("risk", "known"), ("risk",), ("value", "margin"))
MODEL = RingArtefact(b"encoder", b"head", SCHEMA, 16, {"paid": 8}, {"seed": 3})


def rows(*places: int) -> TickRows:
    n = len(places)
    return TickRows(
        np.array(places, np.int64),
        np.zeros(n, np.int64),
        np.full((n, 5), -1, np.int32),
        np.zeros((n, 5), np.int32),
        np.ones(n, np.bool_),
    )


def written(folder, *ticks: TickRows) -> None:
    writer = SpoolWriter(folder)
    for tick in ticks:
        writer.add(tick, nothing(7), np.full((len(tick.places), 5), -1, np.int32))
    writer.finish(HOUR)


def examples(*places: int) -> Examples:
    n = len(places)
    return Examples(
        np.array(places, np.int64),
        np.zeros(n, np.bool_),
        np.ones(n, np.float32),
        np.zeros((n, 0), np.float32),
    )


def test_a_spool_comes_back(tmp_path):
    written(tmp_path, rows(0, 1), rows(5))
    found = open_spool(tmp_path)
    assert (len(found), found.every) == (2, HOUR)
    assert found.kept.tolist() == [2, 1]
    assert [tick.rows.places.tolist() for tick in found] == [[0, 1], [5]]
    assert [tick.subgraph.nodes for tick in found] == [0, 0]


def test_a_new_spool_replaces_the_old_one(tmp_path):
    written(tmp_path, rows(0), rows(1))
    SpoolWriter(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_spool_does_not_open(tmp_path):
    writer = SpoolWriter(tmp_path)
    writer.add(rows(0), nothing(), np.full((1, 5), -1, np.int32))
    with pytest.raises(Incompatible, match="not a finished recording"):
        open_spool(tmp_path)


def test_a_spool_of_other_features_does_not_open(tmp_path):
    written(tmp_path, rows(0))
    index = msgspec.json.decode((tmp_path / spool.INDEX).read_bytes())
    (tmp_path / spool.INDEX).write_bytes(msgspec.json.encode(index | {"graph": "0"}))
    with pytest.raises(Incompatible, match="other features"):
        open_spool(tmp_path)


@pytest.mark.parametrize("harm", ["cut", "flipped", "gone"])
def test_a_torn_tick_is_named(tmp_path, harm):
    written(tmp_path, rows(0))
    path = tmp_path / "000000.tick"
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-40] if harm == "cut" else content)
    with pytest.raises(Incompatible, match=r"000000\.tick"):
        open_spool(tmp_path).tick(0)


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidSetting, match="cannot be written"):
        SpoolWriter(tmp_path / "file" / "spool")


def test_examples_are_found_again_by_place(tmp_path):
    written(tmp_path, rows(0, 1, 4), rows(5, 9))
    places = by_tick(open_spool(tmp_path), examples(1, 4, 9))
    assert [found.tolist() for found in places] == [[-1, 0, 1], [-1, 2]]
    with pytest.raises(InvalidInput, match="missing in the recording"):
        by_tick(open_spool(tmp_path), examples(1, 2))


def test_examples_have_to_belong_together():
    with pytest.raises(InvalidInput, match="ascend"):
        examples(4, 1)
    with pytest.raises(InvalidInput, match="one row an example"):
        Examples(np.zeros(2, np.int64), np.zeros(1, np.bool_), np.ones(1), np.zeros((1, 0)))


def test_a_model_comes_back(tmp_path):
    MODEL.save(tmp_path)
    assert load(tmp_path, SCHEMA) == MODEL


@pytest.mark.parametrize("name", [artefact.ENCODER, artefact.HEAD, artefact.METADATA])
def test_a_flipped_bit_is_refused(tmp_path, name):
    MODEL.save(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Incompatible, match="checksums"):
        load(tmp_path)


@pytest.mark.parametrize(
    "name", [artefact.ENCODER, artefact.HEAD, artefact.METADATA, checked_files.SUMS]
)
def test_a_missing_file_is_refused(tmp_path, name):
    MODEL.save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(Incompatible, match="not a whole ring model"):
        load(tmp_path)


def resealed(folder, **changes: object) -> None:
    """Other metadata under right checksums, as somebody who edits a model would leave it."""
    said = msgspec.json.decode((folder / artefact.METADATA).read_bytes()) | changes
    files = {
        artefact.ENCODER: MODEL.encoder,
        artefact.HEAD: MODEL.head,
        artefact.METADATA: msgspec.json.encode(said),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / checked_files.SUMS).write_bytes(checked_files._sums(files))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema_hash": "0"}, "other graph features"),
        ({"format": 0}, "expected format"),
        ({"schema": {"context": ["margin", "value"]}}, "other graph features"),
        ({"schema": 5}, "cannot be understood"),
    ],
)
def test_metadata_that_do_not_fit_are_refused(tmp_path, changes, said):
    MODEL.save(tmp_path)
    resealed(tmp_path, **changes)
    with pytest.raises(Incompatible, match=said):
        load(tmp_path)


@pytest.mark.parametrize("part", ["account_extra", "context"])
def test_columns_in_another_order_are_refused(tmp_path, part):
    MODEL.save(tmp_path)
    with pytest.raises(Incompatible, match=part):
        load(tmp_path, replace(SCHEMA, **{part: getattr(SCHEMA, part)[::-1]}))


def test_the_hash_knows_every_name_and_its_order():
    schemas = [
        GraphSchema(),
        SCHEMA,
        replace(SCHEMA, account_extra=("known", "risk")),
        replace(SCHEMA, context=("value",)),
    ]
    assert len({schema.hash for schema in schemas}) == len(schemas)


def test_a_name_is_used_once():
    with pytest.raises(InvalidSetting, match="twice"):
        GraphSchema(account_extra=("age",))
    with pytest.raises(InvalidSetting, match="twice"):
        GraphSchema(context=("a", "a"))


def test_extra_columns_have_to_be_those_that_are_named():
    with pytest.raises(InvalidInput, match="expected 2 columns"):
        widened(nothing(), SCHEMA, np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32))


def test_a_fanout_is_bounded():
    with pytest.raises(InvalidSetting, match="fanout: used"):
        Fanout(used=0)


def test_the_docs_list_every_feature():
    text = (Path(__file__).parents[2] / "docs" / "gnn.md").read_text()
    rows_ = {line for line in text.splitlines() if line.startswith("| `")}
    for kind in NODE_KINDS:
        for name, said in NODE_FEATURES[kind].items():
            assert any(f"| `{name}` |" in row and said in row for row in rows_), (kind, name)
    for features in EDGE_FEATURES.values():
        for name, said in features.items():
            assert any(f"| `{name}` |" in row and said in row for row in rows_), name
    assert {f"| `{name}` | {said} |" for name, said in STEP.items()} <= rows_
    assert len(EDGE_KINDS) == len(set(EDGE_KINDS))
