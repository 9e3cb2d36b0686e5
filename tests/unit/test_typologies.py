"""The page of typologies: everything that can be seen is on it, and it is what the code says."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from api.typologies.catalogue import TYPOLOGIES, limits, sections
from api.typologies.page import page
from api.typologies.picture import WIDTH, picture
from graph.evidence import SEEN, Evidence, Hop, Pattern, Role
from graph.thresholds import Thresholds
from graph.transaction import Entity, EntityKind

DOCS = Path(__file__).parents[2] / "docs"
SVG = "{http://www.w3.org/2000/svg}"
# Of no typology: how evidence is told and shown, and what is learned (docs/adaptive.md).
GENERAL = {
    "told_singly",
    "witness",
    "acquaintance_scan",
    "own_quantile",
    "own_days",
    "own_ceiling",
    "own_accounts",
}


def user(name: str) -> Entity:
    return Entity(EntityKind.USER, name)


def evidence(pattern: Pattern, hops: list[tuple[str, str]], *roles: tuple[str, Role]) -> Evidence:
    return Evidence(
        pattern=pattern,
        seen_at=99,
        members=tuple((user(name), role) for name, role in roles),
        hops=tuple(Hop(f"t{i}", user(a), user(b), 1_000, i) for i, (a, b) in enumerate(hops)),
        strength=0.5,
        reason="<b> & friends",
    )


def test_every_pattern_is_on_the_page_and_has_one_picture() -> None:
    """A fan-in has two heuristics: while the crowd pays, and when the money is taken away."""
    told = [pattern for typology in TYPOLOGIES for pattern in typology.patterns]
    assert sorted(told) == sorted([*SEEN, Pattern.FAN_IN])
    assert page([*SEEN]).count(".svg") == len(SEEN)


def test_every_threshold_is_told_once() -> None:
    told = [name for typology in TYPOLOGIES for name, _, _ in limits(typology)]
    assert sorted(told) == sorted({f.name for f in fields(Thresholds)} - GENERAL)


@pytest.mark.parametrize("typology", TYPOLOGIES, ids=lambda typology: typology.title)
def test_every_typology_says_what_it_is_and_what_it_is_not(typology) -> None:
    said = " ".join(f"{heading} {text}" for heading, text in sections(typology)).lower()
    assert "miss" in said
    assert "false positive" in said
    assert ">>>" not in said


def test_the_page_is_what_the_code_says() -> None:
    pictured = {path.stem for path in (DOCS / "images" / "typologies").glob("*.svg")}
    written = (DOCS / "typologies.md").read_text(encoding="utf-8")
    assert written == page(pictured), "run python -m api.typologies"


def test_a_picture_shows_each_hop_and_each_account_once() -> None:
    fan = evidence(
        Pattern.FAN_IN,
        [("a", "hub"), ("b", "hub"), ("a", "hub")],
        ("hub", Role.RECEIVER),
        ("a", Role.SENDER),
        ("b", Role.SENDER),
        ("unseen", Role.SENDER),
    )
    root = ET.fromstring(picture(fan))  # noqa: S314 - our own text
    assert root.get("width") == str(WIDTH)
    assert root.findtext(f"{SVG}title") == "<b> & friends"
    assert len(root.findall(f".//{SVG}circle")) == 3
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert "1, 3: 20" in texts
    assert "2: 10" in texts
    assert picture(fan) == picture(fan)


def test_a_large_picture_says_what_is_left_out() -> None:
    crowd = evidence(Pattern.FAN_IN, [(f"u{i}", "hub") for i in range(40)], ("hub", Role.RECEIVER))
    root = ET.fromstring(picture(crowd))  # noqa: S314 - our own text
    assert len(root.findall(f".//{SVG}circle")) == 17
    assert "the first 16 are drawn" in " ".join(e.text or "" for e in root.iter(f"{SVG}text"))


def test_what_is_shared_stands_in_the_middle_of_those_who_share_it() -> None:
    device = Entity(EntityKind.DEVICE, "phone")
    shared = Evidence(
        pattern=Pattern.SHARED_DEVICE,
        seen_at=1,
        members=((device, Role.SHARED), (user("a"), Role.MEMBER), (user("b"), Role.MEMBER)),
        hops=(),
        strength=0.4,
        reason="two users",
    )
    root = ET.fromstring(picture(shared))  # noqa: S314 - our own text
    assert len(root.findall(f".//{SVG}circle")) == 3
    assert sum(path.get("stroke-dasharray") is not None for path in root.iter(f"{SVG}path")) == 2


@pytest.mark.slow
def test_the_pictures_are_those_of_a_replay() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "api.typologies", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
