"""Evidence as a small SVG: who paid whom, in what order, or who shares what.

Layout follows the shape: a circle for money that comes home, layers from left to right for money
that moves on, a star for something shared. Same evidence, same bytes.
"""

from collections.abc import Sequence
from html import escape
from math import cos, hypot, pi, sin
from typing import Final

from graph.evidence import Evidence, Hop, Pattern, Role
from graph.heuristics.witness import span_in_words
from graph.transaction import Entity, EntityKind

WIDTH: Final = 640
MOST: Final = 16
"""Most members and hops drawn; what is left out is said."""
_ROUND: Final = frozenset({Pattern.CYCLE, Pattern.PING_PONG})
_RADIUS: Final = 13
_COLOURS: Final = {
    Role.CONTROLLER: "#b3261e",
    Role.CASH_OUT: "#b3261e",
    Role.MULE: "#c77700",
    Role.SHARED: "#6a4fb3",
    Role.VICTIM: "#2f6fb0",
    Role.SENDER: "#2f6fb0",
    Role.RECEIVER: "#4a7a3a",
    Role.MEMBER: "#5f6368",
}
_LETTERS: Final = {
    EntityKind.USER: "U",
    EntityKind.MERCHANT: "M",
    EntityKind.DEVICE: "D",
    EntityKind.CARD: "C",
    EntityKind.IP: "IP",
}

Place = tuple[float, float]


def picture(evidence: Evidence) -> str:
    """The evidence as an SVG document, `WIDTH` wide, readable on light and dark pages."""
    hops = evidence.hops[:MOST]
    members = dict(evidence.members)
    drawn = _drawn(evidence, hops)
    places, height = _places(evidence, drawn, hops)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img" font-family="system-ui, sans-serif">'
        ),
        f"<title>{escape(evidence.reason)}</title>",
        (
            '<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#7a7f87"/></marker>'
            "</defs>"
        ),
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff" rx="6"/>',
    ]
    parts += _links(evidence, drawn, places)
    parts += _arrows(hops, places)
    parts += [_node(entity, members.get(entity, Role.MEMBER), places[entity]) for entity in drawn]
    parts.append(_caption(evidence, hops, drawn, height))
    parts.append("</svg>\n")
    return "\n".join(parts)


def _drawn(evidence: Evidence, hops: Sequence[Hop]) -> list[Entity]:
    """Everybody in the hops shown and what is shared; without hops the first members."""
    drawn: dict[Entity, None] = {}
    if not hops:
        drawn.update(dict.fromkeys(evidence.entities[:MOST]))
    for hop in hops:
        for end in (hop.source, hop.target):
            if end is not None:
                drawn[end] = None
    for entity, role in evidence.members[:MOST]:
        if role is Role.SHARED:
            drawn.setdefault(entity)
    return list(drawn)


def _places(
    evidence: Evidence, drawn: Sequence[Entity], hops: Sequence[Hop]
) -> tuple[dict[Entity, Place], int]:
    if evidence.pattern in _ROUND:
        return _circle(drawn), 300
    if not hops or evidence.members[0][1] is Role.SHARED:
        return _star(evidence.entities[0], drawn), 300
    return _layers(drawn, hops)


def _circle(drawn: Sequence[Entity]) -> dict[Entity, Place]:
    turn = 2 * pi / max(len(drawn), 1)
    return {
        entity: (WIDTH / 2 + 150 * sin(i * turn), 135 - 95 * cos(i * turn))
        for i, entity in enumerate(drawn)
    }


def _star(centre: Entity, drawn: Sequence[Entity]) -> dict[Entity, Place]:
    around = _circle([entity for entity in drawn if entity != centre])
    return {centre: (WIDTH / 2, 135.0)} | around


def _layers(drawn: Sequence[Entity], hops: Sequence[Hop]) -> tuple[dict[Entity, Place], int]:
    """Left to right: one step behind whoever paid first, as far as the hops' order goes."""
    level: dict[Entity, int] = {}
    for hop in hops:
        if hop.source is not None:
            level.setdefault(hop.source, 0)
            if hop.target is not None:
                level.setdefault(hop.target, level[hop.source] + 1)
        elif hop.target is not None:
            level.setdefault(hop.target, 1)
    for entity in drawn:
        level.setdefault(entity, 0)
    columns: dict[int, list[Entity]] = {}
    for entity in drawn:
        columns.setdefault(level[entity], []).append(entity)
    tallest = max(map(len, columns.values()))
    height = max(150, 50 + 42 * tallest)
    most = max(columns) or 1
    places = {}
    for depth, column in columns.items():
        for row, entity in enumerate(column):
            x = 60 + depth * (WIDTH - 120) / most
            places[entity] = (x, 24 + (height - 60) * (row + 0.5) / len(column))
    return places, height


