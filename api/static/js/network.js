// The network drawing: the ring and what is around it, by who is tied to whom.
//
// A spring model settles what is new; places that were given are pinned. It starts from the same
// places and uses no chance, so the same ring always looks the same. What hangs together settles by
// itself; the pieces are then packed beside each other.

import { ACCOUNTS } from "./case.js";
import { joined, MOST_NODES } from "./flow.js";
import { extent } from "./labels.js";

const LENGTH = 76; // of an edge at rest, where many nodes share the page
const ROOMY = 170; // where few do: a node with its two lines is 60 high, an amount 60 wide
const MANY = 24;
const ROUNDS = 240;
const FIRST_STEP = 60;
const AIR = { x: 10, y: 6 }; // between a node with its name and another
const APART = 26; // between pieces
const PARTINGS = 160;
const CLEARINGS = 120;
const BERTH = 34; // from a line of money to a node that is not its end
const SHAPE = { wide: 2, narrow: 0.9 }; // width by height
const MOST_STRETCHED = 2.2;
const PLENTY = 170 * 150; // of room for a node, with its name and the amounts of its lines
const MOST_TIGHTENED = 0.55;
const GOLDEN = Math.PI * (3 - Math.sqrt(5));

/**
 * Draw the network of a case; see `drawFlow`. Stacks hold, by kind, what does not fit; `alone` is
 * how many identifiers are left out since only one account uses them.
 */
export function drawNetwork(found, plan) {
  const transfers = [...found.transfers.values()];
  const stands = new Map();
  const { kept, alone } = worthShowing(found);
  const nodes = chosen(found, kept, plan);
  for (const node of nodes) for (const key of node.keys) stands.set(key, node.key);
  const edges = joined(transfers, found.links, stands);
  settleAll(nodes, edges, plan);
  return {
    nodes: nodes.map((node) => ({ ...node, place: plan.places.get(node.key) })),
    edges,
    alone,
  };
}

/** All but identifiers that only one account uses: they tie nobody to anybody. */
function worthShowing(found) {
  const uses = new Map();
  for (const { identifier } of found.links) uses.set(identifier, (uses.get(identifier) ?? 0) + 1);
  const all = [...found.entities.values()];
  const kept = all.filter(
    ({ key, kind, member }) => member || ACCOUNTS.has(kind) || (uses.get(key) ?? 0) > 1,
  );
  return { kept, alone: all.length - kept.length };
}

function chosen(found, kept, plan) {
  const degree = new Map();
  const count = (key) => degree.set(key, (degree.get(key) ?? 0) + 1);
  for (const { source, target } of found.transfers.values()) (count(source), count(target));
  for (const { user, identifier } of found.links) (count(user), count(identifier));
  const ranked = kept.sort(
    (a, b) =>
      (b.kind === "outside") - (a.kind === "outside") || // two at most, and never in a stack
      plan.places.has(b.key) - plan.places.has(a.key) ||
      b.member - a.member ||
      (degree.get(b.key) ?? 0) - (degree.get(a.key) ?? 0) ||
      (a.key < b.key ? -1 : 1),
  );
  const single = (entity) => ({ ...entity, keys: [entity.key] });
  if (ranked.length <= MOST_NODES) return ranked.map(single);
  const kinds = new Set(ranked.map((entity) => entity.kind));
  const shown = ranked.slice(0, MOST_NODES - kinds.size);
  const rest = Map.groupBy
    ? Map.groupBy(ranked.slice(shown.length), (entity) => entity.kind)
    : byKind(ranked.slice(shown.length));
  return [
    ...shown.map(single),
    ...[...rest].map(([kind, of]) =>
      of.length === 1
        ? single(of[0])
        : {
            key: `stack:${kind}`,
            kind,
            id: "",
            role: null,
            member: false,
            stack: true,
            keys: of.map((entity) => entity.key),
          },
    ),
  ];
}

function byKind(entities) {
  const kinds = new Map();
  for (const entity of entities) {
    kinds.set(entity.kind, [...(kinds.get(entity.kind) ?? []), entity]);
  }
  return kinds;
}

/** Of an edge at rest: the fewer nodes, the longer. */
function lengthAmong(count) {
  return LENGTH + (ROOMY - LENGTH) * Math.max(0, Math.min(1, (MANY - count) / (MANY - 6)));
}

function settleAll(nodes, edges, { places, wide }) {
  const pinned = new Set(nodes.filter((node) => places.has(node.key)).map((node) => node.key));
  if (pinned.size === nodes.length) return;
  const pieces = piecesOf(nodes, edges, pinned);
  for (const piece of pieces) settlePiece(piece, nodes.length, { places, wide, pinned });
  pack(pieces, places, pinned, wide ? SHAPE.wide : SHAPE.narrow);
}

