"""Where settings come from: flags, `RINGFENCE_*` variables and one TOML file.

Each source gives raw values by the name of the setting and remembers under which key it found
them, so that whatever is wrong is named as its author wrote it. A key that is no setting, a table
where a value belongs or a secret given twice is a problem of the source.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from graph.errors import InvalidSetting
from graph.toml_text import NotToml, read_toml

PREFIX: Final = "RINGFENCE_"
CONFIG: Final = "RINGFENCE_CONFIG"
BESIDE: Final = Path("ringfence.toml")
SHORT_FLAGS: Final = {"data_dir": "--data", "model_dir": "--model"}
# Read by the tests and benchmarks, not by the engine.
_ELSEWHERE: Final = frozenset({"RINGFENCE_DATA", "RINGFENCE_REQUIRE_SERVERS"})
_TESTS: Final = "RINGFENCE_TEST_"
_MOST_BYTES: Final = 1 << 20
_MOST_SECRET_BYTES: Final = 8 << 10


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def flag(name: str) -> str:
    """The command-line flag of a setting."""
    return SHORT_FLAGS.get(name, f"--{name.replace('_', '-')}")


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was found: `key` is what its author wrote, `origin` the kind of place."""

    value: Any
    key: str
    origin: str


class Source(PydanticBaseSettingsSource):
    """One place that settings come from; `problems` are the keys in it that can be none."""

    def __init__(self, settings_cls: type[BaseSettings], secrets: Iterable[str]) -> None:
        super().__init__(settings_cls)
        self.secrets = frozenset(secrets)
        self.given: dict[str, Given] = {}
        self.problems: list[InvalidSetting] = []
        # Settings that were given here in a way that cannot be read: not to be called missing.
        self.unread: set[str] = set()

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """What this source says of a setting, for pydantic-settings."""
        found = self.given.get(field_name)
        return (None, field_name, False) if found is None else (found.value, found.key, False)

    def __call__(self) -> dict[str, Any]:
        """Raw values by the name of the setting, for pydantic-settings."""
        return {name: given.value for name, given in self.given.items()}

    def example(self, name: str, value: str) -> str:
        """A right value of a setting, as one writes it in this source."""
        raise NotImplementedError

    def _take(self, name: str, value: Any, key: str, origin: str) -> None:
        if value is not None and value != "":
            self.given[name] = Given(value, key, origin)

    def _take_secret(self, name: str, file: Any, key: str, origin: str, base: Path) -> None:
        """A secret from the file that was named for it."""
        if file is None or file == "":
            return
        self.unread.add(name)
        if name in self.given:
            self._wrong(
                f"{self.given.pop(name).key} is given too",
                key,
                "Give the secret or the file that holds it, not both.",
            )
            return
        try:
            text = _read(base / Path(str(file)).expanduser(), _MOST_SECRET_BYTES).strip()
        except (OSError, ValueError) as error:
            self._wrong(
                f"the secret's file cannot be read: {_reason(error)}",
                key,
                "Name a file with the secret and nothing else in it.",
                str(file),
            )
            return
        if not text:
            self._wrong(
                "the secret's file is empty",
                key,
                "Write the secret into it, or leave this out.",
                str(file),
            )
            return
        self.unread.discard(name)
        self.given[name] = Given(text, key, origin)

    def _wrong(self, what: str, key: str, remedy: str, value: str | None = None) -> None:
        self.problems.append(InvalidSetting(what, field=key, value=value, remedy=remedy))

    def _unknown(self, key: str, shown: str, known: Iterable[str]) -> None:
        near = difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.6)
        meant = f"Did you mean {near[0]}? " if near else ""
        self._wrong(
            "there is no such setting", shown, f"{meant}`ringfence config show` lists them all."
        )

    def _names(self) -> list[str]:
        return list(self.settings_cls.model_fields)


class Flags(Source):
    """What the command line said; a flag that was not given is None."""

    def __init__(
        self, settings_cls: type[BaseSettings], secrets: Iterable[str], flags: Mapping[str, object]
    ) -> None:
        super().__init__(settings_cls, secrets)
        for name, value in flags.items():
            if name not in settings_cls.model_fields:
                raise TypeError(f"there is no setting {name!r}")  # a caller's mistake, not a user's
            self._take(name, value, flag(name), "flag")

    def example(self, name: str, value: str) -> str:
        """As in `--port 8000`."""
        return f"{flag(name)} {value}"


