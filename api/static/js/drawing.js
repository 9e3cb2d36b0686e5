// The canvas: what `drawFlow` or `drawNetwork` say, drawn by Cytoscape, never rearranged by it.

import cytoscape from "../vendor/cytoscape.esm.min.mjs";
import {
  AMOUNT_WEIGHT,
  gapOf,
  halfOf,
  heights,
  lineOf,
  nameOf,
  named,
  radiusOf,
  SIDES,
  shorterOf,
  tooLong,
  weightOf,
  written,
} from "./labels.js";
import { family, LINE_HEIGHT, SIZE } from "./lettering.js";
import { briefMoney } from "./text.js";

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
const NARROW = 720; // px below which a drawing need not be seen whole
const LEAST = 9.2 / SIZE; // there: names are nine pixels high at least
const TALLEST = 0.8; // of the window, there
const WEIGHT = { witness: 2, money: 1, shared: 0.5 }; // of a line that a label would cover
const BEFORE = 2; // px between the head of a line and its node
const SHORTENINGS = 4;
const MOST_SHORTENED = 0.45; // of a line between the middles of its nodes
const FRESH_MS = 2_400;

/** A drawing in an element. `on.entity`, `on.edge` and `on.stack` are told what was clicked. */
export class Drawing {
  #on;
  #drawn = null; // identifies the ring and view on the canvas
  #moved = false; // the investigator chose the view: it is not changed under them
  #focus = null;
  #sides = new Map(); // on which side of its node each name stands
  #boxes = []; // where names are

