// The queue: one row a ring, the most urgent first, and no row that moves under the pointer.

import { explained } from "./client.js";
import { element, say } from "./element.js";
import { age, counted, dayAndTime, patternWords, words, visible } from "./text.js";

export const MOST_ROWS = 200; // rows drawn; beyond, the filter is the way
const MOST_CHIPS = 3; // a row keeps its height
const FLASH_MS = 1_800;
const SKELETONS = 6;

/** The list. `choose` is called with the id of a ring that is clicked. */
export class Queue {
  #rows = new Map();
  #order = [];
  #waiting = null; // the order to take once the pointer has left
  #chosen = null;
  #over = false;

  constructor({ rows, note, held, count }, choose) {
    Object.assign(this, { rows, note, held, count, choose });
    rows.addEventListener("pointerenter", () => (this.#over = true));
    rows.addEventListener("pointerleave", () => this.release());
    held.addEventListener("click", () => this.release());
    for (let i = 0; i < SKELETONS; i++) {
      rows.append(
        element(
          "li",
          { class: "skeleton", "aria-hidden": "true" },
          element("span"),
          element("span"),
          element("span"),
        ),
      );
    }
  }

  /** Ids in the order on the page. */
  get order() {
    return this.#order;
  }

  /** Show rings in this order; while the pointer is on the list, only rows that are there change. */
  show(rings, now, { total, known, filtered }) {
    const shown = rings.slice(0, MOST_ROWS);
    for (const ring of shown) this.#row(ring, now);
    const order = shown.map((ring) => ring.ring_id);
    say(this.count, rings.length === total ? `${total}` : `${rings.length} of ${total}`);
    this.#tell(rings.length, known, filtered);
    const moved =
      order.length !== this.#order.length || order.some((id, i) => id !== this.#order[i]);
    if (this.#over && this.#order.length && moved) {
      this.#waiting = order;
      const arrived = order.filter((id) => !this.#order.includes(id)).length;
      this.held.hidden = false;
      say(
        this.held,
        arrived ? `${counted(arrived, "new ring")} · show` : "Order has changed · show",
      );
      return;
    }
    this.#arrange(order);
  }

  /** Let the order change again. */
  release() {
    this.#over = false;
    if (this.#waiting !== null) this.#arrange(this.#waiting);
  }

  /** Ages go on without news. */
  tick(now) {
    for (const { ring, parts } of this.#rows.values())
      say(parts.age, age(Date.parse(ring.changed_at), now));
  }

  /** A ring has news: its row lights up for a moment. */
  flash(id, kind) {
    const row = this.#rows.get(id);
    if (!row) return;
    row.li.classList.remove("new", "grown");
    void row.li.offsetWidth; // restarts the animation
    row.li.classList.add(kind);
    clearTimeout(row.timer);
    row.timer = setTimeout(() => row.li.classList.remove(kind), FLASH_MS);
  }

  /** Mark the row of the ring that is open. */
  mark(id, { reveal = false } = {}) {
    this.#chosen = id;
    for (const [key, { button }] of this.#rows) {
      if (key === id) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
    if (reveal) this.#rows.get(id)?.li.scrollIntoView({ block: "nearest" });
  }

  /** Say why there is nothing, or that it could not be read. */
  fail(problem, again) {
    this.rows.replaceChildren();
    this.#order = [];
    this.rows.removeAttribute("aria-busy");
    this.note.hidden = false;
    this.note.replaceChildren(
      element("strong", {}, visible(problem.title)),
      element("p", {}, visible(`${explained(problem)} The page tries again by itself.`.trim())),
      element("button", { class: "plain", type: "button", onclick: again }, "Try again"),
    );
  }

  #tell(found, known, filtered) {
    this.rows.removeAttribute("aria-busy");
    const rest = found - MOST_ROWS;
    const words =
      known === 0
        ? ["No rings yet", "Waiting for transactions: a ring appears here the moment one is seen."]
        : found === 0
          ? filtered
            ? ["No ring matches", "Press Esc to clear the filter."]
            : ["No open ring", "Those that are known have ended: choose “Ended” to see them."]
          : rest > 0
            ? [`${counted(rest, "less urgent ring")} not listed`, "Narrow the filter."]
            : null;
    this.note.hidden = words === null;
    if (words && this.note.dataset.said !== words[0]) {
      this.note.dataset.said = words[0];
      this.note.replaceChildren(element("strong", {}, words[0]), element("p", {}, words[1]));
    }
    if (!words) delete this.note.dataset.said;
  }

  #arrange(order) {
    this.#waiting = null;
    this.held.hidden = true;
    for (const skeleton of this.rows.querySelectorAll(".skeleton")) skeleton.remove();
    for (const [id, row] of this.#rows) {
      if (order.includes(id)) continue;
      row.li.remove();
      this.#rows.delete(id);
    }
    order.forEach((id, i) => {
      const { li } = this.#rows.get(id);
      const there = this.rows.children[i];
      if (there !== li) this.rows.insertBefore(li, there ?? null);
    });
    this.#order = order;
  }

  #row(ring, now) {
    const row = this.#rows.get(ring.ring_id) ?? this.#build(ring.ring_id);
    if (row.ring?.revision !== ring.revision) {
      row.ring = ring;
      const { parts } = row;
      say(parts.money, ring.money.text);
      say(parts.score, ring.score.toFixed(2));
      parts.gauge.style.setProperty("--share", ring.score);
      say(parts.headline, visible(ring.headline));
      say(parts.members, counted(ring.member_count, "member"));
      say(parts.state, ring.state);
      row.li.dataset.state = ring.state;
      row.li.classList.toggle("alerted", ring.last_alert_at !== null);
      parts.chips.replaceChildren(...chips(ring.patterns.slice(0, MOST_CHIPS)));
      const more = ring.patterns.length - MOST_CHIPS;
      if (more > 0) parts.chips.append(element("span", { class: "chip-more" }, `+${more}`));
      parts.age.dateTime = ring.changed_at;
      parts.age.title = `Last change ${dayAndTime(Date.parse(ring.changed_at))} UTC`;
    }
    say(row.parts.age, age(Date.parse(ring.changed_at), now));
  }

  #build(id) {
    const part = (name, kind) => element(name, { class: kind });
    const parts = {
      money: part("span", "row-money"),
      score: part("span", "row-score"),
      gauge: part("span", "gauge"),
      headline: part("span", "row-headline"),
      chips: part("span", "chips"),
      members: part("span", "row-members"),
      state: part("span", "row-state"),
      age: part("time", "row-age"),
    };
    parts.gauge.setAttribute("aria-hidden", "true");
    const button = element(
      "button",
      {
        type: "button",
        class: "row",
        "aria-current": this.#chosen === id ? "true" : null,
        onclick: () => this.choose(id),
      },
      element(
        "span",
        { class: "row-top" },
        parts.money,
        element("span", { class: "row-strength", title: "Score" }, parts.gauge, parts.score),
      ),
      parts.headline,
      parts.chips,
      element("span", { class: "row-meta" }, parts.members, parts.state, parts.age),
    );
    const row = {
      li: element("li", { "data-ring": id }, button),
      button,
      parts,
      ring: null,
      timer: 0,
    };
    this.#rows.set(id, row);
    return row;
  }
}

/** Patterns as chips; money patterns and shared identities look apart, their names say what. */
export function chips(patterns) {
  return patterns.map((pattern) =>
    element(
      "span",
      { class: `chip ${pattern.startsWith("shared") ? "chip-shared" : "chip-money"}` },
      patternWords(pattern),
    ),
  );
}
