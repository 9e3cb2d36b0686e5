"""What people hold in their hands: phones, laptops, tablets, public machines, cards.

Most have their own; households share some, public machines are everybody's, and the identities
that were invented for one ring share what their kind shares.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from ingest.simulator.crews import Crews

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

KIOSKS: Final = 4
"""Public machines of a city: internet cafes, remittance shops, libraries."""
MOST_SHARED: Final = 4
"""Devices, and cards, that the identities invented for one ring share at most."""


def hand_out_devices(
    rng: np.random.Generator, people: int, crews: Crews, household: Ints, city: Ints
) -> tuple[Ints, Ints, int]:
    """(second device, device, first public machine): int64[U] each, dense numbers, and a number."""
    users = len(household)
    own = np.arange(users, dtype=np.int64)
    shared = _shared(rng, crews, users, crews.of(lambda kind: kind.devices))
    # Small farms run on a single device.
    crew = crews.crew
    alone = rng.random(len(crew) + 1)[crew] < 0.35
    first = users + MOST_SHARED * crew
    invented = np.where(shared >= 0, np.where(alone, first, shared), people + np.arange(len(crew)))
    own[people : people + len(crew)] = invented
    laptops = users + MOST_SHARED * len(crew)
    tablets = laptops + users
    kiosks = tablets + int(household[-1]) + 1
    draw = rng.random(users)
    second = np.where(draw < 0.45, laptops + np.arange(users), tablets + household)
    kiosk = kiosks + KIOSKS * city + rng.integers(0, KIOSKS, users)
    second = np.where(draw > 0.96, kiosk, second)
    second[people : people + len(crew)] = np.where(
        shared >= 0, invented, second[people : people + len(crew)]
    )
    return second, own, kiosks


def hand_out_cards(
    rng: np.random.Generator, people: int, crews: Crews, household: Ints
) -> tuple[Ints, Ints, int]:
    """(card, second card, how many there are): int64[U] each, and a number."""
    users, synthetic = len(household), len(crews.crew)
    card = np.arange(users, dtype=np.int64)
    shared = _shared(rng, crews, users, crews.of(lambda kind: kind.cards))
    shares = (rng.random(synthetic) < crews.of(lambda kind: kind.card_share)) & (shared >= 0)
    card[people : people + synthetic] = np.where(shares, shared, card[people : people + synthetic])
    family = users + MOST_SHARED * synthetic + household
    second = np.where(rng.random(users) < 0.25, family, card)
    return card, second, users + MOST_SHARED * synthetic + int(household[-1]) + 1


def _shared(rng: np.random.Generator, crews: Crews, first: int, pool: Floats) -> Ints:
    """One of the things that each one's crew shares, numbered from `first`; -1 where none."""
    slot = rng.integers(0, np.maximum(pool, 1).astype(np.int64), len(crews.crew))
    return np.where(pool > 0, first + MOST_SHARED * crews.crew + slot, -1)
