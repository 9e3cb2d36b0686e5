"""Libraries of the extra `train`: what only the ladder needs, imported only when it runs.

Each brings a libgomp of its own, for which glibc keeps little room in a process that is running
(`optional_static_tls`); kglite alone takes nearly all of it. So a process that opens the embedded
graph database needs that room to be larger from its start, as the Makefile has it for tests.
"""

import importlib
from types import ModuleType
from typing import Final

from graph.errors import InvalidSetting

_MORE_ROOM: Final = "Start again with GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4096."
_SYSTEM: Final = "Install the system library that it names (libgomp.so.1 is in Debian's libgomp1)."


def library(module: str) -> ModuleType:
    """Import a module of an optional library.

    Raises:
        InvalidSetting: The library is not installed, or cannot be loaded into this process.
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
    except OSError as error:
        raise InvalidSetting(
            f"a library that the ladder compares with cannot be loaded: {error}",
            field="ladder",
            value=module.partition(".")[0],
            remedy=_MORE_ROOM if "static TLS" in str(error) else _SYSTEM,
        ) from error
