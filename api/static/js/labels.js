// Where names and amounts can be read, and arrow heads be seen beside them.
//
// A name stands on the side of its node where it covers no arrow head, and little else. It keeps
// the side it had unless another is clearly better, so that nothing hops about when a ring grows.
// No two texts lie on each other: an amount gives way to a name, the name of somebody around the
// ring to a member's, first by an ellipsis and then by being left out.

import { room } from "./lettering.js";
import { shortened, words } from "./text.js";

const GAP = 4;
const TUCKED = -5;
const HEAD = 6; // half of an arrow head, and what the eye needs around it
const AIR = 1; // between two texts
const PADDING = 3; // around an amount
const SWEEPS = 3;
const STEPS = 8; // points by which a bent line is known
const WALK = 60; // steps along a line that leads out from under a name
const COST = { head: 12, node: 12, label: 9, line: 1 }; // of covering one
const KEPT = 1.5; // what staying on a side is worth
const SHORTER = [13, 9, 7]; // letters of a name that has too little room
const ALONG = [0.5, 0.42, 0.58, 0.35, 0.65, 0.28, 0.72]; // where on a line an amount may stand

/** Where a label may stand, across and down from its node. Below is where the eye looks first. */
export const SIDES = [
  { side: "bottom", across: 0, down: 1, cost: 0 },
  { side: "right", across: 1, down: 0, cost: 0.4 },
  { side: "left", across: -1, down: 0, cost: 0.6 },
  { side: "top", across: 0, down: -1, cost: 0.8 },
  { side: "bottom right", across: 1, down: 1, cost: 1 },
  { side: "bottom left", across: -1, down: 1, cost: 1.1 },
  { side: "top right", across: 1, down: -1, cost: 1.2 },
  { side: "top left", across: -1, down: -1, cost: 1.3 },
];
const PLACES = new Map(SIDES.map((each) => [each.side, each]));

/** How far from its node's edge a label stands, along each axis: at a corner it moves in. */
export const gapOf = ({ across, down }) => (across && down ? TUCKED : GAP);

export const AMOUNT_WEIGHT = 600;

/** Of a node with its border. */
export const radiusOf = (node) => (node.member || node.paid ? 22 : 17);

/** How far from its middle a node's shape reaches, which is where its name's place begins. */
export function halfOf(node) {
  if (!node.member && !node.paid) return { across: 15, down: 15 };
  return ["device", "card", "ip"].includes(node.kind)
    ? { across: 18, down: 17 }
    : { across: 19, down: 19 };
}

/** How bold a node's name is. */
export const weightOf = (node) => (node.stack ? 600 : node.member || node.paid ? 500 : 400);

/** What is written at a node, of an id at most `most` letters. */
export function nameOf(node, most = 18) {
  const role = node.role === null || node.role === "shared" ? "" : words(node.role);
  const plural = { ip: "addresses" }[node.kind] ?? `${node.kind}s`;
  const stacked = node.whole
    ? `${node.keys.length} ${plural}`
    : `+${node.keys.length} more ${plural}`;
  const name = node.stack ? stacked : shortened(node.id, most);
  return role && (!node.stack || node.whole) ? `${name}\n${role}` : name;
}

/** The room that a node and the name below it take, from its middle. */
export function extent(node, most) {
  const radius = radiusOf(node);
  const { width, height } = room(nameOf(node, most), weightOf(node));
  const half = Math.max(radius, width / 2);
  return { left: half, right: half, up: radius, down: radius + GAP + height };
}

/**
 * On which side of its node each name stands, and how it is written there.
 *
 * @param {object[]} nodes `key`, `x`, `y`, `radius`, `half` of its shape, `text` and `weight` of the
 *   name, how it may be written `shorter`, and whether it is `dear`: others' names give way to it
 * @param {object[]} lines what `lineOf` gives
 * @param {Map} kept sides by key as they were
 * @returns {Map} {side, text, box} by key, an empty text where there is no room
 */
export function named(nodes, lines, kept = new Map()) {
  const sides = sidesOf(nodes, lines, kept);
  const names = new Map();
  const taken = [];
  for (const node of [...nodes].sort((a, b) => b.dear - a.dear)) {
    const name = fitting(node, sides.get(node.key), nodes, lines, taken);
    names.set(node.key, name);
    if (name.text) taken.push(name.box);
  }
  return names;
}

