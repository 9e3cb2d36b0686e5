"""The files of the ring page: vendored as listed, nothing inline, nothing from elsewhere."""

import hashlib
import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "api" / "static"


def test_what_is_vendored_is_what_its_list_says() -> None:
    listed = re.findall(
        r"`(cytoscape[\w.]+)` \| cytoscape .*`(\w{64})`",
        (STATIC / "vendor" / "README.md").read_text(),
    )
    assert len(listed) == 2
    for name, digest in listed:
        assert hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == digest


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere() -> None:
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    for path in [STATIC / "index.html", STATIC / "page.css", *STATIC.glob("js/*.js")]:
        text = path.read_text()
        assert not re.search(r"https?://|innerHTML|insertAdjacentHTML|document\.write", text), path


TEXT_ON = [
    ("text", "panel"), ("text", "page"), ("text", "raised"), ("text", "accent-soft"),
    ("quiet-text", "panel"), ("quiet-text", "page"), ("quiet-text", "raised"),
    ("quiet-text", "accent-soft"), ("quiet-text", "fresh-soft"), ("accent", "panel"),
    ("accent", "accent-soft"), ("risk", "page"), ("risk", "panel"), ("risk", "accent-soft"),
    ("warn", "warn-soft"), ("warn", "panel"), ("good", "panel"),
    ("chip-money-text", "chip-money"), ("chip-shared-text", "chip-shared"),
]  # fmt: skip


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_and_pictures_stand_out_as_wcag_asks(mode: str) -> None:
    light, dark = re.findall(r":root \{(.*?)\}", (STATIC / "page.css").read_text(), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", light))
    if mode == "dark":
        colours |= dict(re.findall(r"--([\w-]+): (#\w{6})", dark))
    weak = {
        pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2)
        for pair in TEXT_ON
        if contrast(colours[pair[0]], colours[pair[1]]) < 4.5
    }
    assert weak == {}, "text needs 4.5:1 (AA)"
    roles = {name: value for name, value in colours.items() if name.startswith("role-")}
    assert len(roles) == 9
    faint = {name for name, value in roles.items() if contrast("#ffffff", value) < 3}
    assert faint == set(), "white pictures need 3:1 on the colour of a role"


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, as WCAG 2.2 defines it."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
