"""Libraries of the extra `train`: what only the ladder needs, imported only when it runs."""

import importlib
from types import ModuleType

from graph.errors import InvalidSetting


def library(module: str) -> ModuleType:
    """Import a module of an optional library.

    Raises:
        InvalidSetting: The library is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InvalidSetting(
            "the ladder compares with a library that is not installed",
            field="ladder",
            value=module.partition(".")[0],
            remedy="Install it: `pip install 'ringfence[train]'`.",
        ) from error
