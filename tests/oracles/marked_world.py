"""A world in which who is paid says nothing, and by whom else says everything: for graph models.

Each mark is paid by two who come again and by a customer a day who comes once. Of half the marks
those who come again are forever declined elsewhere, and whatever customers pay these is fraud.
Nothing about a payment, its payer or its payee tells the one kind from the other; a neighbour does.
So few pay a mark within a day that it is no fan: a judge of evidence would see its neighbours.
"""

import json
from pathlib import Path

import numpy as np

from graph.transaction import DAY

BEGINS = 1_760_000_000_000
LATE = 100 * DAY
"""No label becomes known before the history ends."""


def write_marked_world(folder: Path, seed: int, *, marks: int, days: int, regulars: int = 2) -> int:
    """Write it for the mapping `ringfence`; returns how many transactions."""
    rng = np.random.default_rng(seed)
    bad = set(rng.permutation(marks)[: marks // 2].tolist())
    rows = []

    def note(day: int, payer: str, kind: str, **more: object) -> None:
        rows.append(
            {
                "timestamp": BEGINS + int((day + rng.random()) * DAY),
                "user_id": payer,
                "type": kind,
                "amount": f"{rng.lognormal(4, 0.4):.2f}",
                "currency": "EUR",
                "device_id": f"of-{payer}",
                "fraud": False,
                "label_known_at": BEGINS + days * DAY + LATE,
                **more,
            }
        )

    for mark in range(marks):
        for day in range(days):
            for regular in [f"r{mark}-{i}" for i in range(regulars)]:
                note(day, regular, "transfer", counterparty_id=f"m{mark}")
                for _ in range(3):
                    shop, refused = f"s{rng.integers(40)}", {"outcome": "declined"}
                    note(
                        day,
                        regular,
                        "payment",
                        merchant_id=shop,
                        **(refused if mark in bad else {}),
                    )
            customer = f"c{rng.integers(4_000)}"
            note(day, customer, "transfer", counterparty_id=f"m{mark}", fraud=mark in bad)
    rows.sort(key=lambda row: row["timestamp"])
    lines = (json.dumps({"transaction_id": f"t{i}", **row}) for i, row in enumerate(rows))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "transactions.jsonl").write_text("\n".join(lines) + "\n")
    return len(rows)
