"""From stories to rows: every ring is told, given its place in time, and numbered.

Rings are few (one to several thousand transactions), so their stories are told one by one;
O(rows of rings).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from graph.evidence import Role
from graph.transaction import DAY, HOUR, MINUTE
from ingest.simulator.config import SimulationConfig
from ingest.simulator.flows import Flows, flows, stacked
from ingest.simulator.kinds import KINDS, VARIANTS
from ingest.simulator.population import World
from ingest.simulator.rings.cast import Cast
from ingest.simulator.rings.circles import cycle
from ingest.simulator.rings.evasion import EVASIONS
from ingest.simulator.rings.fans import fan_in, fan_out, structuring
from ingest.simulator.rings.identities import bust_out, device_farm, synthetic_identity
from ingest.simulator.rings.layers import bipartite, chain, gather_scatter, scatter_gather, stack
from ingest.simulator.rings.mules import dormant_burst, mule, takeover
from ingest.simulator.rings.plastic import card_testing, collusive_merchant, refund_abuse
from ingest.simulator.rings.scene import Scene
from ingest.simulator.rings.story import LIFE, Story

Ints = npt.NDArray[np.int64]

LONGEST_SHARE: Final = 0.6
"""Of the time rings have; a story that would take longer is told faster."""
STARTS_TRIED: Final = 3
"""Instants drawn for a burst until one lies in waking hours; the last one stands."""

TELLERS: Final[Mapping[str, Callable[[Scene], Story]]] = MappingProxyType(
    {
        "cycle": cycle,
        "mule": mule,
        "device_farm": device_farm,
        "synthetic_identity": synthetic_identity,
        "card_testing": card_testing,
        "takeover": takeover,
        "bust_out": bust_out,
        "collusive_merchant": collusive_merchant,
        "refund_abuse": refund_abuse,
        "structuring": structuring,
        "fan_in": fan_in,
        "fan_out": fan_out,
        "scatter_gather": scatter_gather,
        "gather_scatter": gather_scatter,
        "bipartite": bipartite,
        "stack": stack,
        "chain": chain,
        "dormant_burst": dormant_burst,
    }
)


@dataclass(frozen=True, slots=True)
class RingTruth:
    """Who a planted ring is.

    Attributes:
        kind: One of `KINDS`.
        variant: One of `VARIANTS`.
        members: Each user and the part it plays, in the order in which they joined; those it
            robs are among them as `Role.VICTIM`.
        merchants: Merchants that belong to it.
    """

    kind: str
    variant: str
    members: tuple[tuple[int, Role], ...]
    merchants: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plot:
    """All rings of a world.

    Attributes:
        flows: Their rows, numbered from 0 in `Flows.ring`; rows that only hide a ring have -1.
        truth: Who they are, by that number.
        asleep: Users whose accounts do nothing before `until`, both int64[n].
        until: Epoch milliseconds.
    """

    flows: Flows
    truth: list[RingTruth]
    asleep: Ints
    until: Ints


def told(rng: np.random.Generator, world: World) -> list[tuple[str, str, Story]]:
    """(kind, variant, story) of every ring, in the order of the kinds."""
    cast = Cast(rng, world)
    crews = iter(range(int(world.crew[-1]) + 1 if len(world.crew) else 0))
    stories = []
    for kind, count in world.config.rings.items():
        for _ in range(count):
            invented: tuple[int, ...] = ()
            if KINDS[kind].invention is not None:
                crew = np.flatnonzero(world.crew == next(crews))
                invented = tuple(int(user) for user in world.people + crew)
            scene = Scene(rng, world, cast, invented)
            story = TELLERS[kind](scene)
            story.open()
            variant = _variant(rng, kind, world.config.evading_share)
            if variant != VARIANTS[0]:
                EVASIONS[variant](scene, story)
            stories.append((kind, variant, story))
    return stories


def planted(rng: np.random.Generator, world: World) -> Plot:
    """Tell every ring and give it its time."""
    config = world.config
    stories = told(rng, world)
    # Each kind spread evenly over the time: a world that is cut by time has rings in every piece,
    # and what is in the future was in the past.
    place: list[float] = []
    for count in config.rings.values():
        place += [(i + rng.random()) / count for i in range(count)]
    stories = [stories[i] for i in np.argsort(place, kind="stable")]
    # At least a day to a part: within a day a burst can still find its hour.
    spread = max(1, min(len(stories), (config.end - config.rings_start) // DAY))
    parts: list[Flows] = []
    asleep: list[int] = []
    until: list[int] = []
    for ring, (kind, _, story) in enumerate(stories):
        slot = ring * spread // len(stories)
        part = (slot / spread, (slot + 1) / spread)
        begins, rows = _placed(rng, config, kind, story, ring, part)
        parts.append(rows)
        asleep += story.sleepers
        until += [begins] * len(story.sleepers)
    truth = [
        RingTruth(kind, variant, tuple(story.roles.items()), tuple(story.merchants))
        for kind, variant, story in stories
    ]
    nothing = flows(*(np.empty(0, dtype=np.int64) for _ in range(4)))
    return Plot(
        stacked([*parts, nothing]),
        truth,
        np.array(asleep, dtype=np.int64),
        np.array(until, dtype=np.int64),
    )


def _variant(rng: np.random.Generator, kind: str, share: float) -> str:
    if rng.random() >= share:
        return VARIANTS[0]
    return str(rng.choice(KINDS[kind].evasions))


def _placed(
    rng: np.random.Generator,
    config: SimulationConfig,
    kind: str,
    story: Story,
    ring: int,
    part: tuple[float, float],
) -> tuple[int, Flows]:
    """When the burst begins, in this part (0 to 1) of the time that rings have, and the rows."""
    table = np.array(
        [
            (
                int(row.at), row.type, row.amount, row.user, row.to, row.merchant, row.device,
                row.ip, row.card, row.outcome, row.phase, row.round,
            )
            for row in story.rows
        ],
        dtype=np.int64,
    )  # fmt: skip
    offset, phase = table[:, 0], table[:, 10]
    opens = config.opens_for(kind)
    room = config.end - opens
    length = int(offset.max()) + MINUTE
    if length > LONGEST_SHARE * room:
        hurry = LONGEST_SHARE * room / length
        offset = np.where(offset > 0, (offset * hurry).astype(np.int64), offset)
        length = int(offset.max()) + MINUTE
    begins = opens
    for _ in range(STARTS_TRIED):
        begins = opens + int(rng.uniform(*part) * (room - length))
        if 7 * HOUR <= begins % DAY < 22 * HOUR:
            break
    hides = phase == LIFE
    rows = flows(
        begins + offset,
        table[:, 1],
        table[:, 2],
        table[:, 3],
        counterparty=table[:, 4],
        merchant=table[:, 5],
        device=table[:, 6],
        ip=table[:, 7],
        card=table[:, 8],
        outcome=table[:, 9],
        ring=np.where(hides, -1, ring),
        phase=phase,
        round=table[:, 11],
    )
    return begins, rows.take(rows.time >= config.start)