def _links(evidence: Evidence, drawn: Sequence[Entity], places: dict[Entity, Place]) -> list[str]:
    """Dashed lines from what is shared to who shares it."""
    shared = [e for e, role in evidence.members if role is Role.SHARED and e in places]
    users = [entity for entity in drawn if entity.kind is EntityKind.USER]
    return [
        f'<path d="M{places[a][0]:.1f} {places[a][1]:.1f}L{places[b][0]:.1f} {places[b][1]:.1f}" '
        'stroke="#b9b2d6" stroke-dasharray="4 3" fill="none"/>'
        for a in shared
        for b in users
    ]


def _arrows(hops: Sequence[Hop], places: dict[Entity, Place]) -> list[str]:
    drawn: list[str] = []
    numbered: dict[tuple[Entity | None, Entity | None], list[tuple[int, int]]] = {}
    for number, hop in enumerate(hops, 1):
        key = (hop.source, hop.target)
        numbered.setdefault(key, []).append((number, hop.value))
    for (source, target), told in numbered.items():
        start = places[source] if source is not None else None
        end = places[target] if target is not None else None
        if start is None and end is None:
            continue
        start = start or (end[0] - 60, end[1]) if end else start
        assert start is not None  # noqa: S101 - one end is there
        end = end or (start[0] + 60, start[1])
        drawn.append(_arrow(start, end, told, bent=(target, source) in numbered))
    return drawn


def _arrow(start: Place, end: Place, told: list[tuple[int, int]], *, bent: bool) -> str:
    (x1, y1), (x2, y2) = start, end
    length = hypot(x2 - x1, y2 - y1) or 1.0
    dx, dy = (x2 - x1) / length, (y2 - y1) / length
    x1, y1, x2, y2 = (
        x1 + dx * (_RADIUS + 1), y1 + dy * (_RADIUS + 1),
        x2 - dx * (_RADIUS + 3), y2 - dy * (_RADIUS + 3),
    )  # fmt: skip
    bow = 18 if bent else 0
    cx, cy = (x1 + x2) / 2 - dy * bow, (y1 + y2) / 2 + dx * bow
    numbers = ", ".join(str(number) for number, _ in told[:3]) + ("…" if len(told) > 3 else "")
    money = sum(value for _, value in told) / 100
    # Nearer to the payer, so that the labels of a fan do not meet in its middle.
    near = 0.55 if len(told) == 1 and not bent else 1.0
    lx, ly = x1 + (cx - x1) * near, y1 + (cy - y1) * near
    return (
        f'<path d="M{x1:.1f} {y1:.1f}Q{cx:.1f} {cy:.1f} {x2:.1f} {y2:.1f}" stroke="#7a7f87" '
        'fill="none" marker-end="url(#a)"/>'
        f'<text x="{lx:.1f}" y="{ly - 3:.1f}" font-size="9" fill="#3c4043" '
        'stroke="#ffffff" stroke-width="3" paint-order="stroke" '
        f'text-anchor="middle">{numbers}: {money:,.0f}</text>'
    )


def _node(entity: Entity, role: Role, place: Place) -> str:
    x, y = place
    return (
        f"<g><title>{escape(entity.kind.value)}, {escape(role.value)}</title>"
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS}" fill="{_COLOURS[role]}"/>'
        f'<text x="{x:.1f}" y="{y + 4:.1f}" font-size="11" fill="#ffffff" '
        f'text-anchor="middle">{_LETTERS[entity.kind]}</text></g>'
    )


def _caption(evidence: Evidence, hops: Sequence[Hop], drawn: Sequence[Entity], height: int) -> str:
    said = [f"strength {evidence.strength:.2f}"]
    if hops:
        span = hops[-1].timestamp - hops[0].timestamp
        said.append(f"{len(evidence.hops)} transactions within {span_in_words(span)}")
    left = len(evidence.members) - sum(entity in dict(evidence.members) for entity in drawn)
    if len(hops) < len(evidence.hops) or left > 0:
        said.append(f"the first {len(hops) or len(drawn)} are drawn")
    said.append(", ".join(f"{_LETTERS[kind]} {kind.value}" for kind in EntityKind
                          if any(e.kind is kind for e in drawn)))  # fmt: skip
    return (
        f'<text x="12" y="{height - 10}" font-size="11" fill="#3c4043">'
        f"{escape('; '.join(said))}</text>"
    )