  constructor(container, on) {
    this.#on = on;
    this.container = container;
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
    this.cy.on("dragfree", "node", ({ target }) => {
      on.moved(target.id(), { ...target.position() });
      this.#letter();
    });
    this.cy.on("dragpan", () => (this.#moved = true));
    this.cy.on("mouseover", "node, edge", ({ target }) => {
      container.classList.add("over");
      target.addClass("over");
    });
    this.cy.on("mouseout", "node, edge", ({ target }) => {
      container.classList.remove("over");
      target.removeClass("over");
    });
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
    this.#letter();
    if (same && fresh.length) {
      for (const element of fresh) element.addClass("fresh");
      setTimeout(() => fresh.forEach((element) => element.removeClass("fresh")), FRESH_MS);
      if (!this.#moved && !this.#inSight()) this.fit();
    }
    if (!same) {
      this.#moved = false;
      this.#heighten();
      this.fit();
    }
  }

  /** Bring out entities and transactions, number the transactions in order; null brings out all. */
  highlight(focus) {
    this.#focus = focus;
    this.cy.batch(() => {
      this.cy.elements().removeClass("dim bright");
      this.cy.edges().forEach((edge) => edge.data("text", edge.data("amount")));
      this.cy.nodes().forEach((node) => node.data("shown", node.data("fitting")));
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
      nodes.forEach((node) => node.data("shown", node.data("text")));
      if (focus.ordered) edges.forEach((edge) => edge.data("text", numbered(edge, focus.ordered)));
    });
    this.#write();
  }

  /** Give every name its place, and the amounts theirs between them. */
  #letter() {
    const nodes = this.cy.nodes().map(standing);
    this.cy.batch(() => this.cy.edges().forEach((e) => e.data({ short: 0, before: BEFORE })));
    let names = null;
    for (let round = 0; round < SHORTENINGS; round++) {
      names = named(nodes, this.cy.edges().map(lineAsDrawn), this.#sides);
      this.#sides = new Map([...names].map(([key, { side }]) => [key, side]));
      const over = tooLong(this.cy.edges().map(lineAsDrawn), names);
      if (over.size === 0) break;
      this.cy.batch(() =>
        over.forEach((more, key) => {
          const edge = this.cy.getElementById(key);
          edge.data({ short: 1, before: edge.data("before") + more });
        }),
      );
    }
    this.#boxes = [...names.values()].filter(({ text }) => text).map(({ box }) => box);
    this.cy.batch(() => {
      this.cy.nodes().forEach((node) => {
        const { side, text } = names.get(node.id());
        node.data({ ...STANDS.get(side), fitting: text, shown: text });
      });
    });
    this.highlight(this.#focus);
  }

  /** Write the amounts that have room; all of those that are brought out. */
  #write() {
    const all = this.cy.edges().map(lineAsDrawn);
    const out = this.cy.edges(".bright");
    const wanted = new Set((out.empty() ? this.cy.edges("[?large]") : out).map((e) => e.id()));
    const lines = all
      .filter(({ key, text }) => wanted.has(key) && text)
      .sort((a, b) => b.minor - a.minor || (a.key < b.key ? -1 : 1));
    const nodes = this.cy.nodes().map(standing);
    const places = written(lines, nodes, this.#boxes, { must: out.nonempty(), all });
    const up = heights(all, places);
    const middles = new Map(all.map((line) => [line.key, line.at(0.5)]));
    this.cy.batch(() =>
      this.cy.edges().forEach((edge) => {
        const at = places.get(edge.id());
        const middle = middles.get(edge.id());
        const least = edge.data("kind") === "witness" ? 100 : 50;
        edge.data({ written: at ? 1 : 0, up: Math.max(0, least + up.get(edge.id())) });
        edge.data({ aside: at ? at.x - middle.x : 0, below: at ? at.y - middle.y : 0 });
      }),
    );
  }

  /** A narrow page has height: a drawing that needs more than its canvas has gets some. */
  #heighten() {
    this.container.style.minHeight = "";
    if (this.cy.elements().empty() || this.container.clientWidth >= NARROW) return;
    const { h } = this.cy.elements().boundingBox();
    const most = TALLEST * innerHeight;
    this.container.style.minHeight = `${Math.round(Math.min(h * LEAST + 2 * MARGIN, most))}px`;
    this.cy.resize();
  }

  /** Show all of it; on a narrow page as much as can be read, from its top. */
  fit({ whole = false } = {}) {
    if (this.cy.elements().empty() || this.cy.width() === 0) return;
    this.cy.fit(undefined, MARGIN);
    if (this.cy.zoom() > LARGEST) {
      this.cy.zoom(LARGEST);
      this.cy.center();
    }
    if (whole || this.cy.width() >= NARROW || this.cy.zoom() >= LEAST) return;
    this.cy.zoom(LEAST);
    this.cy.center(this.cy.nodes("[?member]"));
    const box = this.cy.elements().renderedBoundingBox();
    if (box.w <= this.cy.width()) this.cy.panBy({ x: (this.cy.width() - box.w) / 2 - box.x1, y: 0 });
    if (box.y1 < MARGIN) {
      const down = box.h <= this.cy.height() ? (this.cy.height() - box.h) / 2 : MARGIN;
      if (this.#flows() || box.h <= this.cy.height()) this.cy.panBy({ x: 0, y: down - box.y1 });
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
    this.fit({ whole: true });
  }

  #flows() {
    return this.cy.edges("[?flows]").nonempty();
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

/** A node as `labels.js` asks for it. */
const standing = (node) => ({
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
function lineAsDrawn(edge) {
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

function edgesOf(edges, nodes) {
  const at = new Map(nodes.map((node) => [node.key, node.place]));
  const there = new Set(edges.map((edge) => `${edge.source} ${edge.target}`));
  // Among many amounts none can be read: the largest are written, the others when brought out.
  const large = new Set(
    edges.filter(({ kind }) => kind === "witness").sort((a, b) => b.minor - a.minor || (a.key < b.key ? -1 : 1)).slice(0, MOST_AMOUNTS),
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

function styles() {
  const look = getComputedStyle(document.documentElement);
  const colour = (name) => look.getPropertyValue(`--${name}`).trim();
  const font = family();
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
        label: "data(shown)",
        "text-wrap": "wrap",
        "text-max-width": 400, // ids are short enough
        "line-height": LINE_HEIGHT,
        "text-halign": "data(across)",
        "text-valign": "data(down)",
        "text-margin-x": "data(aside)",
        "text-margin-y": "data(below)",
        color: colour("text"),
        "font-family": font,
        "font-size": SIZE,
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
        "target-distance-from-node": "data(before)",
        "font-family": font,
        "font-size": SIZE,
        color: colour("text"),
        "min-zoomed-font-size": 5,
        "text-background-color": colour("canvas"),
        "text-background-opacity": 1,
        "text-background-padding": 3,
        "text-margin-x": "data(aside)",
        "text-margin-y": "data(below)",
        "z-index": "data(up)",
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
        "font-weight": AMOUNT_WEIGHT,
      },
    },
    { selector: "edge[?written]", style: { label: "data(text)" } },
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
    { selector: "edge.over", style: { label: "data(text)", "z-index": 500 } },
    {
      selector: "node.over",
      style: {
        label: "data(text)",
        "min-zoomed-font-size": 0,
        "text-background-color": colour("canvas"),
        "text-background-opacity": 1,
        "text-background-padding": 3,
        "z-index": 500,
      },
    },
    { selector: "node.fresh", style: { "border-color": colour("fresh") } },
    {
      selector: "edge.fresh",
      style: { "line-color": colour("fresh"), "target-arrow-color": colour("fresh") },
    },
  ];
}
