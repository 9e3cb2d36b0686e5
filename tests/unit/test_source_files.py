"""Files that data sets come in: broken, compressed, empty, of other encodings."""

import gzip
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ingest.datasets import count, read
from ingest.mapping import load_mapping, parse_mapping
from ingest.tables import InvalidDataset
from tests.mapped_files import FIELDS, ROWS, mapping, of, of_table


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("t,a,u\n1,2,3\n", 'column "v" of rows.csv'),
        ("t,a,u,v\n1,2\n", "cannot be read as csv"),
        ("", "cannot be read as csv"),
        ("t,a,u,v\n\xff", "cannot be read as csv"),
    ],
)
def test_a_broken_file_says_what_is_wrong(tmp_path: Path, text: str, what: str):
    (tmp_path / "rows.csv").write_text(text, encoding="latin-1")
    with pytest.raises(InvalidDataset, match=re.escape(what)):
        read(tmp_path, mapping())


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("t,a,u,größe\n".encode("latin-1"), "Write the file in UTF-8"),
        (ROWS.encode("utf-16"), "in UTF-16. Write the file in UTF-8"),
        ((ROWS + "2024-01-01,1,ü,v\n").encode("latin-1"), "Write the file in UTF-8"),
        (gzip.compress(ROWS.encode(), mtime=0), r"compressed \(gzip\).*\.csv\.gz"),
        (b"PK\x03\x04 and more", r"compressed \(zip\)"),
    ],
    ids=["head", "utf-16", "body", "gzip", "zip"],
)
def test_bytes_that_are_no_text_are_refused_in_a_line(tmp_path: Path, data: bytes, what: str):
    (tmp_path / "rows.csv").write_bytes(data)
    with pytest.raises(InvalidDataset, match=what) as caught:
        read(tmp_path, mapping())
    assert (caught.value.field, caught.value.exit_code) == ("rows.csv", 2)


def test_compressed_text_is_read_by_name(tmp_path: Path):
    lines = '{"t": "2024-01-01", "a": 1, "u": "u", "v": "v"}\n' * 2
    for name, text in (("rows.csv.gz", ROWS), ("rows.jsonl.gz", lines)):
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
        assert len(list(read(tmp_path, mapping(files=name)))) == 2
        (tmp_path / name).write_bytes(gzip.compress(text.encode())[:-12])
        with pytest.raises(InvalidDataset, match="cannot be read as"):
            read(tmp_path, mapping(files=name))
        (tmp_path / name).write_text(text)
        with pytest.raises(InvalidDataset, match="cannot be read as"):
            read(tmp_path, mapping(files=name))
    (tmp_path / "rows.jsonl").write_bytes(gzip.compress(lines.encode()))
    with pytest.raises(InvalidDataset, match=r"compressed \(gzip\).*\.jsonl\.gz"):
        read(tmp_path, mapping(files="*.jsonl"))


def test_json_lines_may_begin_with_a_byte_order_mark(tmp_path: Path):
    line = '{"t": "2024-01-01", "a": 1, "u": "u", "v": "v"}\n'
    (tmp_path / "rows.jsonl").write_text(line, encoding="utf-8-sig")
    assert len(list(read(tmp_path, mapping(files="*.jsonl")))) == 1


@pytest.mark.parametrize("text", ["", "\n", "\ufeff"])
def test_json_lines_without_a_line_are_no_rows(tmp_path: Path, text: str):
    (tmp_path / "a.jsonl").write_text(text)
    assert list(read(tmp_path, mapping(files="*.jsonl"))) == []
    (tmp_path / "b.jsonl").write_text('{"t": "2024-01-01", "a": 1, "u": "u", "v": "v"}\n')
    assert len(list(read(tmp_path, mapping(files="*.jsonl")))) == 1


