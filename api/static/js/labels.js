// Where labels and amounts can be read, and arrow heads be seen beside them.
//
// A label stands on the side of its node where it covers no arrow head, and little else. It keeps
// the side it had unless another is clearly better, so that nothing hops about when a ring grows.

const LETTER = 7.4; // width of a letter of 13 px
const BOLD = 8.4; // of a bold one
const LINE = 16;
const GAP = 4;
const TUCKED = -5;
const HEAD = 6; // half of an arrow head, and what the eye needs around it
const SWEEPS = 3;
const STEPS = 8; // points by which a bent line is known
const COST = { head: 12, node: 12, label: 9, amount: 10, line: 1 }; // of covering one
const KEPT = 1.5; // what staying on a side is worth

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

/**
 * What can be read of a drawing.
 *
 * @param {object[]} nodes `key`, `x`, `y`, `radius`, `text` of the label and whether it is `bold`
 * @param {object[]} edges `key`, `source`, `target`, `bend`, `weight` (how much it matters), whether
 *   it has a `head`, and the `text` for its middle; those that matter most first
 * @param {Map} kept sides by key as they were
 * @returns {{sides: Map, written: Set, short: Set}} for each node one of `SIDES`; the edges whose
 *   text has room; those whose head would lie under the label of its node and ends before it
 */
export function readable(nodes, edges, kept = new Map()) {
  const at = new Map(nodes.map((node) => [node.key, node]));
  const lines = edges.map((edge) => lineOf(edge, at.get(edge.source), at.get(edge.target)));
  write(lines, nodes);
  const { sides, boxes } = sidesOf(nodes, lines, kept);
  const keys = (wanted) => new Set(lines.filter(wanted).map((line) => line.key));
  return {
    sides,
    written: keys(({ amount }) => amount && ![...boxes.values()].some((box) => meet(amount, box))),
    short: keys((line) => line.head && meet(line.head, boxes.get(line.target))),
  };
}

/** Leave out amounts that would hide their own line's head, a node, or an amount that matters more. */
function write(lines, nodes) {
  const taken = [];
  for (const line of lines) {
    const box = line.amount;
    if (!box) continue;
    const hidden =
      !line.roomy ||
      taken.some((other) => meet(box, other)) ||
      nodes.some((node) => meet(box, square(node, node.radius * 0.8)));
    if (hidden) line.amount = null;
    else taken.push(box);
  }
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
  return { sides, boxes };
}

function covered(node, box, nodes, boxes, lines) {
  let sum = 0;
  for (const other of nodes) {
    if (other === node) continue;
    if (meet(box, square(other, other.radius))) sum += COST.node;
    if (meet(box, boxes.get(other.key))) sum += COST.label;
  }
  for (const line of lines) {
    if (line.head && meet(box, line.head)) sum += COST.head * line.weight;
    if (line.amount && meet(box, line.amount)) sum += COST.amount;
    if (line.points.some((point, i) => i > 0 && crosses(box, line.points[i - 1], point))) {
      sum += COST.line * line.weight;
    }
  }
  return sum;
}

function lineOf(edge, from, to) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = Math.hypot(dx, dy) || 1;
  const bow = {
    x: (from.x + to.x) / 2 - (dy / length) * edge.bend,
    y: (from.y + to.y) / 2 + (dx / length) * edge.bend,
  };
  const steps = edge.bend ? STEPS : 1;
  const points = Array.from({ length: steps + 1 }, (_, i) => onCurve(from, bow, to, i / steps));
  const back = Math.hypot(bow.x - to.x, bow.y - to.y) || 1;
  const tip = {
    x: to.x + ((bow.x - to.x) / back) * (to.radius + HEAD),
    y: to.y + ((bow.y - to.y) / back) * (to.radius + HEAD),
  };
  const middle = onCurve(from, bow, to, 0.5);
  const { width, height } = sizeOf(edge.text, true);
  const along = length * Math.min(width / Math.abs(dx || 1e-9), height / Math.abs(dy || 1e-9));
  return {
    key: edge.key,
    target: edge.target,
    points,
    weight: edge.weight,
    roomy: length - from.radius - to.radius - along >= 6 * HEAD,
    head: edge.head ? square(tip, HEAD) : null,
    amount: edge.text ? around(middle.x, middle.y, width, height) : null,
  };
}

function onCurve(from, bow, to, t) {
  const [a, b, c] = [(1 - t) ** 2, 2 * t * (1 - t), t ** 2];
  return { x: a * from.x + b * bow.x + c * to.x, y: a * from.y + b * bow.y + c * to.y };
}

function sizeOf(text, bold) {
  const lines = text.split("\n");
  const letters = Math.max(...lines.map((line) => [...line].length));
  return { width: letters * (bold ? BOLD : LETTER), height: lines.length * LINE };
}

function boxOf(node, side) {
  const { width, height } = sizeOf(node.text, node.bold);
  const stands = PLACES.get(side);
  const off = node.radius + gapOf(stands);
  const x = node.x + stands.across * (off + width / 2);
  const y = node.y + stands.down * (off + height / 2);
  return around(x, y, width, height);
}

const around = (x, y, width, height) => ({
  x1: x - width / 2,
  x2: x + width / 2,
  y1: y - height / 2,
  y2: y + height / 2,
});
const square = ({ x, y }, half) => around(x, y, 2 * half, 2 * half);
const meet = (a, b) => a.x1 < b.x2 && b.x1 < a.x2 && a.y1 < b.y2 && b.y1 < a.y2;

/** Whether the line from one point to another goes through a box. */
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
