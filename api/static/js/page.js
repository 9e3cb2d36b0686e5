// The page: what is read, what is followed, what is chosen. All wiring is here.

import {
  fetchModel,
  fetchReadiness,
  fetchRing,
  fetchRings,
  fetchRingsOf,
  Problem,
} from "./client.js";
import { element, say } from "./element.js";
import { listen } from "./keys.js";
import { Live, LIVE, STALE } from "./live.js";
import { Queue } from "./queue.js";
import { Reader } from "./reader.js";
import { RingView } from "./ring.js";
import { Rings } from "./rings.js";
import { dayAndTime, patternWords, time, visible } from "./text.js";

const TICK_MS = 5_000;
const READY_MS = 15_000;
const STARTING_MS = 2_000;
const PAINT_MS = 150; // a busy stream repaints the queue this often, and no more
const RETRY_MS = 5_000;
const TYPED_MS = 250; // after the last letter of a filter, its members are asked for

const $ = (id) => document.getElementById(id);
const rings = new Rings();
const view = new RingView($("ring"));
const queue = new Queue(
  { rows: $("rows"), note: $("queue-note"), held: $("held"), count: $("queue-count") },
  (id) => open(id),
);
const OPEN = "live"; // the state that the list begins with
const filter = { text: "", pattern: "", state: OPEN, of: new Set() };
let typing = 0; // the timer of the question whose rings the text names a member of
let chosen = null; // id of the ring that is open
let loaded = false;
let again = 0; // the timer of the next attempt to read the rings
let alerts = 0; // raised while nobody looked
let painting = 0;
const flashes = new Map(); // ring id -> "new" or "grown", until the queue is painted

// The queue.

function paint() {
  painting = 0;
  const found = rings.list(filter);
  queue.show(found, rings.now(), {
    total: rings.list({ state: filter.state }).length,
    known: rings.size,
    filtered: filter.text !== "" || filter.pattern !== "" || filter.state !== OPEN,
  });
  queue.mark(chosen);
  for (const [id, news] of flashes) queue.flash(id, news);
  flashes.clear();
  paintPatterns();
  say(
    $("clock"),
    rings.newest
      ? `${rings.replayed ? "replayed " : ""}events to ${dayAndTime(rings.newest)} UTC`
      : "",
  );
}

function repaint() {
  if (loaded && painting === 0) painting = setTimeout(paint, PAINT_MS);
}

function paintPatterns() {
  const select = $("filter-pattern");
  const counts = [...rings.patterns(filter.state)].sort();
  if (filter.pattern !== "" && !counts.some(([name]) => name === filter.pattern))
    counts.push([filter.pattern, 0]);
  const wanted = [
    ["", "All patterns"],
    ...counts.map(([name, count]) => [name, `${patternWords(name)} (${count})`]),
  ];
  wanted.forEach(([value, text], i) => {
    const option = select.options[i] ?? select.appendChild(element("option"));
    if (option.value !== value || i === 0) option.value = value;
    say(option, text);
  });
  while (select.options.length > wanted.length) select.options[select.options.length - 1].remove();
  if (select.value !== filter.pattern) select.value = filter.pattern;
}

async function readRings() {
  try {
    const asked = performance.now();
    const page = await fetchRings();
    rings.load(page.rings, { whole: page.next === null, asked });
    loaded = true;
    paint();
    if (chosen === null) choose();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (!loaded) queue.fail(problem, readRings);
    clearTimeout(again);
    again = setTimeout(readRings, RETRY_MS);
  }
}

/** The filter's text may be the id of an account, a device, a card: the server knows whose. */
async function findMembers() {
  const id = filter.text.trim();
  if (!id) return;
  try {
    const { rings: found } = await fetchRingsOf(id);
    if (id !== filter.text.trim() || !found.length) return;
    rings.load(found);
    filter.of = new Set(found.map((ring) => ring.ring_id));
    paint();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem; // the list says what else it knows
  }
}

// The ring that is open.

const reader = new Reader(fetchRing, rings, {
  show: (detail, id) => {
    if (detail.ring_id !== id) followed(id, detail.ring_id);
    view.show(detail);
    entitle();
  },
  fail: (problem, retried) => {
    // What is shown stays until it is read anew, unless there is no such ring any more.
    if (problem.status !== 404 && view.shown !== null) return;
    view.fail(problem, askAgain, { retried });
  },
});

function askAgain() {
  view.loading();
  reader.want(chosen);
}

/** Open a ring. Quietly: the address names it already, or names none. */
function open(id, { quietly = false, reveal = false } = {}) {
  if (chosen !== id) view.loading();
  chosen = id;
  queue.mark(id, { reveal });
  if (!quietly) history.replaceState(null, "", `#ring=${encodeURIComponent(id)}`);
  reader.want(id);
}

/** Open a ring because nobody chose one. The history remembers which, for the way back to it. */
function choose(id = queue.order[0]) {
  if (id === undefined) return;
  history.replaceState({ ring: id }, "");
  if (id !== chosen) open(id, { quietly: true, reveal: true });
}

/** The ring merged into another one: go with it, and say so. */
function followed(gone, survivor) {
  chosen = survivor;
  queue.mark(survivor);
  if (named() === null) history.replaceState({ ring: survivor }, "");
  else history.replaceState(null, "", `#ring=${encodeURIComponent(survivor)}`);
  announce(`Ring ${gone} merged into ring ${survivor}, which is shown.`);
}

