"""What the ring head sees of a ring's graph: columns of members, pieces, hops, parts and the whole.

Everything is a logarithm (log(1 + x) of minor units, hours or things), a share, a log-odds or a
flag. All of it is made of the graph's own arrays, so that a graph with something taken away
(`RingGraph.without`) gets the columns of the smaller ring.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from gnn.ring_graph import KINDS, PATTERNS, ROLES, Ints, RingGraph, kinds_of, patterns_of
from graph.evidence import RULE_STRENGTH
from graph.ring_score import is_proof
from graph.transaction import HOUR, EntityKind

MEMBER: Final = (
    *(f"kind_{kind}" for kind in KINDS),
    *(f"role_{role}" for role in ROLES),
    *("pieces", "needing", "hops_in", "hops_out", "money_in", "money_out", "passed_on"),
)
PIECE: Final = (
    *(f"pattern_{pattern}" for pattern in PATTERNS),
    *("strength", "rule_strength", "proof", "members", "hops", "money", "span", "age"),
    *("retained", "retained_known", "truncated"),
)
HOP: Final = ("value", "share", "age", "since_first", "since_last", "from_outside", "to_outside")
PART: Final = (*(f"as_{role}" for role in ROLES), "needed")
WHOLE: Final = (
    *("score", "strongest", "users", "merchants", "identifiers", "pieces", "proofs", "patterns"),
    *("transactions", "money", "span", "age", "truncated"),
)
"""Of the whole ring. `score` is the noisy-or of each pattern's strongest proof, as log-odds: what
`graph.ring_score` says but for second laps of cycles."""
COLUMNS: Final = {"member": MEMBER, "piece": PIECE, "hop": HOP, "part": PART, "whole": WHOLE}
SCHEMA_HASH: Final = xxhash.xxh3_64_hexdigest(
    "\x1f".join(f"{name}:{','.join(columns)}" for name, columns in COLUMNS.items()).encode()
)
"""Of all columns and their order: a head answers graphs of exactly these."""

_SURE: Final = 1e-6
Floats = NDArray[np.float32]
Feed = dict[str, NDArray[Any]]


def member_columns(graph: RingGraph) -> Floats:
    """float32 [M, len(MEMBER)]."""
    m = len(graph.members)
    of_part, (paid, got) = graph.part_ends[0], graph.hop_ends
    # A transaction is a hop of every piece it is in; it counts once.
    _, first = np.unique(graph.hop_transaction, return_index=True)
    paid, got, value = paid[first], got[first], graph.hop_value[first].astype(np.float64)
    money_in = np.bincount(got[got >= 0], value[got >= 0], m)
    money_out = np.bincount(paid[paid >= 0], value[paid >= 0], m)
    counts = [
        np.bincount(of_part, minlength=m),
        np.bincount(of_part, graph.part_needed, m),
        np.bincount(got[got >= 0], minlength=m),
        np.bincount(paid[paid >= 0], minlength=m),
        money_in,
        money_out,
    ]
    passed = np.minimum(money_in, money_out) / np.maximum(np.maximum(money_in, money_out), 1.0)
    flags = [_one_hot(kinds_of(graph), len(KINDS)), _one_hot(graph.roles, len(ROLES))]
    return _joined(*flags, *(np.log1p(each)[:, None] for each in counts), passed[:, None])


def piece_columns(graph: RingGraph) -> Floats:
    """float32 [P, len(PIECE)]."""
    p = len(graph.pieces)
    members = np.bincount(graph.part_ends[1], minlength=p)
    hops = np.bincount(graph.hop_piece, minlength=p)
    money = np.bincount(graph.hop_piece, graph.hop_value, p)
    first, last = _span(graph)
    told = [
        [
            _log_odds(piece.strength),
            _log_odds(piece.facts.get(RULE_STRENGTH, piece.strength)),
            is_proof(piece),
            np.log1p(members[n]),
            np.log1p(hops[n]),
            np.log1p(money[n]),
            np.log1p((last[n] - first[n]) / HOUR),
            np.log1p(max(graph.at - piece.seen_at, 0) / HOUR),
            piece.retained or 0.0,
            piece.retained is not None,
            piece.truncated,
        ]
        for n, piece in enumerate(graph.pieces)
    ]
    flags = _one_hot(patterns_of(graph), len(PATTERNS))
    return _joined(flags, np.array(told, np.float64).reshape(p, len(PIECE) - len(PATTERNS)))


def hop_columns(graph: RingGraph) -> Floats:
    """float32 [H, len(HOP)]."""
    value, time, piece = graph.hop_value, graph.hop_time, graph.hop_piece
    first, last = _span(graph)
    money = np.bincount(piece, value, len(graph.pieces))
    return _joined(
        np.log1p(value)[:, None],
        (value / np.maximum(money[piece], 1.0))[:, None],
        np.log1p(np.maximum(graph.at - time, 0) / HOUR)[:, None],
        np.log1p((time - first[piece]) / HOUR)[:, None],
        np.log1p((last[piece] - time) / HOUR)[:, None],
        (graph.hop_ends < 0).T,
    )


def part_columns(graph: RingGraph) -> Floats:
    """float32 [K, len(PART)]."""
    return _joined(_one_hot(graph.part_role, len(ROLES)), graph.part_needed[:, None])


def whole_columns(graph: RingGraph) -> Floats:
    """float32 [len(WHOLE)]."""
    doubts: dict[str, float] = {}
    for piece in graph.pieces:
        if is_proof(piece):
            doubts[piece.pattern] = min(doubts.get(piece.pattern, 1.0), 1.0 - piece.strength)
    kinds = [entity.kind for entity in graph.members]
    users, merchants = kinds.count(EntityKind.USER), kinds.count(EntityKind.MERCHANT)
    _, first = np.unique(graph.hop_transaction, return_index=True)
    times = [*graph.hop_time.tolist(), *(piece.seen_at for piece in graph.pieces)]
    began, ended = min(times, default=graph.at), max(times, default=graph.at)
    counts = [
        users,
        merchants,
        len(kinds) - users - merchants,
        len(graph.pieces),
        sum(map(is_proof, graph.pieces)),
        len({piece.pattern for piece in graph.pieces}),
        len(graph.transactions),
        int(graph.hop_value[first].sum()),
        (ended - began) / HOUR,
        max(graph.at - ended, 0) / HOUR,
    ]
    score = _log_odds(1.0 - float(np.prod([doubts[each] for each in sorted(doubts)])))
    strongest = _log_odds(max((piece.strength for piece in graph.pieces), default=0.0))
    return np.array([score, strongest, *np.log1p(counts), graph.truncated], np.float32)


class RingColumns(NamedTuple):
    """All columns of one ring's graph; M members, P pieces, H hops, K parts.

    Attributes:
        member: float32 [M, len(MEMBER)].
        piece: float32 [P, len(PIECE)].
        hop: float32 [H, len(HOP)].
        part: float32 [K, len(PART)].
        whole: float32 [len(WHOLE)].
        hop_ends: Of `RingGraph`, as are `hop_piece` and `part_ends`.
    """

    member: Floats
    piece: Floats
    hop: Floats
    part: Floats
    whole: Floats
    hop_ends: Ints
    hop_piece: Ints
    part_ends: Ints


def columns_of(graph: RingGraph) -> RingColumns:
    """What the head sees of a ring."""
    return RingColumns(
        member_columns(graph),
        piece_columns(graph),
        hop_columns(graph),
        part_columns(graph),
        whole_columns(graph),
        graph.hop_ends,
        graph.hop_piece,
        graph.part_ends,
    )


def feed(rings: Sequence[RingColumns]) -> Feed:
    """Rings side by side as the inputs of a ring head; R rings.

    Returns:
        `x_member` float32 [M, ...], `x_piece`, `x_hop`, `x_part`, `x_whole` [R, ...], and whose
        they are: `member_ring` int64 [M], `piece_ring` int64 [P], `hop_ends` int64 [2, H] (M for
        the outside), `hop_piece` int64 [H], `part_ends` int64 [2, K].
    """
    m = np.cumsum([0, *(len(ring.member) for ring in rings)])
    p = np.cumsum([0, *(len(ring.piece) for ring in rings)])
    each = list(zip(rings, m.tolist(), p.tolist(), strict=False))
    none = np.zeros((2, 0), np.int64)
    return {
        "x_member": _stacked([ring.member for ring in rings], MEMBER),
        "x_piece": _stacked([ring.piece for ring in rings], PIECE),
        "x_hop": _stacked([ring.hop for ring in rings], HOP),
        "x_part": _stacked([ring.part for ring in rings], PART),
        "x_whole": _stacked([ring.whole[None, :] for ring in rings], WHOLE),
        "member_ring": np.repeat(np.arange(len(rings)), np.diff(m)),
        "piece_ring": np.repeat(np.arange(len(rings)), np.diff(p)),
        "hop_ends": np.concatenate(
            [none, *(np.where(r.hop_ends >= 0, r.hop_ends + n, m[-1]) for r, n, _ in each)], axis=1
        ),
        "hop_piece": np.concatenate([none[0], *(ring.hop_piece + n for ring, _, n in each)]),
        "part_ends": np.concatenate(
            [none, *(r.part_ends + np.array([[n], [k]]) for r, n, k in each)], axis=1
        ),
    }


def _span(graph: RingGraph) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last hop of each piece, ms, int64 [P]; of one without hops when it was seen."""
    seen = np.array([piece.seen_at for piece in graph.pieces], np.int64)
    some = np.bincount(graph.hop_piece, minlength=len(seen)) > 0
    first, last = (np.where(some, edge, seen) for edge in (2**62, -(2**62)))
    np.minimum.at(first, graph.hop_piece, graph.hop_time)
    np.maximum.at(last, graph.hop_piece, graph.hop_time)
    return first, last


def _log_odds(probability: float) -> float:
    sure = min(max(probability, _SURE), 1.0 - _SURE)
    return float(np.log(sure / (1.0 - sure)))


def _one_hot(values: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    return np.eye(size)[values]


def _joined(*columns: NDArray[Any]) -> Floats:
    return np.hstack([np.asarray(each, np.float64) for each in columns]).astype(np.float32)


def _stacked(rows: list[Floats], names: tuple[str, ...]) -> Floats:
    return np.concatenate([np.zeros((0, len(names)), np.float32), *rows])
