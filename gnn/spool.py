"""A recorded history on disk: one plain file a tick, so that memory stays flat however long it is.

A tick is a moment at which the graph was taken, with the transactions between it and the next one.
Files are `000000.tick` and so on: the length of the first of two snapshots (`graph.snapshot`, with
their checksums) in 8 bytes, the transactions, the graph. `spool.json`, written last, says what they
are: a spool that was not finished does not open. Training reads every tick every epoch; as `.npz`
that took as long as all the arithmetic, since numpy parses the header of each array as Python.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from gnn.schema import GraphSchema
from gnn.tensors import Subgraph, from_arrays, nothing, to_arrays
from graph.errors import Incompatible, InvalidSetting
from graph.snapshot import Snapshot, pack, unpack

FORMAT: Final = 2  # 2: ticks are snapshots
INDEX: Final = "spool.json"
_ROWS: Final = "transactions of a tick"
_GRAPH: Final = "graph of a tick"
_LENGTH: Final = 8
_REMEDY: Final = "Record the history again."


class TickRows(NamedTuple):
    """The transactions of one tick, in order of arrival: R of them, K of which were kept.

    Attributes:
        places: int64 [R], their numbers in the replayed stream, from 0.
        times: int64 [R], epoch ms.
        parties: int32 [R, 5], window ids of user, other party, device, address and card; -1 = none.
        generations: int32 [R, 5]: with another one, the same id is another entity.
        kept: bool [R], whether it is an example.
    """

    places: NDArray[np.int64]
    times: NDArray[np.int64]
    parties: NDArray[np.int32]
    generations: NDArray[np.int32]
    kept: NDArray[np.bool_]


class Tick(NamedTuple):
    """The graph as of a moment, and what came between it and the next one.

    Attributes:
        number: Its place in the spool.
        rows: The transactions.
        subgraph: The neighbourhoods of who took part in those that were kept.
        members: int32 [K, 5], which seed of `subgraph` each party of the kept ones is; -1 where
            there is none, or it was not yet known.
    """

    number: int
    rows: TickRows
    subgraph: Subgraph
    members: NDArray[np.int32]

    @property
    def as_of(self) -> int:
        """When the graph was taken, ms; every transaction of the tick arrived later."""
        return self.subgraph.as_of

    @property
    def ages(self) -> NDArray[np.int64]:
        """int64 [K], how old the graph was at each kept transaction, ms."""
        return np.maximum(self.rows.times[self.rows.kept] - self.as_of, 0)


class SpoolWriter:
    """Writes ticks one after the other; `finish` ends it.

    Args:
        folder: Made if it is not there; a spool in it is replaced.

    Raises:
        InvalidSetting: The folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: list[tuple[int, int, int]] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / INDEX).unlink(missing_ok=True)
            for old in folder.glob("??????.tick"):
                old.unlink()
        except OSError as error:
            raise _unwritable(folder, error) from error

    def add(self, rows: TickRows, subgraph: Subgraph, members: NDArray[np.int32]) -> None:
        """Write one tick.

        Raises:
            InvalidSetting: There is no room, or the folder is gone.
        """
        first = pack(_ROWS, FORMAT, Snapshot({}, {**rows._asdict(), "members": members}))
        second = pack(_GRAPH, FORMAT, Snapshot({}, to_arrays(subgraph)))
        length = len(first).to_bytes(_LENGTH, "little")
        try:
            _path(self._folder, len(self._sizes)).write_bytes(length + first + second)
        except OSError as error:
            raise _unwritable(self._folder, error) from error
        self._sizes.append((subgraph.as_of, len(rows.places), len(members)))

    def finish(self, every: int) -> None:
        """Say that it is whole; `every` is the time between two ticks, ms.

        Raises:
            InvalidSetting: There is no room, or the folder is gone.
        """
        index = {
            "format": FORMAT,
            "graph": GraphSchema().hash,
            "every": every,
            "ticks": self._sizes,
        }
        try:
            (self._folder / INDEX).write_bytes(msgspec.json.encode(index))
        except OSError as error:
            raise _unwritable(self._folder, error) from error


@dataclass(frozen=True, slots=True)
class Spool:
    """A recorded history, read tick by tick.

    Attributes:
        folder: Where it is.
        every: Time between two ticks, ms.
        moments: int64 [T], when each graph was taken.
        transactions: int64 [T], transactions of each tick.
        kept: int64 [T], examples of each tick.
    """

    folder: Path
    every: int
    moments: NDArray[np.int64]
    transactions: NDArray[np.int64]
    kept: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.moments)

    def __iter__(self) -> Iterator[Tick]:
        return (self.tick(number) for number in range(len(self)))

    def rows(self, number: int) -> TickRows:
        """The transactions of a tick.

        Raises:
            Incompatible: Its file is missing or torn.
        """
        return self.tick(number, graph=False).rows

    def tick(self, number: int, *, graph: bool = True) -> Tick:
        """A tick.

        Args:
            number: Which one.
            graph: Whether its graph is read; without, the subgraph has no nodes.

        Raises:
            Incompatible: Its file is missing or torn.
        """
        path = _path(self.folder, number)
        try:
            with path.open("rb") as file:
                length = int.from_bytes(file.read(_LENGTH), "little")
                first, second = file.read(length), file.read() if graph else b""
            said = unpack(_ROWS, FORMAT, first).arrays
            subgraph = (
                from_arrays(unpack(_GRAPH, FORMAT, second).arrays)
                if graph
                else nothing(int(self.moments[number]))
            )
        except (OSError, Incompatible) as error:
            raise Incompatible(
                "a tick of the recorded history cannot be read",
                field=path.name,
                value=str(error),
                remedy=_REMEDY,
            ) from error
        rows = TickRows(*(said[name] for name in TickRows._fields))
        return Tick(number, rows, subgraph, said["members"])


def open_spool(folder: Path) -> Spool:
    """The recorded history in a folder.

    Raises:
        Incompatible: There is none, it was not finished, or it has other features.
    """
    try:
        index = msgspec.json.decode((folder / INDEX).read_bytes())
        found = (index["format"], index["graph"])
        sizes = np.array(index["ticks"], np.int64).reshape(-1, 3)
        every = int(index["every"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise Incompatible(
            "this is not a finished recording", field=INDEX, value=repr(error), remedy=_REMEDY
        ) from error
    if found != (FORMAT, GraphSchema().hash):
        raise Incompatible(
            "it was recorded with other features", field=INDEX, value=str(found), remedy=_REMEDY
        )
    return Spool(folder, every, sizes[:, 0], sizes[:, 1], sizes[:, 2])


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:06}.tick"


def _unwritable(folder: Path, error: OSError) -> InvalidSetting:
    return InvalidSetting(
        f"the recording cannot be written: {error.strerror}",
        field="recording",
        value=str(folder),
        remedy="Give a folder that can be written and has room.",
    )
