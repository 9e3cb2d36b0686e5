"""What the demo streams: a quiet past, then bursts on every day of a week."""

from pathlib import Path

import pyarrow.parquet as pq

from api.demo import live_city
from graph.transaction import DAY


def test_rings_burst_on_every_day_of_the_live_week(tmp_path: Path) -> None:
    city = live_city(tmp_path, 7)
    rows = pq.read_table(city.folder / "transactions.parquet").to_pandas()
    crime = rows[rows.fraud == True]  # noqa: E712 - unknown is neither
    begins = city.config.rings_start
    assert crime.timestamp.min() >= begins
    day = (crime.timestamp - begins) // DAY
    assert (crime.groupby(day).ring_id.nunique() >= 12).all()
    assert set(day) == set(range(7))
    assert crime.ring_kind.nunique() == sum(count > 0 for count in city.config.rings.values())
    # Made once: the second time it is taken from the folder.
    assert live_city(tmp_path, 7) == city
