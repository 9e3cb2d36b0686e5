"""`ringfence rings`: what it lists of a history by hand."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app

MAPPING = """
files = ["rows.csv"]
[fields]
timestamp = { column = "t", time = "days", origin = 2022-01-03 }
type = { constant = "transfer" }
amount = "a"
currency = { constant = "CURRENCY" }
user_id = "u"
counterparty_id = "v"
"""


@pytest.mark.parametrize(
    ("currency", "shown"),
    [("JPY", "¥200,000"), ("EUR", "€200,000.00"), ("KWD", "KWD 200,000.000")],
)
def test_money_is_in_the_units_of_its_currency(tmp_path: Path, currency: str, shown: str):
    rows = [
        (7 * week + user % 7, f"u{user}", f"u{(user + step) % 40}", 1000)
        for user in range(40)
        for step in (1, 5)
        for week in range(30)
    ]
    rows += [(100 + n, f"u{10 * n}", f"u{10 * (n + 1) % 40}", 50_000) for n in range(4)]
    lines = "".join(f"{day},{payer},{payee},{sum_}\n" for day, payer, payee, sum_ in rows)
    (tmp_path / "rows.csv").write_text(f"t,u,v,a\n{lines}")
    chosen = tmp_path / "m.toml"
    chosen.write_text(MAPPING.replace("CURRENCY", currency))
    command = ["rings", str(tmp_path), "--mapping", str(chosen)]
    answer = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert answer.exit_code == 0, answer.output
    (line,) = [line for line in answer.output.splitlines() if line.startswith(" cycle")]
    assert shown in line


def test_a_transaction_that_comes_again_is_left_out_and_counted(tmp_path: Path):
    rows = "".join(f"x{n},{n},u{n % 7},u{(n + 1) % 7},{n + 1}\n" for n in range(30))
    (tmp_path / "rows.csv").write_text(f"i,t,u,v,a\n{rows}")
    chosen = tmp_path / "m.toml"
    named = MAPPING.replace("CURRENCY", "EUR").replace("rows.csv", "rows*.csv")
    chosen.write_text(named + 'transaction_id = "i"\n')
    command = ["rings", str(tmp_path), "--mapping", str(chosen)]

    once = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    (tmp_path / "rows-again.csv").write_text(f"i,t,u,v,a\n{rows}")
    twice = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert (once["payments"], once["repeated"]) == (30, 0)
    assert twice == {**once, "repeated": 30}
    told = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    assert "30 have the id of one before them" in told.output
