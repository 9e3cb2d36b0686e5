// Nodes and edges between their three tellings: as `drawFlow` and `drawNetwork` give them, as
// Cytoscape holds them, and as `labels.js` asks for them once they are drawn.

import { gapOf, halfOf, lineOf, nameOf, radiusOf, SIDES, shorterOf, weightOf } from "./labels.js";
import { briefMoney } from "./text.js";

const SHAPES = {
  user: "ellipse",
  merchant: "round-rectangle",
  device: "round-hexagon",
  card: "cut-rectangle",
  ip: "round-diamond",
  outside: "round-octagon",
};
const MOST_AMOUNTS = 24;
const WEIGHT = { witness: 2, money: 1, shared: 0.5 }; // of a line that a label would cover
export const BEFORE = 2; // px between the head of a line and its node
const MOST_SHORTENED = 0.45; // of a line between the middles of its nodes

/** A node as Cytoscape takes it; its name is fitted once it has its place. */
export function nodeOf(node) {
  return {
    group: "nodes",
    data: {
      id: node.key,
      kind: node.kind,
      role: node.role ?? "none",
      shape: SHAPES[node.kind],
      icon: `icons/${node.kind}.svg`,
      member: node.member ? 1 : 0,
      paid: node.paid ? 1 : 0,
      stack: node.stack ? 1 : 0,
      keys: node.keys,
      text: nameOf(node, node.most),
      fitting: "",
      shown: "",
      shorter: shorterOf(node),
      side: "bottom",
      ...STANDS.get("bottom"),
    },
    position: { ...node.place },
  };
}

/** How Cytoscape is told where a label stands. */
export const STANDS = new Map(
  SIDES.map(({ side, across, down }) => [
    side,
    {
      side,
      across: ["left", "center", "right"][across + 1],
      down: ["top", "center", "bottom"][down + 1],
      aside: across * gapOf({ across, down }),
      below: down * gapOf({ across, down }),
    },
  ]),
);

/** A node as `labels.js` asks for it. */
export const standing = (node) => ({
  key: node.id(),
  ...node.position(),
  radius: radiusOf(node.data()),
  half: halfOf(node.data()),
  weight: weightOf(node.data()),
  text: node.data("text"),
  shorter: node.data("shorter"),
  dear: node.data("member") || node.data("paid") ? 1 : 0,
});

/** An edge as it is drawn: from border to border. */
export function lineAsDrawn(edge) {
  const [a, b] = [edge.source().position(), edge.target().position()];
  // Cytoscape ends a line no earlier than at its middle.
  const spare = MOST_SHORTENED * Math.hypot(a.x - b.x, a.y - b.y) - edge.data("before");
  return {
    ...lineOf({
      key: edge.id(),
      target: edge.target().id(),
      weight: WEIGHT[edge.data("kind")],
      head: edge.data("kind") !== "shared",
      text: edge.data("text"),
      spare: spare - radiusOf(edge.target().data()),
      from: edge.sourceEndpoint(),
      bow: edge.controlPoints()?.[0],
      to: edge.targetEndpoint(),
    }),
    minor: edge.data("minor"),
  };
}

/** Edges as Cytoscape takes them: how far one bows out depends on the places of the nodes. */
export function edgesOf(edges, nodes) {
  const at = new Map(nodes.map((node) => [node.key, node.place]));
  const there = new Set(edges.map((edge) => `${edge.source} ${edge.target}`));
  // Among many amounts none can be read: the largest are written, the others when brought out.
  const large = new Set(
    edges
      .filter(({ kind }) => kind === "witness")
      .sort((a, b) => b.minor - a.minor || (a.key < b.key ? -1 : 1))
      .slice(0, MOST_AMOUNTS),
  );
  const largest = Math.max(1, ...edges.map((edge) => edge.minor));
  return edges.map((edge) => {
    const amount = edge.transfers.length === 0 ? "" : briefMoney(edge.minor, edge.currency);
    const text = edge.transfers.length > 1 ? `${edge.transfers.length} × · ${amount}` : amount;
    return {
      group: "edges",
      data: {
        id: edge.key,
        source: edge.source,
        target: edge.target,
        kind: edge.kind,
        transfers: edge.transfers,
        minor: edge.minor,
        amount: text,
        text,
        large: large.has(edge) ? 1 : 0,
        flows: edge.flows ? 1 : 0,
        written: 0,
        up: 0,
        short: 0,
        before: BEFORE,
        aside: 0,
        below: 0,
        width: edge.kind === "witness" ? 1.75 + 2.25 * Math.sqrt(edge.minor / largest) : 1.25,
        bend: edge.flows
          ? bend(at.get(edge.source), at.get(edge.target), edge.flows)
          : there.has(`${edge.target} ${edge.source}`)
            ? 16
            : 0,
      },
    };
  });
}

/** How far an edge bows out: hardly to the next column, over the top where money comes home. */
function bend(from, to, way) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const [on, off] = way === "down" ? [dy, dx] : [dx, dy];
  if (on <= 0) return 44 + Math.abs(on) * 0.12; // over the top, seen from right to left
  return on > (way === "down" ? 200 : 300) && Math.abs(off) < 40 ? 44 + on * 0.05 : 0; // beside what stands in between
}