/** Of lines whose head lies under the name of their node: by key, how much before it they must end. */
export function tooLong(lines, names) {
  const over = new Map();
  for (const line of lines) {
    const { text, box } = names.get(line.target);
    if (line.head && text && meet(line.head, box)) over.set(line.key, wayOut(line, box));
  }
  return over;
}

/** How far before its end a line comes out from under a box. */
function wayOut(line, box) {
  const clear = grown(box, AIR);
  const tip = line.at(1);
  let off = HEAD / 2; // beside the line, but under its head
  for (let step = 0; step < WALK; step++) {
    const { x, y } = line.at(1 - step / WALK);
    const inside = x > clear.x1 && x < clear.x2 && y > clear.y1 && y < clear.y2;
    if (inside) {
      const next = line.at(1 - (step + 1) / WALK);
      off = Math.hypot(next.x - tip.x, next.y - tip.y);
    }
  }
  return off;
}

/** A name where it hides nothing: on its side, else on another, else shorter, else nowhere. */
function fitting(node, side, nodes, lines, taken) {
  const first = PLACES.get(side);
  const places = [first, ...SIDES.filter((each) => each !== first)];
  const free = (box) =>
    !taken.some((other) => meet(grown(box, AIR), other)) &&
    !nodes.some((other) => other !== node && meet(box, square(other, other.radius))) &&
    !lines.some((line) => line.head && meet(box, line.head) && !givesWay(line, node, box));
  for (const text of [node.text, ...node.shorter]) {
    for (const place of places) {
      const box = boxOf({ ...node, text }, place.side);
      if (free(box)) return { side: place.side, text, box };
    }
  }
  return { side, text: "", box: boxOf({ ...node, text: "" }, side) };
}

/** Whether a line may end before the name of its node: some of it must be left to see. */
const givesWay = (line, node, box) =>
  line.target === node.key && wayOut(line, box) < line.spare;

/** How a name may be cut short, longest first. */
export function shorterOf(node) {
  if (node.stack) return [];
  const whole = nameOf(node);
  const cut = SHORTER.map((most) => nameOf(node, most));
  const bare = cut.map((text) => text.split("\n")[0]); // its colour says the role, too
  return [...new Set([...cut, ...bare])].filter((text) => text !== whole);
}

/**
 * Where amounts stand on their lines: {x, y, box} by key, x and y of the middle, for those that hide no node, no
 * name, no head and no other amount. `lines` with `text`, those that matter most first; with `must`
 * all are written, each where it hides least.
 */
export function written(lines, nodes, names, { must = false, all = lines } = {}) {
  const blocked = [
    ...nodes.map((node) => square(node, node.radius)),
    ...names.map((box) => grown(box, AIR)),
    ...all.flatMap(({ head }) => (head ? [head] : [])),
  ];
  const taken = [];
  const places = new Map();
  for (const line of lines) {
    const { width, height } = room(line.text, AMOUNT_WEIGHT);
    let best = null;
    for (const [i, t] of ALONG.entries()) {
      const at = line.at(t);
      const box = around(at.x, at.y, width + 2 * PADDING, height + 2 * PADDING);
      const hidden = [...blocked, ...taken].filter((other) => meet(box, other)).length;
      const crossed = all.filter((other) => other !== line && cuts(other, box)).length;
      const cost = 100 * hidden + crossed + 0.4 * i;
      if (best === null || cost < best.cost) best = { at, box, cost, hidden };
    }
    if (best.hidden && !must) continue;
    taken.push(best.box);
    places.set(line.key, { ...best.at, box: best.box });
  }
  return places;
}

/** How far up each line is drawn, by key: the more strike its amount through, the higher; the more
 * it would strike through itself, the lower. */
export function heights(lines, places) {
  const up = new Map(lines.map(({ key }) => [key, 0]));
  for (const [key, { box }] of places) {
    for (const other of lines) {
      if (other.key === key || !cuts(other, box)) continue;
      up.set(key, up.get(key) + 1);
      up.set(other.key, up.get(other.key) - 1);
    }
  }
  return up;
}

