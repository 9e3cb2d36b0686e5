"""Rings: organised fraud of eighteen kinds, from warm-up over burst to cash-out.

Written from what is published about them, not from what any detector looks for; each file names
its sources. A ring is told as a story of rows around the instant at which its burst begins;
`planted` then gives each story its place in time.
"""

from ingest.simulator.rings.planting import Plot, RingTruth, planted, told

__all__ = ["Plot", "RingTruth", "planted", "told"]
