"""Which heuristics the page tells of, in which order, and what each says of itself."""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from graph import thresholds
from graph.evidence import Pattern
from graph.heuristics import (
    bust_out,
    card_testing,
    chain,
    collector,
    collusion,
    cycle,
    dormancy,
    fan,
    feeder_tree,
    gather_scatter,
    identity,
    layers,
    mule,
    refunds,
    rules,
    scatter_gather,
    structuring,
    synthetic,
    takeover,
)
from graph.sweep import blocks, communities
from graph.thresholds import Thresholds
from graph.transaction import DAY, HOUR, MINUTE

_SECTIONS: Final = (
    "Behaviour", "Definition", "Method and cost", "Misses", "False positives", "Source",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Typology:
    """One section of the page.

    Attributes:
        title: Its heading.
        patterns: What it finds; each has a picture where the replay saw one.
        speaker: The module or class whose docstring defines it.
        strength: The class whose docstring says how strongly it speaks.
        prefixes: Thresholds that begin so are its own.
    """

    title: str
    patterns: tuple[Pattern, ...]
    speaker: Any
    strength: Callable[..., Any] | None
    prefixes: tuple[str, ...]


TYPOLOGIES: Final = (
    Typology("Cycle", (Pattern.CYCLE, Pattern.PING_PONG), cycle, cycle.Cycles, ("cycle_",)),
    Typology("Chain", (Pattern.CHAIN,), chain, chain.Chains, ("chain_",)),
    Typology(
        "Scatter-gather",
        (Pattern.SCATTER_GATHER,),
        scatter_gather,
        scatter_gather.ScatterGather,
        ("relay_within", "relay_intermediaries", "relay_fresh_share", "relay_scan"),
    ),
    Typology(
        "Gather-scatter",
        (Pattern.GATHER_SCATTER,),
        gather_scatter,
        gather_scatter.GatherScatter,
        ("relay_receivers", "relay_passes_on", "relay_strangers"),
    ),
    Typology(
        "Bipartite layers and stacks",
        (Pattern.BIPARTITE, Pattern.STACK),
        layers,
        layers.Layers,
        ("layer_", "stack_"),
    ),
    Typology(
        "Feeder tree",
        (Pattern.FEEDER_TREE,),
        feeder_tree,
        feeder_tree.FeederTrees,
        ("tree_",),
    ),
    Typology("Pass-through mule", (Pattern.MULE,), mule, mule.Mules, ("mule_",)),
    Typology(
        "Fan-in and fan-out",
        (Pattern.FAN_IN, Pattern.FAN_OUT),
        fan,
        fan.Fans,
        ("fan_within", "fan_counterparties", "fan_fresh_share", "fan_scan"),
    ),
    Typology(
        "Emptied collector",
        (Pattern.FAN_IN,),
        collector,
        collector.Collectors,
        ("fan_passes_on",),
    ),
    Typology(
        "Structuring",
        (Pattern.STRUCTURING,),
        structuring,
        structuring.Structuring,
        ("structuring_",),
    ),
    Typology(
        "Shared device, card and IP",
        (Pattern.SHARED_DEVICE, Pattern.SHARED_CARD, Pattern.SHARED_IP),
        identity,
        None,
        ("device_", "farm_", "card_users", "ip_", "sharing_"),
    ),
    Typology(
        "Synthetic identity",
        (Pattern.SYNTHETIC_IDENTITY,),
        synthetic,
        synthetic.SyntheticIdentity,
        ("synthetic_",),
    ),
    Typology(
        "Dormant, then a burst",
        (Pattern.DORMANT_BURST,),
        dormancy,
        dormancy.Dormancy,
        ("dormant_",),
    ),
    Typology("Takeover", (Pattern.TAKEOVER,), takeover, takeover.Takeovers, ("takeover_",)),
    Typology("Bust-out", (Pattern.BUST_OUT,), bust_out, bust_out.BustOut, ("bust_out_", "spree_")),
    Typology(
        "Card testing",
        (Pattern.CARD_TESTING,),
        card_testing,
        card_testing.CardTesting,
        ("card_testing_",),
    ),
    Typology(
        "Collusive merchant",
        (Pattern.COLLUSIVE_MERCHANT,),
        collusion,
        collusion.Collusion,
        ("collusive_",),
    ),
    Typology("Refund abuse", (Pattern.REFUND_ABUSE,), refunds, refunds.RefundAbuse, ("refund_",)),
    Typology("Velocity", (Pattern.VELOCITY,), rules.Velocity, None, ("velocity_",)),
    Typology(
        "Impossible travel",
        (Pattern.IMPOSSIBLE_TRAVEL,),
        rules.ImpossibleTravel,
        None,
        ("travel_",),
    ),
    Typology("Blocked", (Pattern.BLOCKED,), rules.Blocklist, None, ()),
    Typology("Dense block", (Pattern.DENSE_BLOCK,), blocks, None, ()),
    Typology("Community", (Pattern.COMMUNITY,), communities, None, ()),
)


def first_sentence(typology: Typology) -> str:
    """What it is about: the first line of the docstring that defines it."""
    return (inspect.getdoc(typology.speaker) or "").split("\n\n")[0].replace("\n", " ")


def sections(typology: Typology) -> Iterator[tuple[str, str]]:
    """(heading, Markdown) of each part of the docstring, doctests left out."""
    text = re.split(r"\n>>> ", inspect.getdoc(typology.speaker) or "")[0]
    paragraphs = text.split("\n\n")[1:]
    heading, body = "", ""
    for paragraph in paragraphs:
        first, _, rest = paragraph.partition("\n")
        if first in _SECTIONS:
            if body:
                yield heading, body
            heading, body = first, ""
            paragraph = rest  # noqa: PLW2901 - the heading is taken off
        body += ("\n\n" if body else "") + inspect.cleandoc(paragraph)
    if body:
        yield heading, body


def strength(typology: Typology) -> str:
    """How strongly it speaks, by the docstring of its class."""
    if typology.strength is None:
        return ""
    paragraphs = (inspect.getdoc(typology.strength) or "").split("\n\n")
    return "\n\n".join(p for p in paragraphs[1:] if not p.startswith(">>>"))


def limits(typology: Typology) -> Iterator[tuple[str, str, str]]:
    """(name, default in words, rationale) of each of its thresholds."""
    rationale = _rationales()
    defaults = Thresholds()
    for name, why in rationale.items():
        if typology.prefixes and name.startswith(typology.prefixes):
            yield name, _in_words(name, getattr(defaults, name)), why


def _rationales() -> dict[str, str]:
    """The comment above each field of `Thresholds`; of a group, above its first."""
    found: dict[str, str] = {}
    comment: list[str] = []
    body = inspect.getsource(thresholds.Thresholds).split("def __post_init__")[0]
    for line in body.splitlines():
        text = line.strip()
        if text.startswith("#"):
            comment.append(text.lstrip("# "))
        elif match := re.match(r"(\w+): (?:int|float) = ", text):
            found[match[1]] = " ".join(comment)
            comment = []
    return found


def _in_words(name: str, value: float) -> str:
    if name.endswith(("_within", "_dwell", "_fades", "_after", "_young")):
        for unit, word in ((DAY, "days"), (HOUR, "h"), (MINUTE, "min")):
            if value >= unit and value % unit == 0:
                return f"{value // unit:g} {word}"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
