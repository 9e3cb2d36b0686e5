"""`ringfence rings`: rings in a whole history at once, whatever the order of its hops."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from api.console import examples, figures, progress, say

if TYPE_CHECKING:
    from graph.evidence import Evidence
    from ingest.mapping import DatasetMapping

EXAMPLES: Final = examples(
    "ringfence rings amlsim-10k --mapping amlsim-10k",
    "ringfence rings history --mapping payments.toml --json",
)

_SHOWN: Final = 20


def rings(
    data: Annotated[Path, typer.Argument(help="Folder with the history.")],
    mapping: Annotated[str, typer.Option(help="A mapping that ships, by name, or a TOML file.")],
    show: Annotated[int, typer.Option(help="How many to list, the strongest first.", min=0)] = (
        _SHOWN
    ),
    as_json: Annotated[
        bool, typer.Option("--json", help="All of them, with members and witness, as JSON.")
    ] = False,
) -> None:
    """Find fans and cycles in a history that knows only the day.

    The engine follows money forwards in time. Where times are days, hops have no order and it sees
    little; this looks at the whole history at once, at shape and habit instead of order, and says
    so in every finding. Transactions with the id of one before are left out, and counted as
    `repeated`. Where the history names its rings, it says how many were found.
    """
    from graph.transaction import Transaction
    from graph.unordered import Ledger, find
    from ingest.datasets import count, read
    from ingest.mapping import load_mapping
    from scorer.unordered_figures import NamedRings

    chosen = load_mapping(mapping)
    true = NamedRings()
    transactions: dict[str, Transaction] = {}
    repeated = 0
    with progress("read", count(data, chosen)) as advance:
        for item in read(data, chosen):
            advance(1)
            if item.transaction.transaction_id in transactions:
                repeated += 1
                continue
            true.note(item)
            transactions[item.transaction.transaction_id] = item.transaction
    ledger = Ledger.of(transactions.values())
    seen = find(ledger)
    found = sorted(seen.evidence, key=lambda piece: (-piece.strength, piece.evidence_id))
    judged = true.figures(found) if len(true) else {}
    if as_json:
        plain = [_plain(piece) for piece in found]
        shares = {"irregular": seen.irregular, "unusual": seen.unusual}
        without = {"repeated": repeated, "not_looked_for": seen.without_habits}
        figures(
            {"payments": len(ledger), **shares, **without, "rings": plain, **judged}, as_json=True
        )
        return
    _listed(found[:show], chosen)
    if repeated:
        say(f"{repeated:,} have the id of one before them and were left out: they are the same")
    if any(piece.truncated for piece in found):
        say("a bound was hit: there may be more than what is shown (see `truncated` in --json)")
    for pattern in seen.without_habits:
        broken = seen.irregular if pattern == "fans" else seen.unusual
        say(
            f"{pattern} were not looked for: {100 * broken:.0f} % of the payments break a habit, "
            "so this history has none that a ring would stand out against"
        )
    say(f"{len(found)} found in {len(ledger):,} payments between users; hops have no order")
    if judged:
        figures(judged, as_json=False, title=chosen.name)


def _listed(found: "list[Evidence]", mapping: "DatasetMapping") -> None:
    """The strongest as a table, their money in the base currency of the mapping."""
    from api.history_hints import currency_of
    from api.views import Views

    base = currency_of(mapping)
    views = None if base is None else Views(base["code"], base["decimals"])
    table = Table("pattern", "strength", "members", "money", "what was seen", box=None)
    for piece in found:
        table.add_row(
            str(piece.pattern),
            f"{piece.strength:.2f}",
            str(len(piece.members)),
            f"{piece.money:,} minor units" if views is None else views.money_text(piece.money),
            piece.reason,
        )
    Console(highlight=False).print(table)


def _plain(piece: "Evidence") -> dict[str, Any]:
    return {
        "evidence_id": piece.evidence_id,
        "pattern": str(piece.pattern),
        "strength": piece.strength,
        "members": [{"entity": str(entity), "role": str(role)} for entity, role in piece.members],
        "transaction_ids": [hop.transaction_id for hop in piece.hops],
        "reason": piece.reason,
        "facts": dict(piece.facts),
        "truncated": piece.truncated,
    }
