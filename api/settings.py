"""Settings: one frozen object, from the environment and the command line.

Precedence, the strongest first: a command-line flag, a `RINGFENCE_*` variable, the default. Only
this module and `api.wiring` read the environment. A value that cannot work is refused with the
name it was given under.
"""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from graph.errors import InvalidSetting

PREFIX: Final = "RINGFENCE_"
_MIB: Final = 1 << 20


def cache_dir(environment: Mapping[str, str] | None = None) -> Path:
    """Where this user's caches lie: XDG on Linux, the customary folders elsewhere."""
    environment = os.environ if environment is None else environment
    if named := environment.get("XDG_CACHE_HOME"):
        return Path(named) / "ringfence"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "ringfence"
    if sys.platform == "win32":
        return (
            Path(environment.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "ringfence"
        )
    return Path.home() / ".cache" / "ringfence"


def _about(text: str, parse: Callable[[str], Any], flag: str | None = None) -> dict[str, Any]:
    return {"doc": text, "parse": parse, "flag": flag}


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _between(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return int(text)

    return parse


def _level(text: str) -> str:
    levels = ("debug", "info", "warning", "error")
    if text.lower() not in levels:
        raise ValueError(f"expected one of {', '.join(levels)}")
    return text.lower()


def _policy(text: str) -> str:
    policies = ("expected-cost", "fixed")
    if text not in policies:
        raise ValueError(f"expected one of {', '.join(policies)}")
    return text


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a running Ringfence can be told; the table in docs/cli.md is made from this."""

    data_dir: Path = field(
        default=Path("ringfence-data"),
        metadata=_about("Folder of the log, the graph and the snapshots.", _path, "--data"),
    )
    model_dir: Path | None = field(
        default=None,
        metadata=_about("Folder of a trained model; without, rules and graph.", _path, "--model"),
    )
    host: str = field(default="127.0.0.1", metadata=_about("Address to listen on.", str))
    port: int = field(
        default=8000,
        metadata=_about("Port to listen on; 0 takes a free one.", _between(0, 65_535)),
    )
    rates: Path | None = field(
        default=None,
        metadata=_about("TOML file with exchange rates; without, EUR, GBP and USD.", _path),
    )
    lists: Path | None = field(
        default=None, metadata=_about("TOML file with block and allow lists.", _path)
    )
    policy: str = field(
        default="expected-cost",
        metadata=_about("How a score becomes a decision: expected-cost or fixed.", _policy),
    )
    max_body: int = field(
        default=_MIB,
        metadata=_about("Most bytes read of one request body.", _between(1024, 64 * _MIB)),
    )
    max_batch: int = field(
        default=1_000,
        metadata=_about("Most transactions in one /v1/score/batch.", _between(1, 4_096)),
    )
    max_streams: int = field(
        default=256,
        metadata=_about("Most event streams open at once.", _between(1, 10_000)),
    )
    log_level: str = field(
        default="info", metadata=_about("debug, info, warning or error.", _level)
    )

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None, **flags: object) -> "Settings":
        """Settings from the environment, overridden by the flags that are not None.

        Raises:
            InvalidSetting: A value cannot work, or a `RINGFENCE_*` name is not a setting.
        """
        found = dict(os.environ if environment is None else environment)
        values: dict[str, Any] = {}
        for setting in fields(cls):
            key = variable(setting.name)
            text = found.get(key)
            if flags.get(setting.name) is not None:
                key = setting.metadata["flag"] or f"--{setting.name.replace('_', '-')}"
                text = str(flags[setting.name])
            if text is None or text == "":
                continue
            try:
                values[setting.name] = setting.metadata["parse"](text)
            except ValueError as error:
                raise InvalidSetting(
                    str(error), field=key, value=text, remedy=setting.metadata["doc"]
                ) from None
        _refuse_unknown(found)
        return cls(**values)


# Read by the tests and benchmarks, not by the engine.
_ELSEWHERE: Final = frozenset({"RINGFENCE_DATA"})


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    """A misspelt variable would be a setting that silently does nothing."""
    known = {variable(setting.name) for setting in fields(Settings)} | _ELSEWHERE
    for key in sorted(environment):
        if key.startswith(PREFIX) and key not in known:
            raise InvalidSetting(
                "there is no such setting",
                field=key,
                remedy=f"Settings are {', '.join(sorted(known - _ELSEWHERE))}.",
            )


def table() -> list[tuple[str, str, str]]:
    """Rows of the settings table: variable, default, meaning."""
    return [
        (
            variable(setting.name),
            "" if setting.default is None else str(setting.default),
            setting.metadata["doc"],
        )
        for setting in fields(Settings)
    ]
