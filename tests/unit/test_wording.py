"""Wording: the page and the core call a pattern by the same name."""

import doctest
import re
from pathlib import Path

import pytest

from graph import wording
from graph.evidence import Pattern
from graph.heuristics import dormancy, gather_scatter, identity, structuring, witness
from graph.wording import pattern_words

PAGE = Path(__file__).parents[2] / "api" / "static" / "js"
DONE = {Pattern.PING_PONG, Pattern.STRUCTURING, Pattern.CARD_TESTING, Pattern.REFUND_ABUSE}
"""What is a doing, and so has no article."""
TOLD = {
    Pattern.IMPOSSIBLE_TRAVEL: "impossible journey",
    Pattern.VELOCITY: "burst of attempts",
    Pattern.LINKED_SUSPECTS: "group of linked suspects",
}
"""What a story calls by another name than a headline."""


def table(module: str, name: str) -> dict[str, str]:
    text = (PAGE / module).read_text(encoding="utf-8")
    (found,) = re.findall(rf"const {name} = {{\n(.*?)\n}};", text, re.DOTALL)
    return dict(re.findall(r'(\w+): "([^"]+)"', found))


def test_the_page_writes_a_pattern_as_the_core_does() -> None:
    written = table("text.js", "WRITTEN")
    for pattern in Pattern:
        if pattern not in (Pattern.MULE, Pattern.BLOCKED):  # whole phrases in a headline
            words = written.get(pattern, pattern.replace("_", " "))
            assert pattern_words(pattern) == words


def test_a_story_puts_the_right_article_before_every_pattern_and_none_before_what_is_done() -> None:
    seen_as = table("story.js", "SEEN_AS")
    assert seen_as.keys() == set(Pattern)
    for pattern in Pattern:
        name = TOLD.get(pattern, pattern_words(pattern))
        article = "" if pattern in DONE else "an " if name[0] in "aeiou" else "a "
        assert seen_as[pattern] == article + name


@pytest.mark.parametrize(
    "module", [wording, witness, structuring, dormancy, identity, gather_scatter]
)
def test_the_examples_hold(module) -> None:
    assert doctest.testmod(module).failed == 0
