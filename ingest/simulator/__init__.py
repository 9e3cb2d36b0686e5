"""A seeded world of people, merchants and fraud rings that produces labelled transactions."""

from ingest.simulator.config import SimulationConfig, demo_config
from ingest.simulator.kinds import KINDS, VARIANTS, RingCounts
from ingest.simulator.naming import WIRE_FIELDS
from ingest.simulator.population import World
from ingest.simulator.simulation import (
    Making,
    Simulation,
    frame_of,
    run,
    simulate,
    write,
)

__all__ = [
    "KINDS",
    "VARIANTS",
    "WIRE_FIELDS",
    "Making",
    "RingCounts",
    "Simulation",
    "SimulationConfig",
    "World",
    "demo_config",
    "frame_of",
    "run",
    "simulate",
    "write",
]
