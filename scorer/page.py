"""Pages: a report's figures as one self-contained HTML file, and reports written into a folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from graph.errors import InvalidSetting
from scorer.wording import (
    count,
    duration,
    figure,
    moment,
    money,
    plain_interval,
    points,
    share,
    signed_interval,
)


def render_page(template: str, values: Mapping[str, Any]) -> str:
    """A template of this folder with these values; a name that is missing is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "figure": figure,
        "share": share,
        "count": count,
        "moment": moment,
        "money": money,
        "duration": duration,
        "points": points,
        "plain_interval": plain_interval,
        "signed_interval": signed_interval,
    }
    return environment.get_template(template).render(values)


def as_json(report: Mapping[str, Any]) -> bytes:
    """The report as indented JSON, keys in its own order: equal reports make equal bytes."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def write_files(directory: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a folder, which is made where it is missing.

    Raises:
        InvalidSetting: The folder cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (directory / name).write_bytes(content)
    except OSError as error:
        raise InvalidSetting(
            f"the report cannot be written: {error.strerror}",
            field="report directory",
            value=str(directory),
            remedy="Give a directory that can be written.",
        ) from error
