// The canvas: what `drawFlow` or `drawNetwork` say, drawn by Cytoscape, never rearranged by it.

import cytoscape from "../vendor/cytoscape.esm.min.mjs";
import { heights, named, tooLong, written } from "./labels.js";
import { SIZE } from "./lettering.js";
import { styles } from "./look.js";
import { BEFORE, edgesOf, lineAsDrawn, nodeOf, standing, STANDS } from "./marks.js";

const MARGIN = 20;
const LARGEST = 1.15; // a small ring is not blown up
const NARROW = 720; // px below which a drawing need not be seen whole
const LEAST = 9.2 / SIZE; // there: names are nine pixels high at least
const TALLEST = 0.8; // of the window, there
const SHORTENINGS = 4;
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
