"""Small files as a mapping reads them."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ingest.datasets import read
from ingest.mapping import DatasetMapping, parse_mapping
from scorer.history import LabelledTransaction

FIELDS = {
    "timestamp": '{ column = "t", time = "iso", zone = "UTC" }',
    "type": '{ constant = "transfer" }',
    "amount": '"a"',
    "currency": '{ constant = "EUR" }',
    "user_id": '"u"',
    "counterparty_id": '"v"',
}
ROW = {"a": [1], "u": ["u"], "v": ["v"]}
ROWS = "t,a,u,v\n2024-01-01T00:00:00,1.50,a,b\n2024-01-01T01:00:00,2,b,c\n"
LABEL = '[label]\ncolumn = "l"\nfraud = [1]\nlegitimate = [0]\nunknown = [2]\ndelay = "1d"\n'


def mapping(extra: str = "", files: str = "*.csv", **changes: str) -> DatasetMapping:
    lines = [f"{name} = {source}" for name, source in {**FIELDS, **changes}.items() if source]
    return parse_mapping(f'files = ["{files}"]\n[fields]\n' + "\n".join(lines) + "\n" + extra, "m")


def of(folder: Path, text: str, found: DatasetMapping | None = None) -> list[LabelledTransaction]:
    (folder / "rows.csv").write_text(text, encoding="utf-8")
    return list(read(folder, found or mapping()))


def of_table(folder: Path, found: DatasetMapping, **columns: object) -> list[LabelledTransaction]:
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    return list(read(folder, found))