def test_no_file_and_an_unknown_suffix_say_so(tmp_path: Path):
    with pytest.raises(InvalidDataset, match="no file matches"):
        read(tmp_path, mapping())
    with pytest.raises(InvalidDataset, match="no file matches"):
        count(tmp_path / "absent", mapping())
    (tmp_path / "rows.dat").write_text(ROWS)
    with pytest.raises(InvalidDataset, match="does not say what format"):
        read(tmp_path, mapping(files="*.dat"))
    told = parse_mapping(
        'format = "csv"\nfiles = ["*.dat"]\n[fields]\n'
        + "\n".join(f"{name} = {source}" for name, source in FIELDS.items()),
        "m",
    )
    assert len(list(read(tmp_path, told))) == 2


def test_an_empty_file_has_no_transactions(tmp_path: Path):
    assert of(tmp_path, "t,a,u,v\n") == []


def test_a_broken_line_says_which(tmp_path: Path):
    (tmp_path / "transactions.jsonl").write_text("{}\n{\n")
    with pytest.raises(InvalidDataset, match=r"line 2 of transactions\.jsonl"):
        read(tmp_path, load_mapping("ringfence"))


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(2)])
def test_bytes_are_read_as_utf_8(tmp_path: Path, kind: pa.DataType):
    columns = {"t": ["2024-01-01"] * 2, "a": [1] * 2, "v": ["v"] * 2}
    whole = mapping(files="*.parquet")
    known = pa.array([b"u0", "é".encode()], pa.binary()).cast(kind)
    for users in (known, known.dictionary_encode()):
        found = of_table(tmp_path, whole, **columns, u=users)
        assert [each.transaction.user_id for each in found] == ["u0", "é"]
    with pytest.raises(InvalidDataset, match=r'column "u" of rows\.parquet.*not UTF-8'):
        of_table(tmp_path, whole, **columns, u=pa.array([b"u0", b"\xff\xfe"], kind))


@pytest.mark.parametrize(
    "users",
    [
        pa.array([["u"]]),
        pa.array([{"id": "u"}]),
        pa.array([[("k", "u")]], pa.map_(pa.string(), pa.string())),
    ],
)
@pytest.mark.parametrize("extra", ["", '[[drop]]\nwhen = [{ column = "u", equals = 1 }]\n'])
def test_a_column_of_lists_or_structs_is_refused(tmp_path: Path, users: pa.Array, extra: str):
    with pytest.raises(InvalidDataset, match=r'column "u" of rows\.parquet: .*no single text'):
        of_table(
            tmp_path, mapping(extra, files="*.parquet"), t=["2024-01-01"], a=[1], u=users, v=["v"]
        )


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path):
    what = r'column "u" of rows.*: the file has 2 columns of this name'
    with pytest.raises(InvalidDataset, match=what):
        of(tmp_path, "t,a,u,u,v\n2024-01-01,1,x,y,z\n")
    assert of(tmp_path, "t,a,u,v,w,w\n2024-01-01,1,x,y,z,z\n")
    columns = [pa.array(["2024-01-01"]), pa.array([1]), *[pa.array(["x"])] * 3]
    pq.write_table(pa.table(columns, names=["t", "a", "u", "v", "u"]), tmp_path / "rows.parquet")
    with pytest.raises(InvalidDataset, match=what):
        read(tmp_path, mapping(files="*.parquet"))


def test_several_files_are_read_in_order_of_name(tmp_path: Path):
    for name, user in (("b.csv", "second"), ("a.csv", "first")):
        (tmp_path / name).write_text(f"t,a,u,v\n2024-01-01,1,{user},v\n")
    assert [each.transaction.user_id for each in read(tmp_path, mapping())] == ["first", "second"]
    (tmp_path / "b.csv").write_text("t,a,u,v\n2024-01-01,1,x,v\n2024-01-01,-1,x,v\n")
    with pytest.raises(InvalidDataset, match=r"row 2 of b\.csv"):
        read(tmp_path, mapping())
