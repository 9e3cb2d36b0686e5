"""Settings: one frozen object, from the command line, the environment and a file.

Precedence, the strongest first: a command-line flag, a `RINGFENCE_*` variable, the TOML file
(`--config`, else `RINGFENCE_CONFIG`, else `./ringfence.toml` if it is there), the default. An
empty value counts as not given. Only this module and `api.wiring` read the environment. A value
that cannot work is refused with the name it was given under; a secret is never shown.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Self, get_args

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from api import setting_types as kinds
from api.setting_sources import (
    Flags,
    Given,
    Source,
    TomlFile,
    Variables,
    origins,
    settings_file,
    variable,
)
from graph.errors import InvalidSetting

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


def _setting(
    default: Any,
    about: str,
    example: str,
    takes: str = "",
    ge: float | None = None,
    le: float | None = None,
) -> Any:
    """A field with its meaning, an example and, where its type does not say it, what it takes."""
    said = {"example": example, "takes": takes}
    return Field(default, description=about, json_schema_extra=dict(said), ge=ge, le=le)


class Clash(NamedTuple):
    """Settings that cannot work together: the first of them is the one to change."""

    names: tuple[str, ...]
    what: str
    remedy: str


class Settings(BaseSettings):
    """Everything a running Ringfence can be told; docs/configuration.md is made from this."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    data_dir: kinds.NewFolder = _setting(
        Path("ringfence-data"),
        "Folder of the log, the graph and the snapshots.",
        "ringfence-data",
        "a folder; it is made if it is not there",
    )
    model_dir: kinds.Folder | None = _setting(
        None, "Folder of a trained model; without, rules and graph.", "model", "a folder"
    )
    host: str = _setting("127.0.0.1", "Address to listen on.", "0.0.0.0", "an address")  # noqa: S104 - an example of the choice
    port: kinds.Whole = _setting(
        8000, "Port to listen on; 0 takes a free one.", "8000", ge=0, le=65_535
    )
    rates: kinds.File | None = _setting(
        None, "TOML file with exchange rates; without, EUR, GBP and USD.", "rates.toml", "a file"
    )
    lists: kinds.File | None = _setting(
        None, "TOML file with block and allow lists.", "lists.toml", "a file"
    )
    policy: Annotated[Literal["expected-cost", "fixed"], kinds.Lower] = _setting(
        "expected-cost",
        "How a score becomes a decision: expected-cost or fixed.",
        "expected-cost",
    )
    policy_file: kinds.File | None = _setting(
        None,
        "TOML file with a policy: costs, thresholds, a budget; without, `policy` decides.",
        "policy.toml",
        "a file",
    )
    max_body: kinds.Whole = _setting(
        _MIB, "Most bytes read of one request body.", "1048576", ge=1024, le=64 * _MIB
    )
    max_batch: kinds.Whole = _setting(
        1_000, "Most transactions in one /v1/score/batch.", "1000", ge=1, le=4_096
    )
    max_streams: kinds.Whole = _setting(
        256, "Most event streams open at once.", "256", ge=1, le=10_000
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], kinds.Lower] = _setting(
        "info", "debug, info, warning or error.", "info"
    )
    sinks: kinds.Followers = _setting(
        kinds.FOLLOWERS,
        "Which followers run in this process: graph, cache, both or none.",
        "graph,cache",
        "graph, cache, graph,cache or none",
    )
    lease_s: kinds.Number = _setting(
        2.0,
        "Seconds without a heartbeat after which a standby takes over.",
        "2.0",
        ge=0.5,
        le=60,
    )
    checkpoint_every: kinds.Whole = _setting(
        200_000, "Verdicts between two checkpoints.", "200000", ge=1, le=100_000_000
    )
    cypher_token: kinds.Token | None = _setting(
        None,
        "Bearer token of the role that may run free Cypher; without, nobody may.",
        "$(openssl rand -hex 32)",
        "16 or more characters",
    )
    kafka: kinds.Bootstrap | None = _setting(
        None,
        "Kafka's first servers; without, the log is embedded.",
        "127.0.0.1:9092",
        "host:port, several with commas",
    )
    kafka_prefix: kinds.TopicPrefix = _setting(
        "ringfence.",
        "What the names of all topics begin with.",
        "ringfence.",
        "letters, digits, dot, hyphen, underscore",
    )
    kafka_security: Annotated[Literal["plaintext", "tls", "sasl", "sasl-tls"], kinds.Lower] = (
        _setting(
            "plaintext",
            "How Kafka is spoken to: sasl proves who we are, tls keeps it from being read.",
            "sasl-tls",
        )
    )
    kafka_mechanism: Annotated[Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"], kinds.Upper] = (
        _setting("SCRAM-SHA-512", "How SASL proves it.", "SCRAM-SHA-512")
    )
    kafka_user: str | None = _setting(None, "User for SASL.", "ringfence", "a name")
    kafka_password: SecretStr | None = _setting(
        None, "Password for SASL.", "the-password", "a password"
    )
    kafka_ca: kinds.File | None = _setting(
        None,
        "Certificate of the authority that signed Kafka's; without, the system's authorities.",
        "kafka-ca.pem",
        "a PEM file",
    )
    neo4j: kinds.BoltUrl | None = _setting(
        None,
        "Where Neo4j answers; without, the graph database is embedded.",
        "bolt://127.0.0.1:7687",
        "a bolt:// or neo4j:// URL, with +s or +ssc for TLS",
    )
    neo4j_user: str = _setting("neo4j", "User of Neo4j.", "neo4j", "a name")
    neo4j_password: SecretStr | None = _setting(
        None,
        "Password of Neo4j; without, its authentication must be off.",
        "the-password",
        "a password",
    )
    neo4j_database: kinds.DatabaseName = _setting(
        "neo4j", "Which of Neo4j's databases.", "neo4j", "a name"
    )
    redis: kinds.RedisUrl | None = _setting(
        None,
        "Where Redis answers, password and all; without, the cache is in this process.",
        "redis://127.0.0.1:6379/0",
        "a redis:// or rediss:// URL",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """`Settings(...)` is what it is given; only `load` and `read` look at the outside world."""
        return (init_settings,)

    @model_validator(mode="after")
    def _work_together(self) -> Self:
        if found := tuple(_clashes(self)):
            context = {"clashes": found, "says": found[0].what}
            raise PydanticCustomError("clash", "{says}", context)
        return self

    @classmethod
    def load(
        cls,
        environment: Mapping[str, str] | None = None,
        *,
        config: Path | None = None,
        **flags: object,
    ) -> "Settings":
        """Settings from everywhere; a flag that is None was not given.

        Raises:
            InvalidSetting: A value cannot work, or a name is not that of a setting. It names
                every one of them.
        """
        found = read(environment, config=config, **flags)
        if found.settings is not None:
            return found.settings
        if len(found.problems) == 1:
            raise found.problems[0]
        raise InvalidSetting(
            f"{len(found.problems)} settings are wrong",
            remedy="\n  ".join(
                [
                    "`ringfence config check` looks at them without starting anything:",
                    *map(str, found.problems),
                ]
            ),
        )

    def in_process(self) -> "Settings":
        """The same with no server at all: every adapter is the embedded one."""
        return self.model_copy(update={"kafka": None, "neo4j": None, "redis": None})

    def shown(self, name: str) -> str | int | float | list[str] | None:
        """A setting's value as it may be shown: secrets are masked."""
        value = getattr(self, name)
        if value is None or isinstance(value, str | int | float):
            return value
        return list(value) if isinstance(value, tuple) else str(value)


SECRETS: Final = tuple(
    name
    for name, field in Settings.model_fields.items()
    if {SecretStr, kinds.RedisUrl, kinds.Token} & {field.annotation, *get_args(field.annotation)}
)
_PATHS: Final = ("data_dir", "model_dir", "rates", "lists", "kafka_ca")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found: the settings, or all that is wrong with them; and where each came from."""

    settings: Settings | None
    problems: tuple[InvalidSetting, ...]
    origins: Mapping[str, Given]
    file: Path | None


def read(
    environment: Mapping[str, str] | None = None, *, config: Path | None = None, **flags: object
) -> Reading:
    """Read every source and find every wrong key, not only the first."""
    environment = os.environ if environment is None else environment
    path, named_by = settings_file(environment, config)
    sources = (
        Flags(Settings, SECRETS, flags),
        Variables(Settings, SECRETS, environment),
        TomlFile(Settings, SECRETS, path, named_by, _PATHS),
    )
    given = {name: (found, source) for name, found, source in origins(sources)}
    problems = [problem for source in sources for problem in source.problems]
    bad = {name for source in sources for name in source.unread}
    settings, errors = _validated(sources)
    if errors:
        for error in errors:
            if error["type"] != "clash":
                name = str(error["loc"][0])
                bad.add(name)
                problems.append(_refusal(name, *given[name], error))
        # A wrong value hides how the others go together: look at those without it.
        for source in sources:
            for name in bad:
                source.given.pop(name, None)
        _, errors = _validated(sources)
    for clash in (clash for error in errors for clash in error["ctx"]["clashes"]):
        if not bad & set(clash.names):
            found, _ = given[clash.names[0]]
            problems.append(InvalidSetting(clash.what, field=found.key, remedy=clash.remedy))
    return Reading(
        None if problems else settings,
        tuple(problems),
        {name: found for name, (found, _) in given.items()},
        path,
    )


def _validated(sources: tuple[Source, ...]) -> tuple[Settings | None, list[Any]]:
    try:
        # The argument is in pydantic-settings' documentation; its type hides it without a plugin.
        return Settings(_build_sources=(sources, {})), []  # type: ignore[call-arg]
    except ValidationError as error:
        return None, [dict(each) for each in error.errors(include_url=False)]


def _refusal(name: str, found: Given, source: Source, error: Mapping[str, Any]) -> InvalidSetting:
    """A value that cannot be, in the words of the house."""
    field = Settings.model_fields[name]
    extra = field.json_schema_extra
    assert isinstance(extra, dict)  # noqa: S101 - `_setting` makes every field
    own = error["type"] == "value_error" and not _bounds(name)
    what = str(error["ctx"]["error"]) if own else f"expected {takes(name)}"
    # Only what is a URL for sure is shown with its password masked: else it may be a password.
    secret = name in SECRETS and not (name == "redis" and "://" in str(found.value))
    value = "a secret, not shown" if secret else kinds.masked_url(str(found.value))
    example = source.example(name, str(extra["example"]))
    said = f"{field.description} Example: {example}"
    return InvalidSetting(what, field=found.key, value=value, remedy=said)


def _bounds(name: str) -> tuple[float, float] | None:
    """The least and the most of a number."""
    found: dict[str, float] = {}
    for each in Settings.model_fields[name].metadata:
        found |= {side: getattr(each, side) for side in ("ge", "le") if hasattr(each, side)}
    return (found["ge"], found["le"]) if len(found) == 2 else None


def takes(name: str) -> str:
    """What a setting takes, in a few words."""
    field = Settings.model_fields[name]
    if bounds := _bounds(name):
        kind = "whole number" if field.annotation is int else "number"
        return f"a {kind} from {bounds[0]:g} to {bounds[1]:,.12g}".replace(",", "")
    if field.annotation is not None and isinstance(field.default, str):
        choices = [each for each in get_args(field.annotation) if isinstance(each, str)]
        if choices:
            return f"one of {', '.join(choices)}"
    assert isinstance(field.json_schema_extra, dict)  # noqa: S101 - `_setting` makes every field
    return str(field.json_schema_extra["takes"])


def _clashes(settings: Settings) -> Iterator[Clash]:
    """Settings that are right alone and wrong together."""
    if settings.policy_file is not None and settings.policy != "expected-cost":
        yield Clash(
            ("policy", "policy_file"),
            "policy_file says how a score becomes a decision, so this would not be asked",
            "Leave policy out, or give the thresholds in the policy's file.",
        )
    for server in ("kafka", "neo4j"):
        password = f"{server}_password"
        if getattr(settings, password) is not None and getattr(settings, server) is None:
            yield Clash(
                (password, server),
                f"there is a password and no {server} to give it to",
                f"Set {server} as well, or leave the password out.",
            )
    sasl = settings.kafka_security.startswith("sasl")
    for name in ("kafka_user", "kafka_password"):
        missing = getattr(settings, name) is None
        if sasl and missing:
            yield Clash(
                ("kafka_security", name),
                f"{settings.kafka_security} needs {name}",
                f"Set {name} ({variable(name)}), or take plaintext or tls.",
            )
        elif not missing and not sasl and settings.kafka is not None:
            yield Clash(
                (name, "kafka_security"),
                f"kafka_security is {settings.kafka_security}, so nobody would be asked for it",
                "Set kafka_security to sasl-tls (or sasl), or leave this out.",
            )
    if settings.kafka_ca is not None and not settings.kafka_security.endswith("tls"):
        yield Clash(
            ("kafka_ca", "kafka_security"),
            f"kafka_security is {settings.kafka_security}, so no certificate would be checked",
            "Set kafka_security to tls or sasl-tls, or leave this out.",
        )


class Row(NamedTuple):
    """A row of the settings table."""

    name: str
    variable: str
    takes: str
    default: str
    meaning: str


def table() -> list[Row]:
    """Every setting, in the order of the model."""
    defaults = Settings()
    rows = []
    for name, field in Settings.model_fields.items():
        value = defaults.shown(name)
        default = ",".join(value) if isinstance(value, list) else "" if value is None else value
        rows.append(Row(name, variable(name), takes(name), str(default), field.description or ""))
    return rows
