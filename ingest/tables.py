"""The files of a data set as one table: Parquet, CSV or JSON lines, joined and filtered.

Only the columns that the mapping names are read. CSV cells stay text, so amounts are read digit by
digit and ids keep their leading zeros.
"""

import gzip
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from graph.errors import InvalidInput
from ingest import fields
from ingest.cell_text import all_compared, compared, text_of, without_point
from ingest.file_formats import format_of, is_gzip, no_text
from ingest.mapping import Condition, DatasetMapping, Join

_LINES: Final = msgspec.json.Decoder(dict[str, Any], float_hook=fields.exact)
_MARK: Final = b"\xef\xbb\xbf"
"""The byte order mark that Windows puts before UTF-8."""


class InvalidDataset(InvalidInput):
    """A data set is not what its mapping says."""

    code = "invalid-dataset"


@dataclass(frozen=True, slots=True)
class SourceTable:
    """The rows of a data set.

    Attributes:
        data: The columns that were asked for; those that are absent and may be are left out.
        rows: int64[n], the number of each row across the files, from 0, before rows were dropped.
        files: Each file with the number of its first row.
    """

    data: pa.Table
    rows: npt.NDArray[np.int64]
    files: tuple[tuple[str, int], ...]

    def place(self, index: int) -> str:
        """Where a row of `data` is, in words: its row (from 1, without the header) and file."""
        if not len(self.rows):
            return f"no row of {self.files[0][0]}"
        row = int(self.rows[index])
        name, first = next(found for found in reversed(self.files) if found[1] <= row)
        return f"row {row - first + 1} of {name}"


def read_table(
    folder: Path, mapping: DatasetMapping, wanted: Iterable[str], optional: Iterable[str] = ()
) -> SourceTable:
    """Read, join and filter.

    Args:
        folder: What the file patterns of the mapping are relative to.
        mapping: Names files, joins and dropped rows.
        wanted: The columns to read; those of joins and drops come on their own.
        optional: Those of `wanted` that may be absent.

    Raises:
        InvalidDataset: No file, not of its format, or a column is absent.
    """
    joined = {new for join in mapping.join for new in join.columns.values()}
    needed = {*wanted, *(key for join in mapping.join for key in join.on)}
    conditions = [condition for drop in mapping.drop for condition in drop.when]
    needed.update(column for condition in conditions for column in condition.columns)
    own = sorted(needed - joined)
    tables, files, first = [], [], 0
    for path in _files(folder, mapping):
        table = _read_file(path, mapping, own, set(optional))
        tables.append(table)
        files.append((path.relative_to(folder).as_posix(), first))
        first += len(table)
    data = _stacked(tables)
    for join in mapping.join:
        data = _joined(data, folder, mapping, join)
    source = SourceTable(data, np.arange(len(data)), tuple(files))
    return _without_dropped(source, mapping)


def matches(data: pa.Table, condition: Condition) -> npt.NDArray[np.bool_]:
    """bool[n]: for which rows the condition holds; null equals nothing."""
    column = data[condition.column]
    if condition.is_null is not None:
        found = pc.is_null(column, nan_is_null=True)
        return _bools(found if condition.is_null else pc.invert(found))
    if condition.equals_column is not None:
        return _bools(pc.equal(_texts(column), _texts(data[condition.equals_column])))
    assert condition.equals is not None  # noqa: S101 - the mapping gives one of the three
    return _bools(pc.equal(_texts(column), compared(condition.equals)))


def coded(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], list[Any]]:
    """A column as int64[n] codes (-1 for null and NaN) and the distinct values they stand for."""
    codes, distinct = _encoded(column)
    values = distinct.to_pylist()
    gaps = [code for code, value in enumerate(values) if value is None or value != value]  # noqa: PLR0124 - NaN
    codes[np.isin(codes, gaps)] = -1
    return codes, values


def _texts(column: pa.ChunkedArray) -> pa.Array:
    """What stands for each row in comparisons; null for null and NaN."""
    codes, distinct = _encoded(column)
    return all_compared(distinct).take(pa.array(codes, mask=codes < 0))


