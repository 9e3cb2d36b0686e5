"""Wording: the page and the core call a pattern by the same name."""

import doctest
import re
from pathlib import Path

import pytest

from graph import wording
from graph.evidence import Pattern
from graph.heuristics import dormancy, gather_scatter, identity, structuring, witness
from graph.wording import pattern_words

TEXT = Path(__file__).parents[2] / "api" / "static" / "js" / "text.js"


def test_the_page_writes_a_pattern_as_the_core_does() -> None:
    (table,) = re.findall(r"const WRITTEN = \{\n(.*?)\n\};", TEXT.read_text(encoding="utf-8"), re.S)
    written = dict(re.findall(r'(\w+): "([^"]+)"', table))
    for pattern in Pattern:
        if pattern not in (Pattern.MULE, Pattern.BLOCKED):  # whole phrases in a headline
            words = written.get(pattern, pattern.replace("_", " "))
            assert pattern_words(pattern) == words


@pytest.mark.parametrize(
    "module", [wording, witness, structuring, dormancy, identity, gather_scatter]
)
def test_the_examples_hold(module) -> None:
    assert doctest.testmod(module).failed == 0
