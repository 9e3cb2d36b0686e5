"""A disk that fills up while a command writes: one line says so, and what was there is whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.simulator import SimulationConfig, write

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# A file system of 48 KB that nobody else sees; `$1` is where, the rest the command.
SMALL = """
mount -t tmpfs -o size=48k none "$1" && mkdir "$1/out" && echo old > "$1/out/$2" || exit 99
where="$1"; shift 2
"$@"
code=$?
find "$where" -type f -printf '%P '
exit $code
"""
COMMANDS = {
    "simulate": ("transactions.parquet", "--days", "3", "--users", "300", "--out"),
    "replay": ("verdicts.parquet", "CITY", "--mapping", "ringfence", "--out"),
    "train": ("metadata.json", "CITY", "--mapping", "ringfence", "--out"),
    "evaluate": (
        *("report.json", "CITY", "--mapping", "ringfence"),
        *("--no-confounders", "--report"),
    ),
}


def on_a_small_disk(where: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SMALL, "sh"]
    variables = {k: v for k, v in os.environ.items() if not k.startswith("RINGFENCE_")}
    return subprocess.run(
        [*own, str(where), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=variables | {"PYTHONPATH": str(ROOT)},
    )


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("city")
    if on_a_small_disk(folder, "x", "true").returncode != 0:
        pytest.skip("this system lets nobody mount a small file system of his own")
    write(SimulationConfig(seed=23, days=8, users=150, fraud_share=0.03), folder)
    return folder


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_finds_no_room(tmp_path: Path, city: Path, name: str) -> None:
    file, *options = COMMANDS[name]
    options = [str(city) if each == "CITY" else each for each in options]
    out = tmp_path / "out"
    done = on_a_small_disk(
        tmp_path, file, sys.executable, "-m", "api.cli", name, *options, str(out)
    )
    assert done.returncode == 2, done.stderr
    *before, last = done.stderr.splitlines()
    assert len(before) == (name == "simulate")
    assert last.startswith("ringfence: ")
    assert "No space left on device" in last
    assert f"(found {out}). Free some space" in last
    assert done.stdout.split() == [f"out/{file}"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_figures_that_find_no_room(tmp_path: Path) -> None:
    arguments = ["simulate", "--days", "1", "--users", "80", "--json", "--out", "out"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "api.cli", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    assert "Traceback" not in done.stderr
    assert "No space left on device" in done.stderr
    assert done.returncode == 2
