"""Which machine code is kept: all of it, or of some kernels alone beside another process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.warm_beside import KERNELS
from graph import fast_kernel

KERNELS_OF_A_MODULE = """
from graph.compiled import kernel


@kernel
def one(x):
    return x + 1


@kernel
def two(x):
    return one(x) * 2
"""


@pytest.mark.parametrize(
    ("said", "kept"), [("", {"one", "two"}), ("keep_only('two');", {"two"})], ids=["all", "one"]
)
def test_what_is_kept_is_what_was_asked_for(tmp_path: Path, said: str, kept: set[str]) -> None:
    (tmp_path / "some_kernels.py").write_text(KERNELS_OF_A_MODULE)
    run = f"from graph.compiled import keep_only; {said} import some_kernels as k; print(k.two(3))"
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept"), "PYTHONPATH": paths}
    done = subprocess.run(
        [sys.executable, "-c", run], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout == "8\n"
    names = {path.name.partition(".")[2].partition("-")[0] for path in tmp_path.rglob("*.nbi")}
    assert names == kept


def test_what_is_compiled_beside_is_there() -> None:
    assert all(hasattr(fast_kernel, name) for name in KERNELS)
