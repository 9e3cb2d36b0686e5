"""The README's code runs, its commands exist, its links lead somewhere."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from api.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_the_tour_prints_what_its_comments_say() -> None:
    (tour,) = blocks("python")
    said = re.findall(r"^print\(.*\) +# (.*)$", tour, re.MULTILINE)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(tour, "README.md", "exec"), {})  # noqa: S102  # the README's own code
    printed = out.getvalue().splitlines()
    assert len(printed) == len(said) >= 4
    for line, comment in zip(printed, said, strict=True):
        assert comment.split(": nothing")[0] == line


@pytest.mark.parametrize(
    "line",
    [
        line.removeprefix("$ ")
        for block in blocks("console")
        for line in block.splitlines()
        if line.startswith("$ ringfence")
    ],
)
def test_every_command_it_shows_exists_with_its_options(line: str) -> None:
    _, name, *arguments = shlex.split(line, comments=True)
    command = get_command(app).commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in arguments if word.startswith("--")} <= known


def test_its_targets_are_in_the_makefile() -> None:
    targets = set(re.findall(r"^\$ make (\w+)", README, re.MULTILINE))
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    "page", ["README.md", *sorted(p.name for p in (ROOT / "docs").glob("*.md"))]
)
def test_links_lead_to_files_that_are_there(page: str) -> None:
    path = ROOT / page if (ROOT / page).exists() else ROOT / "docs" / page
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), f"{page} links to {target}"