/** What hangs together, the largest first; what already has its place is one piece. */
function piecesOf(nodes, edges, pinned) {
  const leads = new Map(nodes.map(({ key }) => [key, key]));
  const lead = (key) => {
    while (leads.get(key) !== key) key = leads.get(key);
    return key;
  };
  const first = [...pinned][0];
  for (const key of pinned) leads.set(lead(key), lead(first));
  for (const { source, target } of edges) leads.set(lead(source), lead(target));
  const pieces = new Map();
  for (const node of nodes) {
    const key = lead(node.key);
    if (!pieces.has(key)) pieces.set(key, { nodes: [], edges: [] });
    pieces.get(key).nodes.push(node);
  }
  for (const edge of edges) pieces.get(lead(edge.source)).edges.push(edge);
  const there = ({ nodes: of }) => of.some(({ key }) => pinned.has(key));
  return [...pieces.values()].sort(
    (a, b) => there(b) - there(a) || b.nodes.length - a.nodes.length,
  );
}

function settlePiece({ nodes, edges }, among, { places, wide, pinned }) {
  const length = lengthAmong(among);
  const fixed = nodes.some(({ key }) => pinned.has(key));
  nodes.forEach((node, i) => {
    if (pinned.has(node.key)) return;
    const near = edges
      .filter((edge) => edge.source === node.key || edge.target === node.key)
      .map((edge) => places.get(edge.source === node.key ? edge.target : edge.source))
      .find((at) => at !== undefined) ?? { x: 0, y: 0 };
    const away = fixed ? length * 0.8 : length * 0.6 * Math.sqrt(i);
    places.set(node.key, {
      x: near.x + away * Math.cos(i * GOLDEN),
      y: near.y + away * Math.sin(i * GOLDEN),
    });
  });
  if (nodes.every(({ key }) => pinned.has(key))) return;
  for (let round = 0; round < ROUNDS; round++) {
    const push = new Map(nodes.map((node) => [node.key, { x: 0, y: 0 }]));
    repel(nodes, places, push, length);
    attract(edges, places, push, length);
    const step = FIRST_STEP * (1 - round / ROUNDS);
    for (const { key } of nodes) {
      if (pinned.has(key)) continue;
      const force = push.get(key);
      const size = Math.hypot(force.x, force.y) || 1;
      const at = places.get(key);
      at.x += (force.x / size) * Math.min(size, step);
      at.y += (force.y / size) * Math.min(size, step);
    }
  }
  if (!fixed) {
    stretch(nodes, places, wide ? SHAPE.wide : SHAPE.narrow);
    tighten(nodes, places);
  }
  const money = edges.filter((edge) => edge.kind === "witness");
  const rooms = new Map(nodes.map((node) => [node.key, extent(node)]));
  for (let round = 0; round < PARTINGS; round++) {
    if (round < CLEARINGS) clear(nodes, money, places, pinned);
    if (!part(nodes, rooms, places, pinned, wide) && round >= CLEARINGS) return;
  }
}

/** Put pieces beside the first, where the whole stays smallest in the shape of the page. */
function pack(pieces, places, pinned, shape) {
  const taken = [];
  for (const { nodes } of pieces) {
    const box = boundsOf(nodes, places);
    const free = nodes.every(({ key }) => !pinned.has(key));
    if (taken.length && free) {
      const [width, height] = [box.x2 - box.x1, box.y2 - box.y1];
      let best = null;
      for (const x of taken.flatMap((other) => [other.x1, other.x2 + APART])) {
        for (const y of taken.flatMap((other) => [other.y1, other.y2 + APART])) {
          const at = { x1: x, y1: y, x2: x + width, y2: y + height };
          if (taken.some((other) => near(at, other))) continue;
          const all = [...taken, at];
          const span = (low, high) =>
            Math.max(...all.map((each) => each[high])) - Math.min(...all.map((each) => each[low]));
          const [wide, high] = [span("x1", "x2"), span("y1", "y2")];
          const cost = Math.max(wide, high * shape) + 0.01 * (wide + high * shape);
          if (best === null || cost < best.cost) best = { at, cost };
        }
      }
      for (const { key } of nodes) {
        shift(places.get(key), best.at.x1 - box.x1, best.at.y1 - box.y1);
      }
      taken.push(best.at);
    } else taken.push(box);
  }
}

const near = (a, b) =>
  a.x1 < b.x2 + APART && b.x1 < a.x2 + APART && a.y1 < b.y2 + APART && b.y1 < a.y2 + APART;

function boundsOf(nodes, places) {
  const boxes = nodes.map((node) => {
    const { x, y } = places.get(node.key);
    const { left, right, up, down } = extent(node);
    return { x1: x - left, x2: x + right, y1: y - up, y2: y + down };
  });
  return {
    x1: Math.min(...boxes.map((box) => box.x1)),
    x2: Math.max(...boxes.map((box) => box.x2)),
    y1: Math.min(...boxes.map((box) => box.y1)),
    y2: Math.max(...boxes.map((box) => box.y2)),
  };
}

