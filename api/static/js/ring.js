// One ring in full: its story, its drawing, and below what proves it.

import { readCase } from "./case.js";
import { explained } from "./client.js";
import { Drawing } from "./drawing.js";
import { badge, element, say } from "./element.js";
import {
  clearings,
  evidenceCards,
  eventsOf,
  focusOf,
  memberRows,
  timeline,
  told,
  touching,
  wholeCard,
} from "./evidence.js";
import { drawFlow, emptyPlan } from "./flow.js";
import { restsFold } from "./importance.js";
import { drawNetwork } from "./network.js";
import { chips } from "./queue.js";
import { relatives } from "./related.js";
import { story } from "./story.js";
import { counted, day, dayAndTime, sentence, span, time, visible, words } from "./text.js";

const WIDE = 720; // px from which a drawing may spread
const PLANS = 50; // rings whose drawings are remembered
const VIEWS = { flow: drawFlow, network: drawNetwork };

/** The right side of the page. */
export class RingView {
  #detail = null;
  #found = null;
  #view = "flow";
  #plans = new Map();
  #focus = null;
  #parts = null;

  constructor(root) {
    this.root = root;
    this.empty();
  }

  /** No ring is chosen. */
  empty() {
    const text = "Its money flow, its evidence and its life are shown here.";
    this.#none(hollow("Choose a ring", text));
  }

  /** The ring that is shown, or null. */
  get shown() {
    return this.#detail;
  }

  /** A ring is being read. */
  loading() {
    this.#detail = null;
    this.root.setAttribute("aria-busy", "true");
    if (this.#parts === null) {
      this.root.replaceChildren(
        element(
          "div",
          { class: "ring-skeleton", "aria-hidden": "true" },
          ...["a", "b", "c", "d"].map(() => element("span")),
        ),
      );
    } else this.root.classList.add("waiting");
  }

  /** It could not be read; retried: the page tries again by itself. */
  fail(problem, again, { retried = false } = {}) {
    const text = `${explained(problem)}${retried ? " The page tries again by itself." : ""}`;
    const box = hollow(visible(problem.title), visible(text.trim()));
    box.append(element("button", { type: "button", class: "plain", onclick: again }, "Try again"));
    this.#none(box);
  }

