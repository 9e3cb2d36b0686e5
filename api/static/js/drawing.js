// The canvas: what `drawFlow` or `drawNetwork` say, drawn by Cytoscape, never rearranged by it.

import cytoscape from "../vendor/cytoscape.esm.min.mjs";
import { gapOf, readable, SIDES } from "./labels.js";
import { briefMoney, shortened, words } from "./text.js";

const SHAPES = {
  user: "ellipse",
  merchant: "round-rectangle",
  device: "round-hexagon",
  card: "cut-rectangle",
  ip: "round-diamond",
  outside: "round-octagon",
};
const MARGIN = 20;
const LARGEST = 1.15; // a small ring is not blown up
const MOST_AMOUNTS = 24;
const RADIUS = { member: 22, other: 17 }; // of a node with its border
const WEIGHT = { witness: 2, money: 1, shared: 0.5 }; // of a line that a label would cover
const FRESH_MS = 2_400;

/** A drawing in an element. `on.entity`, `on.edge` and `on.stack` are told what was clicked. */
export class Drawing {
  #on;
  #drawn = null; // identifies the ring and view on the canvas
  #moved = false; // the investigator chose the view: it is not changed under them
  #focus = null;
  #sides = new Map(); // on which side of its node each label stands

  constructor(container, on) {
    this.#on = on;
    this.cy = cytoscape({
      container,
      elements: [],
      minZoom: 0.2,
      maxZoom: 3,
      userZoomingEnabled: false, // the wheel scrolls the page; there are buttons
      boxSelectionEnabled: false,
      selectionType: "single",
      style: styles(),
    });
    this.cy.on("tap", "node", ({ target }) =>
      target.data("stack") ? on.stack(target.id()) : on.entity(target.id()),
    );
    this.cy.on("tap", "edge", ({ target }) => on.edge(target.data("transfers")));
    this.cy.on("tap", (event) => event.target === this.cy && on.nothing());
    this.cy.on("dragfree", "node", ({ target }) => on.moved(target.id(), { ...target.position() }));
    this.cy.on("dragpan", () => (this.#moved = true));
    this.cy.on("mouseover", "node, edge", () => container.classList.add("over"));
    this.cy.on("mouseout", "node, edge", () => container.classList.remove("over"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
      this.cy.style(styles()),
    );
    new ResizeObserver(() => {
      this.cy.resize();
      if (!this.#moved) this.fit();
    }).observe(container);
  }

  /** Show nodes and edges. `name` says of what: with the same name, what is there stays there. */
  show(name, { nodes, edges }) {
    const same = name === this.#drawn;
    const wanted = new Map(
      [...nodes.map(nodeOf), ...edgesOf(edges, nodes)].map((e) => [e.data.id, e]),
    );
    if (!same) this.#sides = new Map();
    this.#sides = arranged([...wanted.values()], this.#sides);
    const fresh = [];
    this.cy.batch(() => {
      if (!same) this.cy.elements().remove();
      for (const there of this.cy.elements().toArray()) if (!wanted.has(there.id())) there.remove();
      for (const [id, wish] of wanted) {
        const there = this.cy.getElementById(id);
        if (there.nonempty()) there.data(wish.data);
        else fresh.push(this.cy.add(wish));
      }
    });
    this.#drawn = name;
    if (same && fresh.length) {
      for (const element of fresh) element.addClass("fresh");
      setTimeout(() => fresh.forEach((element) => element.removeClass("fresh")), FRESH_MS);
      if (!this.#moved && !this.#inSight()) this.fit();
    }
    if (!same) {
      this.#moved = false;
      this.fit();
    }
    this.highlight(this.#focus);
  }

  /** Bring out entities and transactions, number the transactions in order; null brings out all. */
  highlight(focus) {
    this.#focus = focus;
    this.cy.batch(() => {
      this.cy.elements().removeClass("dim bright");
      this.cy.edges().forEach((edge) => edge.data("text", edge.data("amount")));
      if (focus === null) return;
      const edges = this.cy
        .edges()
        .filter((edge) => edge.data("transfers").some((id) => focus.transactions.has(id)));
      const between = this.cy
        .edges('[kind = "shared"]')
        .filter(
          (edge) =>
            [...focus.entities].length > 1 &&
            meets(edge.source(), focus) &&
            meets(edge.target(), focus),
        );
      const nodes = this.cy.nodes().filter((node) => meets(node, focus));
      const bright = edges.union(between).union(nodes).union(edges.connectedNodes());
      if (bright.empty()) return;
      this.cy.elements().difference(bright).addClass("dim");
      bright.addClass("bright");
      if (focus.ordered) edges.forEach((edge) => edge.data("text", numbered(edge, focus.ordered)));
    });
  }

  /** Show all of it. */
  fit() {
    if (this.cy.elements().empty() || this.cy.width() === 0) return;
    this.cy.fit(undefined, MARGIN);
    if (this.cy.zoom() > LARGEST) {
      this.cy.zoom(LARGEST);
      this.cy.center();
    }
  }

  /** Larger or smaller, around the middle. */
  zoom(factor) {
    this.#moved = true;
    const middle = { x: this.cy.width() / 2, y: this.cy.height() / 2 };
    this.cy.zoom({ level: this.cy.zoom() * factor, renderedPosition: middle });
  }

  /** Let the next growth fit again, and fit now. */
  whole() {
    this.#moved = false;
    this.fit();
  }

  #inSight() {
    const box = this.cy.elements().renderedBoundingBox();
    return box.x1 >= 0 && box.y1 >= 0 && box.x2 <= this.cy.width() && box.y2 <= this.cy.height();
  }
}

const meets = (node, focus) => node.data("keys").some((key) => focus.entities.has(key));

function numbered(edge, order) {
  const ranks = edge
    .data("transfers")
    .map((id) => order.indexOf(id) + 1)
    .filter((n) => n > 0);
  if (!ranks.length) return edge.data("amount");
  const shown = ranks.length > 3 ? `${ranks[0]}…${ranks.at(-1)}` : ranks.join(",");
  return `${shown} · ${edge.data("amount")}`;
}

function nodeOf(node) {
  const role = node.role === null || node.role === "shared" ? "" : words(node.role);
  const plural = { ip: "addresses" }[node.kind] ?? `${node.kind}s`;
  const stacked = node.whole
    ? `${node.keys.length} ${plural}`
    : `+${node.keys.length} more ${plural}`;
  const name = node.stack ? stacked : shortened(node.id);
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
      text: role && (!node.stack || node.whole) ? `${name}\n${role}` : name,
    },
    position: { ...node.place },
  };
}

/** How Cytoscape is told where a label stands. */
const STANDS = new Map(
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

const placed = ({ data, position }) => ({
  key: data.id,
  ...position,
  radius: data.member || data.paid ? RADIUS.member : RADIUS.other,
  text: data.text,
  bold: data.stack === 1,
});

/** Say of each element where its text stands; gives the sides of the nodes' labels. */
function arranged(elements, kept) {
  const nodes = elements.filter(({ group }) => group === "nodes");
  const edges = elements.filter(({ group }) => group === "edges");
  const lines = edges
    .map(({ data }) => ({
      ...data,
      key: data.id,
      weight: WEIGHT[data.kind],
      head: data.kind !== "shared",
      text: data.kind === "witness" && data.written ? data.text : "",
    }))
    .sort((a, b) => b.minor - a.minor || (a.key < b.key ? -1 : 1));
  const { sides, written, short } = readable(nodes.map(placed), lines, kept);
  for (const { data } of nodes) Object.assign(data, STANDS.get(sides.get(data.id)));
  for (const { data } of edges) {
    data.written = written.has(data.id) ? 1 : 0;
    data.short = short.has(data.id) ? 1 : 0;
  }
  return sides;
}

function edgesOf(edges, nodes) {
  const at = new Map(nodes.map((node) => [node.key, node.place]));
  const there = new Set(edges.map((edge) => `${edge.source} ${edge.target}`));
  // Among many amounts none can be read: the largest are written, the others when brought out.
  const written = new Set(
    [...edges].sort((a, b) => b.minor - a.minor || (a.key < b.key ? -1 : 1)).slice(0, MOST_AMOUNTS),
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
        written: written.has(edge) ? 1 : 0,
        width: edge.kind === "witness" ? 1.75 + 2.25 * Math.sqrt(edge.minor / largest) : 1.25,
        bend: edge.flows
          ? bend(at.get(edge.source), at.get(edge.target))
          : there.has(`${edge.target} ${edge.source}`)
            ? 16
            : 0,
      },
    };
  });
}

/** How far an edge bows out: hardly to the next column, over the top where money comes home. */
function bend(from, to) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  if (dx <= 0) return 44 + Math.abs(dx) * 0.12; // over the top, seen from right to left
  return dx > 300 && Math.abs(dy) < 40 ? 44 + dx * 0.05 : 0; // below what stands in between
}

