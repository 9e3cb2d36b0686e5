"""A small simulated world can be judged: the first thing a newcomer tries after the demo."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli import app
from graph.errors import InvalidSetting


@pytest.mark.slow
def test_a_fortnight_of_300_people_can_be_judged(tmp_path: Path) -> None:
    shell, city, report = CliRunner(), tmp_path / "city", tmp_path / "report"
    options = ["--days", "14", "--users", "300", "--seed", "9"]
    made = shell.invoke(app, ["simulate", "--out", str(city), *options])
    assert made.exit_code == 0, made.output
    # The confounders learn it all three times more; other tests have them.
    asked = ["--mapping", "ringfence", "--no-confounders", "--report", str(report)]
    judged = shell.invoke(app, ["evaluate", str(city), *asked])
    assert judged.exit_code == 0, judged.output
    found = json.loads((report / "report.json").read_text())
    assert (report / "report.html").exists()
    assert found["protocol"] == "temporal"
    for part in ("early", "later", "test"):
        assert found["split"][part]["positives"] > 0
    # Five rings of as many kinds: what was learned of one says little of the next, so how good the
    # figures are is not asked here.
    assert 0 < found["rungs"]["graph"]["average_precision"] <= 1
    assert found["rings"]["true"] > 0


def test_a_world_too_small_to_judge_says_what_to_do(tmp_path: Path) -> None:
    shell, city = CliRunner(), tmp_path / "city"
    made = shell.invoke(app, ["simulate", "--out", str(city), "--days", "2", "--users", "150"])
    assert made.exit_code == 0, made.output
    judged = shell.invoke(
        app, ["evaluate", str(city), "--mapping", "ringfence", "--report", str(tmp_path / "r")]
    )
    assert isinstance(judged.exception, InvalidSetting)
    assert "--days" in str(judged.exception)