function sidesOf(nodes, lines, kept) {
  const sides = new Map(nodes.map((node) => [node.key, kept.get(node.key) ?? "bottom"]));
  const boxes = new Map(nodes.map((node) => [node.key, boxOf(node, sides.get(node.key))]));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    let moved = false;
    for (const node of nodes) {
      let best = null;
      for (const { side, cost } of SIDES) {
        const box = boxOf(node, side);
        const sum = cost - (kept.get(node.key) === side ? KEPT : 0);
        const whole = sum + covered(node, box, nodes, boxes, lines);
        if (best === null || whole < best.whole) best = { side, box, whole };
      }
      if (best.side === sides.get(node.key)) continue;
      sides.set(node.key, best.side);
      boxes.set(node.key, best.box);
      moved = true;
    }
    if (!moved) break;
  }
  return sides;
}

function covered(node, box, nodes, boxes, lines) {
  let sum = 0;
  for (const other of nodes) {
    if (other === node) continue;
    if (meet(box, square(other, other.radius))) sum += COST.node;
    if (meet(grown(box, AIR), boxes.get(other.key))) sum += COST.label;
  }
  for (const line of lines) {
    if (line.head && meet(box, line.head)) sum += COST.head * line.weight;
    if (cuts(line, box)) sum += COST.line * line.weight;
  }
  return sum;
}

/** A line from where it starts to where it ends, by way of `bow` if it is bent; `spare` is how much
 * earlier it may end. */
export function lineOf({ key, target, weight, head, text, spare, from, bow, to }) {
  const at = (t) => (bow ? onCurve(from, bow, to, t) : between(from, to, t));
  const steps = bow ? STEPS : 1;
  const before = bow ?? from;
  const back = Math.hypot(before.x - to.x, before.y - to.y) || 1;
  const middle = {
    x: to.x + ((before.x - to.x) / back) * HEAD,
    y: to.y + ((before.y - to.y) / back) * HEAD,
  };
  return {
    key,
    target,
    weight,
    text,
    at,
    spare,
    points: Array.from({ length: steps + 1 }, (_, i) => at(i / steps)),
    head: head ? square(middle, HEAD) : null,
  };
}

function onCurve(from, bow, to, t) {
  const [a, b, c] = [(1 - t) ** 2, 2 * t * (1 - t), t ** 2];
  return { x: a * from.x + b * bow.x + c * to.x, y: a * from.y + b * bow.y + c * to.y };
}

const between = (from, to, t) => ({
  x: from.x + (to.x - from.x) * t,
  y: from.y + (to.y - from.y) * t,
});

function boxOf(node, side) {
  const { width, height } = room(node.text, node.weight);
  const stands = PLACES.get(side);
  const gap = gapOf(stands);
  const x = node.x + stands.across * (node.half.across + gap + width / 2);
  const y = node.y + stands.down * (node.half.down + gap + height / 2);
  return around(x, y, width, height);
}

const around = (x, y, width, height) => ({
  x1: x - width / 2,
  x2: x + width / 2,
  y1: y - height / 2,
  y2: y + height / 2,
});
const square = ({ x, y }, half) => around(x, y, 2 * half, 2 * half);
const grown = ({ x1, x2, y1, y2 }, by) => ({
  x1: x1 - by,
  x2: x2 + by,
  y1: y1 - by,
  y2: y2 + by,
});
const meet = (a, b) => a.x1 < b.x2 && b.x1 < a.x2 && a.y1 < b.y2 && b.y1 < a.y2;

/** Whether a line goes through a box. */
const cuts = ({ points }, box) =>
  points.some((point, i) => i > 0 && crosses(box, points[i - 1], point));

function crosses(box, from, to) {
  let [enter, leave] = [0, 1];
  for (const [start, way, low, high] of [
    [from.x, to.x - from.x, box.x1, box.x2],
    [from.y, to.y - from.y, box.y1, box.y2],
  ]) {
    if (way === 0) {
      if (start < low || start > high) return false;
      continue;
    }
    const [one, other] = [(low - start) / way, (high - start) / way];
    enter = Math.max(enter, Math.min(one, other));
    leave = Math.min(leave, Math.max(one, other));
  }
  return enter <= leave;
}
