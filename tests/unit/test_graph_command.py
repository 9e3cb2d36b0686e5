"""`ringfence graph`: on the embedded graph, as an operator calls it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.commands.graph import app
from cypher.embedded import EmbeddedGraphStore
from cypher.sink import graph_batch
from graph.transaction import DAY, Money, Transaction, TransactionType

NOW = 20_000 * DAY


@pytest.fixture
def data(tmp_path: Path) -> Path:
    store = EmbeddedGraphStore(tmp_path / "graph.kgl")
    store.write(
        graph_batch(
            [
                (
                    Transaction(
                        f"t{n}", NOW - days * DAY, TransactionType.TRANSFER, Money(1, "EUR"), 1,
                        f"u{n}", counterparty_id="bob", device_id=f"d{n}",
                    ),
                    None,
                )
                for n, days in enumerate((100, 40, 2, 1, 0))
            ]
        )
    )  # fmt: skip
    store.close()
    return tmp_path


def call(data: Path, *arguments: str) -> dict[str, object]:
    done = CliRunner().invoke(app, [*arguments, "--data", str(data), "--json"])
    assert done.exit_code == 0, done.output
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_retain_counts_then_takes_then_finds_nothing(data: Path) -> None:
    dry = call(data, "retain", "--days", "30", "--dry-run")
    # The third newest is of two days ago, so day 32 before now is the end.
    assert dry == {
        "before": "2024-09-02T00:00:00+00:00", "dry_run": True,
        "transactions": 2, "links": 2, "rings": 0, "alerts": 0, "entities": None,
    }  # fmt: skip
    gone = call(data, "retain", "--days", "30")
    assert gone == dry | {"dry_run": False, "entities": 4}
    assert call(data, "retain", "--days", "30") == gone | {
        "transactions": 0, "links": 0, "entities": 0,
    }  # fmt: skip


def test_retain_says_when_there_is_too_little_to_tell_what_now_is(tmp_path: Path) -> None:
    EmbeddedGraphStore(tmp_path / "graph.kgl").close()
    assert call(tmp_path, "retain", "--days", "30")["before"] is None


def test_the_embedded_graph_needs_no_migrations(data: Path) -> None:
    assert call(data, "migrate") == {"version": 0, "applied": []}
