"""What the gain of a graph network owes to its edges: the same network beside it, edges shuffled.

The network must gain over its base, and that gain must die where the edges are shuffled; then it is
the edges that pay. Three differences on the same resamples of the test say so: network over base,
shuffled over base, network over shuffled. The last is the one that speaks of edges. That the
shuffled one gains nothing beyond doubt is no proof that the other one's gain is due to edges: two
figures of which one excludes zero and the other does not need not differ.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from scorer.wording import points, signed_interval

EdgeVerdict = Literal["nothing", "dies", "in_part", "survives"]

_SAID: Final[Mapping[EdgeVerdict, str]] = {
    "nothing": "It adds nothing beyond doubt, so there is no gain that edges could bear",
    "dies": "Its gain dies when edges are shuffled: the edges are what pays",
    "in_part": "A part of its gain survives shuffled edges: the edges pay for the rest",
    "survives": "Its gain survives shuffled edges: it cannot be told that the edges pay",
}


def edge_gain(
    words: str,
    base: str,
    network: Mapping[str, Any],
    shuffled: Mapping[str, Any],
    between: Mapping[str, Any],
) -> dict[str, Any]:
    """The verdict on a network's edges, and its sentence.

    Args:
        words: What sentences call the network.
        base: What they call the rung that both are measured against.
        network: Gain of the network over the base, as `scorer.ladder` reports it.
        shuffled: The same with its edges shuffled.
        between: Gain of the network over its shuffled twin.

    Returns:
        `verdict` ("nothing", "dies", "in_part" or "survives"), `over_shuffled`, `sentence`.
    """
    told = _verdict(network, shuffled, between)
    subject = words[:1].upper() + words[1:]
    return {
        "verdict": told,
        "over_shuffled": dict(between),
        "sentence": (
            f"{subject} against {base}: {_gain(network)} average precision; with its edges "
            f"shuffled {_gain(shuffled)}; true edges over shuffled ones {_gain(between)}. "
            f"{_SAID[told]}."
        ),
    }


def _verdict(
    network: Mapping[str, Any], shuffled: Mapping[str, Any], between: Mapping[str, Any]
) -> EdgeVerdict:
    if not network["excludes_zero"] or network["within_seeds"]:
        return "nothing"
    if not between["excludes_zero"] or between["within_seeds"]:
        return "survives"
    return "in_part" if shuffled["excludes_zero"] else "dies"


def _gain(over: Mapping[str, Any]) -> str:
    return f"{points(over['difference'], sign=True)} {signed_interval(over['ci'])}"