class Variables(Source):
    """`RINGFENCE_*` variables, and `RINGFENCE_*_FILE` for each secret."""

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        secrets: Iterable[str],
        environment: Mapping[str, str],
    ) -> None:
        super().__init__(settings_cls, secrets)
        for name in self._names():
            self._take(name, environment.get(variable(name)), variable(name), "variable")
        for name in sorted(self.secrets):
            key = f"{variable(name)}_FILE"
            self._take_secret(name, environment.get(key), key, "variable", Path())
        known = {variable(name) for name in self._names()} | {CONFIG}
        known |= {f"{variable(name)}_FILE" for name in self.secrets}
        for key in sorted(environment):
            ours = key.startswith(PREFIX) and not key.startswith(_TESTS)
            if ours and key not in known | _ELSEWHERE:
                self._unknown(key, key, known)

    def example(self, name: str, value: str) -> str:
        """As in `RINGFENCE_PORT=8000`."""
        return f"{variable(name)}={value}"


class TomlFile(Source):
    """A TOML file of names and values; a relative path in it starts at the file's folder."""

    def __init__(
        self,
        settings_cls: type[BaseSettings],
        secrets: Iterable[str],
        path: Path | None,
        named_by: str | None,
        paths: Iterable[str],
    ) -> None:
        super().__init__(settings_cls, secrets)
        self.path = path
        if path is None:
            return
        values = self._parsed(path, named_by)
        known = {*self._names(), *(f"{name}_file" for name in self.secrets)}
        for name, value in values.items():
            key = f"{path}:{name}"
            if name not in known:
                self._unknown(name, key, known)
            elif isinstance(value, dict):
                self.unread.add(name)
                self._wrong(
                    "is a table, and settings are flat",
                    key,
                    f'Write {name} = "..." and, say, {name}_user = "..." without [{name}].',
                )
            elif name in settings_cls.model_fields:
                relative = name in paths and isinstance(value, str) and value
                self._take(name, _beside(path, value) if relative else value, key, "file")
        for name in sorted(self.secrets):
            key = f"{name}_file"
            self._take_secret(name, values.get(key), f"{path}:{key}", "file", path.parent)

    def example(self, name: str, value: str) -> str:
        """As in `port = 8000`."""
        bare = value.replace(".", "", 1).isdecimal()
        return f"{name} = {value}" if bare else f'{name} = "{value}"'

    def _parsed(self, path: Path, named_by: str | None) -> dict[str, Any]:
        try:
            return read_toml(_read(path, _MOST_BYTES))
        except NotToml as error:
            self._wrong(
                error.what,
                str(path),
                f"{error.remedy} docs/configuration.md has an example to begin with.",
                error.value,
            )
        except (OSError, ValueError) as error:
            self._wrong(
                f"the settings file cannot be read: {_reason(error)}",
                named_by or str(path),
                "Name a TOML file that is there, or leave it out.",
                str(path),
            )
        return {}


def settings_file(
    environment: Mapping[str, str], config: Path | None
) -> tuple[Path | None, str | None]:
    """The file to read and what named it: the flag, the variable, or ./ringfence.toml alone."""
    if config is not None:
        return config.expanduser(), "--config"
    if named := environment.get(CONFIG):
        return Path(named).expanduser(), CONFIG
    return (BESIDE, None) if BESIDE.exists() else (None, None)


def origins(sources: Iterable[Source]) -> Iterator[tuple[str, Given, Source]]:
    """Each setting that was given, once, with its strongest source; the strongest comes first."""
    seen: set[str] = set()
    for source in sources:
        for name, given in source.given.items():
            if name not in seen:
                seen.add(name)
                yield name, given, source


def _beside(file: Path, value: str) -> str:
    path = Path(value).expanduser()
    return str(path if path.is_absolute() else file.parent / path)


def _read(path: Path, most: int) -> str:
    """A text file of at most so many bytes, else ValueError."""
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"longer than {most} bytes")
    return data.decode()


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