  #none(box) {
    this.#detail = null;
    this.#parts = null;
    this.root.removeAttribute("aria-busy");
    this.root.classList.remove("waiting");
    // The same said again leaves the focus where it is.
    if (this.root.textContent !== box.textContent) this.root.replaceChildren(box);
  }

  /** Show a `RingDetail`; the same ring again is brought up to date in place. */
  show(detail) {
    const same = this.#detail?.ring_id === detail.ring_id;
    this.#detail = detail;
    this.#found = readCase(detail);
    this.root.removeAttribute("aria-busy");
    this.root.classList.remove("waiting");
    if (this.#parts === null) this.#build();
    if (!same) {
      this.#focus = null;
      this.root.scrollTop = 0;
    }
    this.#head();
    this.#draw();
    this.#below();
    this.#bring(this.#focus);
  }

  /** Switch between the money flow and the network. */
  turn(view = this.#view === "flow" ? "network" : "flow") {
    this.#view = view;
    if (this.#detail === null) return;
    this.#draw();
  }

  /** Fit the drawing. */
  fit() {
    this.#parts?.drawing.whole();
  }

  /** Let nothing be highlighted; whether something was. */
  clear() {
    const was = this.#focus !== null;
    this.#bring(null);
    return was;
  }

  /** Where the nodes are and what they stand for: for tests, and for a look from the console. */
  get drawing() {
    return this.#parts?.drawing.cy ?? null;
  }

  #build() {
    const part = (name, about = {}) => element(name, about);
    const parts = (this.#parts = {
      title: part("h2", { class: "ring-title" }),
      chips: part("span", { class: "chips" }),
      id: part("span", { class: "ring-id" }),
      figures: part("dl", { class: "figures" }),
      story: part("p", { class: "story" }),
      related: part("ul", { class: "related", "aria-label": "Rings that share accounts with it" }),
      canvas: part("div", {
        class: "canvas",
        role: "img",
        "aria-label": "Drawing of the ring; the members table below says the same",
      }),
      legend: part("ul", { class: "legend", "aria-label": "Legend" }),
      beside: part("p", { class: "beside" }),
      flow: this.#tab("flow", "Money flow"),
      network: this.#tab("network", "Network"),
      cards: part("ol", { class: "cards" }),
      cardsTitle: part("h3"),
      events: part("ol", { class: "events" }),
      eventsTitle: part("h3"),
      clears: part("ul", { class: "clearings" }),
      rests: part("div"),
      members: part("tbody"),
      membersTitle: part("h3"),
    });
    const tool = (label, text, act) =>
      element(
        "button",
        { type: "button", class: "tool", "aria-label": label, title: label, onclick: act },
        text,
      );
    const tools = element(
      "div",
      { class: "tools" },
      tool("Smaller", "−", () => parts.drawing.zoom(1 / 1.25)),
      tool("Larger", "+", () => parts.drawing.zoom(1.25)),
      tool("Fit the drawing (F)", "Fit", () => this.fit()),
    );
    const heads = { who: "Entity", part: "Role, and why", received: "Received", sent: "Sent" };
    this.root.replaceChildren(
      element(
        "header",
        { class: "ring-head" },
        element(
          "div",
          { class: "ring-words" },
          parts.title,
          element("div", { class: "ring-tags" }, parts.chips, parts.id),
          parts.story,
          parts.related,
        ),
        parts.figures,
      ),
      element(
        "section",
        { class: "panel drawing", "aria-label": "Drawing" },
        element(
          "div",
          { class: "panel-head" },
          element(
            "div",
            { class: "tabs", role: "group", "aria-label": "View" },
            parts.flow,
            parts.network,
          ),
          parts.beside,
          tools,
        ),
        parts.canvas,
        parts.legend,
      ),
      element(
        "div",
        { class: "below" },
        element("section", { class: "panel proof" }, parts.cardsTitle, parts.cards),
        element(
          "div",
          { class: "side" },
          element(
            "section",
            { class: "panel clear" },
            element("h3", {}, "What would clear it"),
            parts.clears,
            parts.rests,
          ),
          element("section", { class: "panel life" }, parts.eventsTitle, parts.events),
          element(
            "section",
            { class: "panel people" },
            parts.membersTitle,
            element(
              "div",
              { class: "scrolling" },
              element(
                "table",
                { class: "members" },
                element(
                  "thead",
                  {},
                  element(
                    "tr",
                    {},
                    ...Object.entries(heads).map(([at, name]) =>
                      element("th", { scope: "col", class: `at-${at}` }, name),
                    ),
                  ),
                ),
                parts.members,
              ),
            ),
          ),
        ),
      ),
    );
    parts.drawing = new Drawing(parts.canvas, {
      entity: (key) =>
        this.#bring(focusOf({ entities: [key], transactions: touching(this.#found, key) })),
      edge: (ids) => this.#bring(focusOf({ transactions: ids })),
      stack: (name) => this.#open(name),
      moved: (key, at) => this.#plan().places.set(key, at),
      nothing: () => this.#bring(null),
    });
  }

  #tab(view, text) {
    return element(
      "button",
      { type: "button", class: "tab", "data-view": view, onclick: () => this.turn(view) },
      text,
    );
  }

  #head() {
    const { title, chips: tags, id, figures, story: lines, related } = this.#parts;
    const ring = this.#detail;
    say(title, visible(ring.headline));
    tags.replaceChildren(...chips(ring.patterns));
    say(
      id,
      `Ring ${ring.ring_id} · revision ${ring.revision}${ring.aliases.length ? ` · took in ${counted(new Set(ring.aliases).size, "ring")}` : ""}${ring.split_from === null ? "" : ` · split from ${ring.split_from}`}`,
    );
    // That it fell quiet is an event that changed nothing of it, hours later.
    const life =
      Math.max(...[ring.changed_at, ...ring.timeline.map(({ at }) => at)].map(Date.parse)) -
      Date.parse(ring.born_at);
    figures.replaceChildren(
      figure(
        "Moved",
        ring.money.minor ? ring.money.text : "none in evidence",
        "Its transactions, listed below the evidence; other money is drawn in thin lines",
      ),
      figure(
        "Recoverable",
        ring.recoverable.minor ? ring.recoverable.text : "nothing",
        "At most: what came to users of the ring in its evidence and has not been seen to leave",
      ),
      figure("Score", ring.score.toFixed(2), "How strongly its evidence speaks for fraud"),
      ...(ring.likelihood === null
        ? []
        : [figure("Likely", ring.likelihood.toFixed(2), "How likely a true ring, as a whole")]),
      figure("Members", membersOf(ring)),
      figure("State", sentence(words(ring.state))),
      figure(
        "Alerted",
        ring.last_alert_at === null
          ? "not told"
          : `${day(Date.parse(ring.last_alert_at))}, ${time(Date.parse(ring.last_alert_at))}`,
        ring.last_alert_at === null
          ? "Its score or likelihood is below what wakes anybody, or most of it is in a ring that was told"
          : `Last told of ${dayAndTime(Date.parse(ring.last_alert_at))} UTC`,
      ),
      figure(
        "Lived",
        life > 0 ? span(life) : "no change yet",
        `Until something last happened to it; born ${dayAndTime(Date.parse(ring.born_at))} UTC`,
      ),
    );
    const sentences = story(this.#found).map((parts) => [
      ...told(parts, (focus) => this.#bring(focus)),
      " ",
    ]);
    lines.replaceChildren(...sentences.flat());
    related.replaceChildren(...relatives(ring));
  }

  #plan() {
    const name = `${this.#view} ${this.#detail.ring_id}`;
    const plan = this.#plans.get(name) ?? emptyPlan(this.#parts.canvas.clientWidth >= WIDE);
    this.#plans.delete(name);
    this.#plans.set(name, plan); // the one used last is forgotten last
    if (this.#plans.size > 2 * PLANS) this.#plans.delete(this.#plans.keys().next().value);
    return plan;
  }

  #draw() {
    const { drawing, legend, beside, flow, network, canvas } = this.#parts;
    for (const tab of [flow, network])
      tab.setAttribute("aria-pressed", String(tab.dataset.view === this.#view));
    const drawn = VIEWS[this.#view](this.#found, this.#plan());
    drawing.show(`${this.#view} ${this.#detail.ring_id}`, drawn);
    drawing.highlight(this.#focus);
    Object.assign(canvas.dataset, {
      nodes: drawn.nodes.length,
      edges: drawn.edges.length,
      view: this.#view,
      ring: this.#detail.ring_id,
      revision: this.#detail.revision,
    });
    const more = this.#detail.subgraph.truncated ? "more than " : "";
    const note = drawn.beside
      ? `${more}${counted(drawn.beside, "neighbour")} outside the ring: see Network`
      : drawn.alone
        ? `${counted(drawn.alone, "identifier")} that only one account uses left out`
        : "";
    say(beside, note);
    legend.replaceChildren(...legendOf(drawn, this.#found));
  }

  #open(name) {
    this.#plan().opened.add(name);
    this.#draw();
  }

  #below() {
    const { cards, cardsTitle, clears, events, eventsTitle, members, membersTitle, rests } =
      this.#parts;
    const ring = this.#detail;
    const show = (focus) => this.#bring(focus, { reveal: true });
    const nameOf = (fold) => `${fold.dataset.fold} ${fold.closest("li").dataset.evidence}`;
    const foldsOf = (list) => list.flatMap((li) => [...li.querySelectorAll("details")]);
    const unfolded = new Map(foldsOf([...cards.children]).map((fold) => [nameOf(fold), fold.open]));
    const fresh = [...evidenceCards(ring, show), ...wholeCard(ring, show)];
    for (const fold of foldsOf(fresh)) fold.open = unfolded.get(nameOf(fold)) ?? fold.open;
    cards.replaceChildren(...fresh);
    say(cardsTitle, `Evidence · ${counted(ring.evidence.length, "piece")}`);
    clears.replaceChildren(...clearings(ring, show));
    // A new revision is asked about anew; the same one is not.
    const revision = `${ring.ring_id} ${ring.revision}`;
    if (rests.dataset.revision !== revision) {
      rests.replaceChildren(restsFold(ring, show, rests.firstChild?.open ?? false));
      rests.dataset.revision = revision;
    }
    events.replaceChildren(...timeline(ring));
    say(eventsTitle, `What happened · ${eventsOf(ring)}`);
    const rows = memberRows(this.#found, show);
    members.replaceChildren(...rows);
    say(membersTitle, `Members · ${membersOf(ring)}`);
  }

  /** Bring something out, in the drawing and in the tables. */
  #bring(focus, { reveal = false } = {}) {
    this.#focus = focus;
    if (this.#parts === null || this.#detail === null) return;
    this.#parts.drawing.highlight(focus);
    this.root.classList.toggle("focused", focus !== null);
    for (const row of this.root.querySelectorAll("[data-transaction]")) {
      row.classList.toggle("lit", focus?.transactions.has(row.dataset.transaction) ?? false);
    }
    for (const row of this.root.querySelectorAll("[data-entity]")) {
      row.classList.toggle("lit", focus?.entities.has(row.dataset.entity) ?? false);
    }
    if (focus !== null && reveal) this.#parts.canvas.scrollIntoView({ block: "nearest" });
  }
}

/** "14 and 2 at the fringe": counts and headlines leave the fringe out, tables show it. */
function membersOf({ member_count: core, members }) {
  const fringe = members.filter(({ role }) => role === "fringe").length;
  return fringe ? `${core} and ${fringe} at the fringe` : String(core);
}

function figure(name, value, title = null) {
  return element("div", { title }, element("dt", {}, name), element("dd", {}, value));
}

function hollow(title, text) {
  return element("div", { class: "hollow" }, element("h2", {}, title), element("p", {}, text));
}

// What looks the same in every role.
const IDENTIFIERS = { device: "device", card: "card", ip: "IP address" };

function legendOf({ nodes, edges }, { entities }) {
  const seen = new Map();
  for (const { kind, role, keys } of nodes) {
    // A stack of the network has no role, though some of those in it may have one.
    const stranger = keys.every((key) => entities.get(key).role === null);
    const part = role === null ? (stranger ? "not in the ring" : "of several roles") : words(role);
    if (kind in IDENTIFIERS) seen.set(IDENTIFIERS[kind], [kind, "shared"]);
    else seen.set(kind === "outside" ? "cash or outside" : `${kind}: ${part}`, [kind, role]);
  }
  const items = [...seen]
    .sort()
    .map(([text, [kind, role]]) => element("li", {}, badge(kind, role), text));
  const kinds = new Set(edges.map((edge) => edge.kind));
  const line = (kind, text) =>
    kinds.has(kind) &&
    items.push(
      element(
        "li",
        {},
        element("span", { class: `line line-${kind}`, "aria-hidden": "true" }),
        text,
      ),
    );
  line("witness", "money, part of the evidence");
  line("money", "other money");
  line("shared", "uses");
  return items;
}
