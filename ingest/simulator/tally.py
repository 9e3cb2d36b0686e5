"""How much there is of everything, counted period by period in memory of the world's size."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ingest.simulator.attire import Attire
from ingest.simulator.flows import Flows
from ingest.simulator.look_alikes import LOOK_ALIKES, STRIDE
from ingest.simulator.population import World

Ints = npt.NDArray[np.int64]


class Tally:
    """Counts of a world; a look-alike group counts if at least two of its transactions happened."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rows = self._fraud = self._unlabelled = 0
        self._groups = np.zeros(len(LOOK_ALIKES), dtype=np.int64)
        self._open = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
        self._users = {
            "device": _Users(world.devices),
            "card": _Users(world.cards),
            "ip": _Users(world.ips),
        }

    def count(self, flows: Flows, attire: Attire, fraud: Ints, still_open: Ints) -> None:
        """Take in a period; `still_open` are the groups that have rows in later ones, sorted."""
        self._rows += len(flows)
        self._fraud += int((fraud == 1).sum())
        self._unlabelled += int((fraud < 0).sum())
        honest = flows.ring < 0
        group, size = np.unique(flows.group[honest & (flows.group >= 0)], return_counts=True)
        known, sizes = self._open
        both, place = np.unique(np.concatenate([known, group]), return_inverse=True)
        total = np.bincount(place, np.concatenate([sizes, size]), len(both)).astype(np.int64)
        later = np.isin(both, still_open)
        self._groups += _whole(both[~later], total[~later])
        self._open = (both[later], total[later])
        for name, users in self._users.items():
            users.note(getattr(attire, name)[honest], flows.user[honest])

    def figures(self) -> dict[str, Any]:
        """All counts by name."""
        groups = self._groups + _whole(*self._open)
        shared = {f"shared_{name}": users.shared for name, users in self._users.items()}
        return {
            "transactions": self._rows,
            "fraud": self._fraud,
            "unlabelled": self._unlabelled,
            "users": self._world.users,
            "merchants": len(self._world.market),
            "rings": dict(self._world.config.rings),
            "look_alikes": dict(zip(LOOK_ALIKES, groups.tolist(), strict=True)) | shared,
        }


def _whole(group: Ints, size: Ints) -> Ints:
    """Groups of two transactions or more, by kind."""
    return np.bincount(group[size >= 2] // STRIDE, minlength=len(LOOK_ALIKES))


class _Users:
    """How many identifiers of one kind at least two users used, apart from what rings did."""

    def __init__(self, count: int) -> None:
        self._first = np.full(count, -1, dtype=np.int64)
        self._by_two = np.zeros(count, dtype=np.bool_)

    def note(self, identifier: Ints, user: Ints) -> None:
        used = identifier >= 0
        identifier, user = identifier[used], user[used]
        new = self._first[identifier] < 0
        self._first[identifier[new]] = user[new]
        self._by_two[identifier[self._first[identifier] != user]] = True

    @property
    def shared(self) -> int:
        return int(self._by_two.sum())
