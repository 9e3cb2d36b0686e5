// The rings the page knows: their order, what a filter leaves, and what is new about them.

export const KEPT = 1_000; // rings held; beyond, ended ones go first, then the least urgent
const LATE_MS = 10 * 60_000; // further from the wall clock, event time is a replay's

export const STATES = {
  live: (ring) => ring.state === "active" || ring.state === "quiet",
  active: (ring) => ring.state === "active",
  quiet: (ring) => ring.state === "quiet",
  ended: (ring) => ring.state === "expired" || ring.state === "merged",
  all: () => true,
};

/** What a ring is worth looking at first: its score times the money at risk. */
export const urgency = (ring) => ring.score * ring.money.minor;

function byUrgency(a, b) {
  return (
    urgency(b) - urgency(a) ||
    b.score - a.score ||
    b.member_count - a.member_count ||
    (a.ring_id < b.ring_id ? -1 : 1)
  );
}

/** Rings by id, from the list and from the stream; whatever comes twice or late changes nothing. */
export class Rings {
  #rings = new Map();
  #heard = new Map(); // ring id -> when the stream last told of it, on the page's own clock
  #skew = 0;
  newest = 0; // event time of the newest change, ms

  get size() {
    return this.#rings.size;
  }

  get(id) {
    return this.#rings.get(id);
  }

  /**
   * Take in a list of summaries; what was known and is newer stays. Where it is the whole list, what
   * is not on it and was not told of since it was asked for (on the page's own clock) is gone.
   */
  load(summaries, { whole = false, asked = 0 } = {}) {
    for (const ring of summaries) this.#put(ring);
    const listed = new Set(summaries.map((ring) => ring.ring_id));
    for (const id of whole ? [...this.#rings.keys()] : [])
      if (!listed.has(id) && (this.#heard.get(id) ?? -Infinity) < asked) this.#rings.delete(id);
    if (this.newest > Date.now() + LATE_MS) this.#skew = this.newest - Date.now();
    this.#bound();
  }

  /** Take in a ring event: "new", "grown", or null where it told nothing new. */
  apply(event) {
    const before = this.#rings.get(event.ring.ring_id);
    if (!this.#put(event.ring)) return null;
    this.#heard.delete(event.ring.ring_id);
    this.#heard.set(event.ring.ring_id, performance.now());
    if (this.#heard.size > KEPT) this.#heard.delete(this.#heard.keys().next().value);
    if (event.merged_ring_id !== null) this.#rings.delete(event.merged_ring_id);
    const skew = Date.parse(event.at) - Date.now();
    this.#skew = Math.abs(skew) > LATE_MS ? skew : 0;
    this.#bound();
    if (before === undefined) return "new";
    return event.kind === "grew" || event.kind === "merged" ? "grown" : null;
  }

  /** How long ago the stream told of a ring, ms; Infinity where it never did. */
  quietFor(id) {
    return performance.now() - (this.#heard.get(id) ?? -Infinity);
  }

  /** Now in event time: the wall clock, or the clock of the history that is being replayed. */
  now() {
    return Math.max(Date.now() + this.#skew, this.newest);
  }

  /** Whether history is being replayed, so that the wall clock says nothing about ages. */
  get replayed() {
    return this.#skew !== 0;
  }

  /** What a filter leaves, the most urgent first; `of` are rings whose member the text names. */
  list({ text = "", pattern = "", state = "live", of = new Set() } = {}) {
    const wanted = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
    return [...this.#rings.values()]
      .filter(
        (ring) =>
          STATES[state](ring) &&
          (pattern === "" || ring.patterns.includes(pattern)) &&
          (of.has(ring.ring_id) ||
            wanted.every((word) =>
              `${ring.headline} ${ring.ring_id}`.toLowerCase().includes(word),
            )),
      )
      .sort(byUrgency);
  }

  /** How many rings of a state show each pattern. */
  patterns(state) {
    const counts = new Map();
    for (const ring of this.#rings.values()) {
      if (!STATES[state](ring)) continue;
      for (const pattern of ring.patterns) counts.set(pattern, (counts.get(pattern) ?? 0) + 1);
    }
    return counts;
  }

  #put(ring) {
    const known = this.#rings.get(ring.ring_id);
    if (known !== undefined && known.revision >= ring.revision) return false;
    this.#rings.set(ring.ring_id, ring);
    this.newest = Math.max(this.newest, Date.parse(ring.changed_at));
    return true;
  }

  #bound() {
    if (this.#rings.size <= KEPT) return;
    const ended = [...this.#rings.values()].sort(
      (a, b) => STATES.live(b) - STATES.live(a) || byUrgency(a, b),
    );
    for (const ring of ended.slice(KEPT)) this.#rings.delete(ring.ring_id);
  }
}
