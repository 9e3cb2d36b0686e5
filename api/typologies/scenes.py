"""One scene for each pattern: a simulated city is replayed, and the best evidence kept."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from graph.evidence import Evidence, Pattern
from graph.sweep import Sweep, SweepLimits
from graph.transaction import HOUR
from ingest.datasets import read
from ingest.mapping import load_mapping
from ingest.simulator import SimulationConfig, write
from ingest.simulator.kinds import KINDS
from scorer.detector import Detector

CITY: Final = SimulationConfig(
    seed=11, days=24, users=2_000, ring_counts=dict.fromkeys(KINDS, 2), evading_share=0.0
)
_BATCH: Final = 1_024


def scenes(city: SimulationConfig = CITY) -> dict[Pattern, Evidence]:
    """For each pattern that the city shows: evidence of a planted ring, the strongest.

    Where no planted ring shows it, the strongest look-alike stands for it.
    """
    best: dict[Pattern, tuple[tuple[bool, float, str], Evidence]] = {}
    fraud: set[str] = set()
    detector = Detector(sweep=Sweep(limits=SweepLimits(every=HOUR)))
    with TemporaryDirectory() as folder:
        write(city, Path(folder))
        history = list(read(Path(folder), load_mapping("ringfence")))
    for start in range(0, len(history), _BATCH):
        batch = history[start : start + _BATCH]
        fraud |= {item.transaction.transaction_id for item in batch if item.ring_id is not None}
        ringed = {item.transaction.transaction_id: item.ring_id is not None for item in batch}
        for verdict in detector.observe_batch([item.transaction for item in batch]):
            for piece in (*verdict.evidence, *verdict.findings):
                # What the sweep found has its own transactions, not that of the verdict.
                own = piece in verdict.findings or ringed[verdict.transaction_id]
                planted = own and all(hop.transaction_id in fraud for hop in piece.hops)
                rank = (planted, piece.strength, piece.evidence_id)
                if piece.pattern not in best or rank > best[piece.pattern][0]:
                    best[piece.pattern] = (rank, piece)
    return {pattern: piece for pattern, (_, piece) in best.items()}