/** Springs settle into a round; the page is not. */
function stretch(nodes, places, shape) {
  const all = nodes.map(({ key }) => places.get(key));
  const span = (axis) => {
    const along = all.map((at) => at[axis]);
    return Math.max(1, Math.max(...along) - Math.min(...along));
  };
  const factor = (shape * span("y")) / span("x");
  for (const at of all) {
    if (factor > 1) at.x *= Math.min(MOST_STRETCHED, factor);
    else at.y *= Math.min(MOST_STRETCHED, 1 / factor);
  }
}

/** Springs leave more air than names and amounts need: it would cost the size of the letters. */
function tighten(nodes, places) {
  const { x1, x2, y1, y2 } = boundsOf(nodes, places);
  const factor = Math.sqrt((nodes.length * PLENTY) / ((x2 - x1) * (y2 - y1)));
  if (factor >= 1) return;
  for (const { key } of nodes) {
    const at = places.get(key);
    at.x *= Math.max(factor, MOST_TIGHTENED);
    at.y *= Math.max(factor, MOST_TIGHTENED);
  }
}

/** Move apart what would lie on each other's names, to the side that the page has room on. */
function part(nodes, rooms, places, pinned, wide) {
  let moved = false;
  for (let i = 0; i < nodes.length; i++) {
    for (let j = i + 1; j < nodes.length; j++) {
      const free = [nodes[i], nodes[j]].map(({ key }) => !pinned.has(key));
      const [a, b] = [places.get(nodes[i].key), places.get(nodes[j].key)];
      const [one, other] = [rooms.get(nodes[i].key), rooms.get(nodes[j].key)];
      const high = a.y < b.y ? one.down + other.up : other.down + one.up;
      const x = one.left + other.left + AIR.x - Math.abs(a.x - b.x);
      const y = high + AIR.y - Math.abs(a.y - b.y);
      if (x <= 0.5 || y <= 0.5 || !(free[0] || free[1])) continue;
      const axis = x < y * (wide ? SHAPE.wide : 1) ? "x" : "y";
      const way = (axis === "x" ? x : y) * (a[axis] < b[axis] ? -1 : 1);
      const share = free[0] && free[1] ? 0.5 : 1;
      if (free[0]) a[axis] += way * share;
      if (free[1]) b[axis] -= way * share;
      moved = true;
    }
  }
  return moved;
}

/** Move aside who stands on a line of the ring's money without being its end. */
function clear(nodes, money, places, pinned) {
  for (const { key } of nodes) {
    if (pinned.has(key)) continue;
    const at = places.get(key);
    for (const { source, target } of money) {
      if (key === source || key === target) continue;
      const [a, b] = [places.get(source), places.get(target)];
      const [dx, dy] = [b.x - a.x, b.y - a.y];
      const length = Math.hypot(dx, dy) || 1;
      const along = ((at.x - a.x) * dx + (at.y - a.y) * dy) / length;
      const off = ((at.x - a.x) * dy - (at.y - a.y) * dx) / length;
      if (along <= 0 || along >= length || Math.abs(off) >= BERTH) continue;
      const push = (BERTH - Math.abs(off)) * (off < 0 ? -0.5 : 0.5);
      shift(at, (dy / length) * push, (-dx / length) * push);
    }
  }
}

function repel(nodes, places, push, length) {
  for (let i = 0; i < nodes.length; i++) {
    for (let j = i + 1; j < nodes.length; j++) {
      const [a, b] = [places.get(nodes[i].key), places.get(nodes[j].key)];
      const [dx, dy] = [a.x - b.x, a.y - b.y];
      const distance = Math.max(Math.hypot(dx, dy), 1);
      const force = length ** 2 / distance ** 2;
      shift(push.get(nodes[i].key), dx * force, dy * force);
      shift(push.get(nodes[j].key), -dx * force, -dy * force);
    }
  }
  for (const { key } of nodes) {
    const at = places.get(key);
    // The page is wider than high, so the drawing is, too.
    shift(push.get(key), -at.x * 0.06, -at.y * 0.3);
  }
}

function attract(edges, places, push, length) {
  for (const { source, target } of edges) {
    const [a, b] = [places.get(source), places.get(target)];
    const [dx, dy] = [b.x - a.x, b.y - a.y];
    const force = Math.hypot(dx, dy) / length;
    shift(push.get(source), dx * force, dy * force);
    shift(push.get(target), -dx * force, -dy * force);
  }
}

function shift(force, x, y) {
  force.x += x;
  force.y += y;
}
