"""A seeded world of people, merchants and fraud rings that produces labelled transactions."""

from ingest.simulator.config import RingCounts, SimulationConfig, demo_config
from ingest.simulator.population import World
from ingest.simulator.simulation import Simulation, frame_of, run, simulate, write

__all__ = [
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