def _encoded(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """A column as int64[n] codes (-1 for null) and its distinct values, NaN among them."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.string())
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    distinct = encoded.dictionary
    if pa.types.is_float32(distinct.type):
        distinct = pa.array(map(_widened, distinct.to_numpy(zero_copy_only=False)), pa.float64())
    return codes, distinct


def _widened(value: np.float32) -> float:
    """The number that a narrow one stands for: its shortest decimal, unless it is a whole one."""
    return float(value) if value.is_integer() else float(str(value))


def _bools(found: Any) -> npt.NDArray[np.bool_]:
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    return np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), dtype=np.bool_)  # noqa: FBT003 - pyarrow's signature


def _files(folder: Path, mapping: DatasetMapping) -> list[Path]:
    found = sorted({path for pattern in mapping.files for path in folder.glob(pattern)})
    if found:
        return found
    raise InvalidDataset(
        f"no file matches {', '.join(mapping.files)}",
        field=f"mapping {mapping.name}.files",
        value=_there(folder),
        remedy="Give the folder that holds the files, or correct the patterns of the mapping.",
    )


def _there(folder: Path) -> str:
    """What is there instead of the files that were looked for."""
    if folder.is_file():
        return f"{folder.name} is a file, not the folder it is in"
    if not folder.is_dir():
        return f"no folder {folder.name}"
    inside = sorted(path.name for path in folder.iterdir())[:8]
    return ", ".join(inside) or f"an empty folder {folder.name}"


def _read_file(
    path: Path, mapping: DatasetMapping, wanted: list[str], optional: set[str]
) -> pa.Table:
    kind = mapping.format or format_of(path.name)
    if kind is None:
        raise InvalidDataset(
            "the suffix does not say what format this is",
            field=path.name,
            value=path.suffix,
            remedy='Say it in the mapping: format = "parquet", "csv" or "jsonl".',
        )
    try:
        found = None if kind == "parquet" else no_text(path)
        if found is not None:
            raise InvalidDataset(found[0], field=path.name, remedy=found[1])
        if kind == "parquet":
            there = _present(pq.read_schema(path).names, path, wanted, optional)
            return _plain(pq.read_table(path, columns=there), path)
        if kind == "csv":
            parse = pa.csv.ParseOptions(delimiter=mapping.delimiter, newlines_in_values=True)
            with pa.csv.open_csv(path, parse_options=parse) as reader:
                names = reader.schema.names
            there = _present(names, path, wanted, optional)
            convert = pa.csv.ConvertOptions(
                include_columns=there,
                column_types=dict.fromkeys(there, pa.string()),
                null_values=["", *mapping.null],
                strings_can_be_null=True,
            )
            table = pa.csv.read_csv(path, parse_options=parse, convert_options=convert)
            return pa.table({name: without_point(table[name]) for name in there})
        return _read_lines(path, wanted, optional)
    except (pa.ArrowException, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        foreign = isinstance(error, UnicodeDecodeError) or "invalid UTF8" in str(error)
        remedy = "Check the format, the delimiter and that the file is whole."
        raise InvalidDataset(
            f"cannot be read as {kind}: {fields.show(str(error))}",
            field=path.name,
            remedy="Write the file in UTF-8." if foreign else remedy,
        ) from None


def _plain(table: pa.Table, path: Path) -> pa.Table:
    """The table of a Parquet file with bytes as text; refuses what is more than a value a row."""
    for index, column in enumerate(table.schema):
        what = None
        if not _is_plain(column.type):
            what = "no single text, number or time a row"
        elif _is_binary(column.type):
            try:
                table = table.set_column(index, column.name, table[index].cast(pa.string()))
            except pa.ArrowInvalid:
                what = "bytes that are not UTF-8"
        if what is not None:
            raise InvalidDataset(
                f"the column has {what}",
                field=f'column "{column.name}" of {path.name}',
                value=str(column.type)[:80],
                remedy="Write it as text, or as a number, when the file is made.",
            )
    return table


def _is_plain(kind: pa.DataType) -> bool:
    """Whether Arrow can tell values of this type apart, as `coded` asks it to."""
    try:
        pa.nulls(0, kind).dictionary_encode()
    except pa.ArrowNotImplementedError:  # Arrow's word for a type without one: lists, structs, maps
        return False
    return True


def _is_binary(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(test(kind) for test in (*tests, pa.types.is_binary_view))


def _read_lines(path: Path, wanted: list[str], optional: set[str]) -> pa.Table:
    columns: dict[str, list[str | None]] = {name: [] for name in wanted}
    seen: set[str] = set()
    records = False
    with gzip.open(path) if is_gzip(path.name) else path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if number == 1:
                line = line.removeprefix(_MARK)  # noqa: PLW2901 - it belongs to the file
            if not line.strip():
                continue
            try:
                record = _LINES.decode(line)
            except (ValueError, ArithmeticError, RecursionError) as error:
                raise InvalidDataset(
                    f"not a JSON object: {error}",
                    field=f"line {number} of {path.name}",
                    value=fields.show(line[:400].decode(errors="replace")),
                    remedy="Write one JSON object a line, in UTF-8.",
                ) from None
            records = True
            seen.update(record)
            for name, cells in columns.items():
                cells.append(_cell(record.get(name)))
    there = _present(sorted(seen), path, wanted, optional) if records else wanted
    return pa.table({name: pa.array(columns[name], pa.string()) for name in there})


def _cell(value: object) -> str | None:
    """A JSON value as the text of a cell; objects and arrays as JSON."""
    if value is None or isinstance(value, str):
        return value
    if type(value) is int:
        return str(value)
    if isinstance(value, bool | Decimal):
        return text_of(value)
    return msgspec.json.encode(value).decode()


def _present(names: list[str], path: Path, wanted: list[str], optional: set[str]) -> list[str]:
    absent = [name for name in wanted if name not in names and name not in optional]
    if absent:
        near = get_close_matches(absent[0], names, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise InvalidDataset(
            "the mapping names a column that is not there",
            field=f'column "{absent[0]}" of {path.name}',
            value=", ".join(names)[:400],
            remedy=f"Correct the mapping.{hint}",
        )
    doubled = [name for name in wanted if names.count(name) > 1]
    if doubled:
        raise InvalidDataset(
            f"the file has {names.count(doubled[0])} columns of this name",
            field=f'column "{doubled[0]}" of {path.name}',
            value=", ".join(names)[:400],
            remedy="Give each its own name; which of them is meant cannot be known.",
        )
    return [name for name in wanted if name in names]


def _stacked(tables: list[pa.Table]) -> pa.Table:
    if len(tables) == 1:
        return tables[0]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise InvalidDataset(
            f"the files have columns of different types: {error}",
            field="files",
            remedy="Write them with one schema, or list only files of one kind.",
        ) from None


def _joined(data: pa.Table, folder: Path, mapping: DatasetMapping, join: Join) -> pa.Table:
    ((ours, theirs),) = join.on.items()
    path = folder / join.file
    other = _read_file(path, mapping, sorted({theirs, *join.columns}), set())
    keys = _texts(other[theirs])
    if pc.count_distinct(keys).as_py() != len(keys):
        raise InvalidDataset(
            "a join needs a key that occurs once",
            field=f'column "{theirs}" of {join.file}',
            remedy="Join by another column, or remove the repeated rows.",
        )
    place = pc.index_in(_texts(data[ours]), value_set=keys)
    for column, new in join.columns.items():
        data = data.append_column(new, other[column].combine_chunks().take(place))
    return data


def _without_dropped(source: SourceTable, mapping: DatasetMapping) -> SourceTable:
    kept = np.ones(len(source.data), dtype=np.bool_)
    holds = partial(matches, source.data)
    for drop in mapping.drop:
        kept &= ~np.logical_and.reduce([holds(condition) for condition in drop.when])
    if kept.all():
        return source
    return SourceTable(source.data.filter(pa.array(kept)), source.rows[kept], source.files)
