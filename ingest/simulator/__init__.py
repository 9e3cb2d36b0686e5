"""A seeded world of people, merchants and fraud rings that produces labelled transactions."""

from ingest.simulator.config import RingCounts, SimulationConfig, demo_config
from ingest.simulator.population import World
from ingest.simulator.simulation import (
    WIRE_FIELDS,
    Simulation,
    frame_of,
    run,
    simulate,
    write,
)

__all__ = [
    "WIRE_FIELDS",
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
