"""Tests that need the extra `train`: skipped with the reason where it is absent, never in CI.

To be called at the top of a module, before it imports what needs torch.
"""

import os
from importlib.util import find_spec

import pytest


def require() -> None:
    """Go on only where torch is installed; in CI its absence is the import's error."""
    if find_spec("torch") is None and not os.environ.get("CI"):
        pytest.skip("needs torch: install the extra `train`", allow_module_level=True)