function styles() {
  const look = getComputedStyle(document.documentElement);
  const colour = (name) => look.getPropertyValue(`--${name}`).trim();
  const font = look.getPropertyValue("--font").trim();
  const roles = [
    "victim",
    "sender",
    "mule",
    "controller",
    "cash_out",
    "receiver",
    "member",
    "shared",
    "none",
  ];
  return [
    {
      selector: "node",
      style: {
        shape: "data(shape)",
        width: 38,
        height: 38,
        "background-color": colour("role-none"),
        "background-image": "data(icon)",
        "background-width": 18,
        "background-height": 18,
        "background-clip": "none",
        "background-image-containment": "over",
        "border-width": 3,
        "border-color": colour("panel"),
        "border-opacity": 1,
        label: "data(text)",
        "text-wrap": "wrap",
        "text-max-width": 200,
        "line-height": 1.2,
        "text-halign": "data(across)",
        "text-valign": "data(down)",
        "text-margin-x": "data(aside)",
        "text-margin-y": "data(below)",
        color: colour("text"),
        "font-family": font,
        "font-size": 13,
        "font-weight": 500,
        "min-zoomed-font-size": 5,
        "text-outline-color": colour("canvas"), // a halo: it hides less than a box
        "text-outline-width": 2.5,
        "overlay-opacity": 0,
        "transition-property": "opacity, border-color",
        "transition-duration": 150,
      },
    },
    ...roles.map((role) => ({
      selector: `node[role = "${role}"]`,
      style: { "background-color": colour(`role-${role}`) },
    })),
    {
      selector: 'node[kind = "device"], node[kind = "card"], node[kind = "ip"]',
      style: { width: 36, height: 34, "background-color": colour("role-shared") },
    },
    { selector: 'node[kind = "outside"]', style: { "background-color": colour("role-none") } },
    {
      selector: "node[!member][!paid]",
      style: {
        width: 30,
        height: 30,
        "background-width": 14,
        "background-height": 14,
        "background-opacity": 0.75,
        color: colour("quiet-text"),
        "font-weight": 400,
        "min-zoomed-font-size": 9,
      },
    },
    {
      selector: "node[?stack]",
      style: {
        "border-style": "double",
        "border-width": 6,
        "border-color": colour("line-strong"),
        "font-weight": 600,
      },
    },
    {
      selector: "edge",
      style: {
        width: "data(width)",
        "curve-style": "unbundled-bezier",
        "control-point-distances": "data(bend)",
        "control-point-weights": 0.5,
        "line-color": colour("edge"),
        "target-arrow-color": colour("edge"),
        "target-arrow-shape": "triangle",
        "arrow-scale": 1.05,
        "target-distance-from-node": 2,
        "font-family": font,
        "font-size": 13,
        color: colour("text"),
        "min-zoomed-font-size": 5,
        "text-background-color": colour("canvas"),
        "text-background-opacity": 1,
        "text-background-padding": 3,
        "text-background-shape": "roundrectangle",
        "overlay-opacity": 0,
        "transition-property": "opacity",
        "transition-duration": 150,
      },
    },
    {
      selector: 'edge[kind = "witness"]',
      style: {
        "line-color": colour("witness"),
        "target-arrow-color": colour("witness"),
        "font-weight": 600,
        "z-index": 3,
      },
    },
    { selector: 'edge[kind = "witness"][?written]', style: { label: "data(text)" } },
    { selector: "edge[?short]", style: { "target-endpoint": "outside-to-node-or-label" } },
    { selector: 'edge[kind = "money"]', style: { "line-opacity": 0.6, "arrow-scale": 0.8 } },
    {
      selector: 'edge[kind = "shared"]',
      style: {
        "curve-style": "straight",
        width: 1.25,
        "line-style": "dashed",
        "line-dash-pattern": [4, 4],
        "line-color": colour("shared-line"),
        "target-arrow-shape": "none",
      },
    },
    { selector: ".dim", style: { opacity: 0.22 } },
    { selector: "node.bright", style: { "border-color": colour("accent") } },
    { selector: "edge.bright", style: { label: "data(text)", "z-index": 9 } },
    { selector: "node.fresh", style: { "border-color": colour("fresh") } },
    {
      selector: "edge.fresh",
      style: { "line-color": colour("fresh"), "target-arrow-color": colour("fresh") },
    },
  ];
}