function step(by) {
  const at = queue.order.indexOf(chosen);
  const next = queue.order[at < 0 ? 0 : Math.min(Math.max(at + by, 0), queue.order.length - 1)];
  if (next !== undefined && next !== chosen) open(next, { reveal: true });
}

/** The ring that the address names, or null. */
const named = () => new URLSearchParams(location.hash.slice(1)).get("ring") || null;

function fromAddress() {
  const id = named();
  if (id !== null) {
    if (id !== chosen) open(id, { quietly: true, reveal: true });
    return;
  }
  // Back where the address names none: to the ring that was shown there.
  const there = history.state?.ring ?? queue.order[0];
  if (there !== undefined) choose(there);
  else {
    chosen = null;
    reader.want(null);
    view.empty();
  }
}

// What is followed.

function announce(text) {
  say($("announcer"), visible(text));
}

function takeRing(event) {
  const news = rings.apply(event);
  repaint();
  if (news && flashes.get(event.ring.ring_id) !== "new") flashes.set(event.ring.ring_id, news);
  const merged = event.merged_ring_id !== null && event.merged_ring_id === chosen;
  if (event.ring.ring_id === chosen || merged) reader.want(chosen);
  else if (chosen === null && loaded) choose(event.ring.ring_id);
}

function takeAlert(alert) {
  announce(`Alert: ${alert.headline}, ${alert.money.text}`);
  if (document.hidden) {
    alerts += 1;
    entitle();
  }
}

/** The tab says which ring is open, and how many alerts came while nobody looked. */
function entitle() {
  const open = view.shown === null ? "Ringfence" : `Ring ${view.shown.ring_id.slice(0, 8)} · Ringfence`;
  document.title = alerts ? `(${alerts}) ${open}` : open;
}

const WORDS = { [LIVE]: "live", reconnecting: "reconnecting", [STALE]: "stale" };

function stand(standing) {
  $("standing").dataset.standing = standing;
  const since =
    standing === STALE && rings.newest ? `: nothing new since ${time(rings.newest)}` : "";
  say($("standing-text"), WORDS[standing] + since);
  document.body.classList.toggle("stale", standing === STALE);
  if (standing === LIVE) reader.retry();
}

const ringStream = new Live("v1/rings/stream", "ring", {
  take: takeRing,
  stand,
  missed: readRings,
});
const alertStream = new Live("v1/alerts/stream", "alert", { take: takeAlert });

let fit = true; // whether the server was ready when last asked

async function ready() {
  let wait = READY_MS;
  try {
    const { ready: fine, missing } = await fetchReadiness();
    notice(fine ? [] : ["Not ready yet", ...missing]);
    if (!fine) wait = STARTING_MS;
    else if (!fit) reader.retry();
    fit = fine;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    notice([problem.title, problem.remedy, "The page tries again by itself."]);
    wait = STARTING_MS;
    fit = false;
  }
  setTimeout(ready, wait);
}

function notice(lines) {
  $("notice").hidden = lines.length === 0;
  say($("notice"), lines.length ? visible(`${lines[0]} · ${lines.slice(1).join(" · ")}`) : "");
}

async function tellModel() {
  try {
    const model = await fetchModel();
    const measured = Object.values(model.metrics)
      .map((of) => of?.average_precision)
      .find(Number.isFinite);
    const text = model.loaded
      ? `model ${visible(model.version ?? "")}`
      : "no model: rules and graph answer";
    say($("model"), text);
    $("model").title =
      measured === undefined ? text : `Average precision when trained: ${measured.toFixed(2)}`;
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
  }
}

// What the investigator does.

$("filters").addEventListener("submit", (event) => event.preventDefault());
$("filters").addEventListener("input", () => {
  const text = $("filter-text").value;
  if (text !== filter.text) {
    filter.of = new Set();
    clearTimeout(typing);
    typing = setTimeout(findMembers, TYPED_MS);
  }
  Object.assign(filter, {
    text,
    pattern: $("filter-pattern").value,
    state: $("filter-state").value,
  });
  queue.release();
  paint();
});
$("help-open").addEventListener("click", () => $("help").showModal());

function escape() {
  if (document.activeElement?.matches("input, select")) document.activeElement.blur();
  if (view.clear()) return;
  if (!$("filter-text").value && !$("filter-pattern").value && filter.state === OPEN) return;
  $("filter-text").value = $("filter-pattern").value = filter.text = filter.pattern = "";
  filter.of = new Set();
  $("filter-state").value = filter.state = OPEN;
  queue.release();
  paint();
}

listen({
  j: () => step(1),
  k: () => step(-1),
  "/": () => $("filter-text").focus(),
  "?": () => $("help").showModal(),
  v: () => view.turn(),
  f: () => view.fit(),
  Escape: escape,
});

// The focus goes there and the address stays: it names the ring.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("ring").focus();
});

window.addEventListener("hashchange", fromAddress);
document.addEventListener("visibilitychange", () => {
  // A browser opens six connections to one server: a page that nobody sees keeps only its alerts.
  if (document.hidden) ringStream.close();
  else {
    ringStream.open();
    alerts = 0;
    entitle();
  }
});

if (named() !== null) fromAddress();
ringStream.open();
alertStream.open();
readRings();
ready();
tellModel();
setInterval(() => queue.tick(rings.now()), TICK_MS);

// For tests, and for a look from the console; the page itself never reads it.
window.ringfence = { rings, view, queue, streams: { rings: ringStream, alerts: alertStream } };
