"""Hypothesis: no deadlines on shared machines, in CI the same examples every time; the servers.

And Python's collector of cycles: a million objects that the imports left stay out of its walks.
"""

import gc
import os
from typing import Final

import pytest
from hypothesis import settings

from tests import servers

# As many tests run at once as there are processors: of more threads than that, xgboost and
# scikit-learn let each wait for the others by spinning. Read when their OpenMP is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Servers that a test starts live for seconds: with Java's quick compiler alone a Kafka is there
# after 4 s of processor time instead of 7.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

settings.register_profile("house", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "house")
# `make check`: a fifth of the examples, and the same ones every time; `make test` tries them all.
settings.register_profile("check", settings.get_profile("ci"), max_examples=20)


def pytest_configure(config: pytest.Config) -> None:
    """Add the fixtures of `tests/servers.py`."""
    config.pluginmanager.register(servers, "servers")


IMPORTS: Final = 200_000
"""Fewer objects than the imports of all tests make, and more than a module of tests leaves."""


@pytest.fixture(scope="module", autouse=True)
def _imports_are_not_collected() -> None:
    """Freeze what is there; again where a service of the module before thawed it as it stopped.

    One full collection takes 0.3 s with all imports in it, and next to nothing without them: what
    the module before left in cycles goes. Whether they are frozen is asked of what is not, since
    `gc.get_freeze_count` walks all that is, 0.08 s each time.
    """
    gc.collect()
    if len(gc.get_objects(generation=2)) > IMPORTS:
        gc.freeze()
