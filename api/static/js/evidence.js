// What proves the ring: evidence in words with its transactions, its life, and who is in it.

import { whyFold } from "./contributions.js";
import { badge, element } from "./element.js";
import { name as nameOf, named } from "./story.js";
import { chips } from "./queue.js";
import { counted, dayAndTime, day, keyOf, money, shortened, time, visible, words } from "./text.js";

const MOST_HOPS = 60; // rows of one table before "show all"

/** Parts of a sentence as nodes: text, or a button that shows what it counts. */
export function told(parts, show) {
  return parts.map((part) =>
    typeof part === "string"
      ? part
      : element(
          "button",
          {
            type: "button",
            class: part.name ? "ref ref-name" : "ref",
            onclick: () => show(focusOf(part.show)),
          },
          part.name ? element("bdi", {}, shortened(part.text, 28)) : part.text,
        ),
  );
}

/** Something to bring out in the drawing and the tables. */
export function focusOf({ entities = [], transactions = [], ordered = null }) {
  return { entities: new Set(entities), transactions: new Set(transactions), ordered };
}

/** The evidence, the strongest first, one card a piece. */
export function evidenceCards(detail, show) {
  const pieces = [...detail.evidence].sort(
    (a, b) => b.strength - a.strength || Date.parse(b.seen_at) - Date.parse(a.seen_at),
  );
  const shows = (ids) => {
    const named = pieces.filter((piece) => ids.includes(piece.evidence_id));
    return named.length ? () => show(together(named)) : null;
  };
  return pieces.map((piece, i) => card(piece, show, shows, i === 0 || pieces.length <= 3));
}

/** All that some pieces of evidence name. */
const together = (pieces) =>
  focusOf({
    entities: pieces.flatMap((piece) => piece.members.map(({ entity }) => keyOf(entity))),
    transactions: pieces.flatMap((piece) => piece.hops.map((hop) => hop.transaction_id)),
  });

function card(piece, show, shows, open) {
  const entities = piece.members.map(({ entity }) => entity);
  const ordered = piece.hops.map((hop) => hop.transaction_id);
  const all = focusOf({ entities: entities.map(keyOf), transactions: ordered, ordered });
  const about = element(
    "div",
    { class: "card-head" },
    ...chips([piece.pattern]),
    element(
      "span",
      { class: "card-strength", title: "How strongly it speaks for fraud" },
      `strength ${piece.strength.toFixed(2)}`,
    ),
    piece.retained === null
      ? null
      : element("span", {}, `${Math.round(piece.retained * 100)} % kept`),
    element("span", { class: "card-time" }, `${dayAndTime(Date.parse(piece.seen_at))}`),
  );
  const drawn = element(
    "button",
    { type: "button", class: "plain small", onclick: () => show(all) },
    "Show in drawing",
  );
  const said = element("p", { class: "card-reason" }, ...told(named(piece.reason, entities), show));
  const foot = element(
    "div",
    { class: "card-foot" },
    drawn,
    piece.truncated ? element("span", { class: "bound" }, boundOf(piece)) : null,
  );
  const made = element(
    "li",
    { class: "card", "data-evidence": piece.evidence_id },
    about,
    said,
    foot,
  );
  if (piece.hops.length) {
    const label = counted(piece.hops.length, "transaction");
    const fold = element(
      "details",
      { open, class: "fold", "data-fold": "hops" },
      element("summary", {}, label),
    );
    const fill = () => fold.children.length === 1 && fold.append(hopTable(piece, show));
    if (open) fill();
    else fold.addEventListener("toggle", fill, { once: true });
    // The last one is the one that mostly completed it, so its verdict was no quiet approval.
    made.append(fold, whyFold(ordered.at(-1), shows));
  }
  return made;
}

function boundOf({ facts, hops }) {
  const all = facts.transactions ?? 0;
  if (all <= hops.length) return "A search bound was hit: there may be more.";
  return `The newest ${hops.length} of ${all} transactions are listed.`;
}

/** Every transaction of the ring, as one more card; none where one piece shows them all. */
export function wholeCard({ transactions, transaction_count: all, evidence }, show) {
  if (!transactions.length || evidence.some(({ hops }) => hops.length >= all)) return [];
  const listed = transactions.length < all ? `${transactions.length} of ${all}` : `All ${all}`;
  const ordered = transactions.map((hop) => hop.transaction_id);
  const fold = element(
    "details",
    { class: "fold", "data-fold": "hops" },
    element("summary", {}, `${listed} transactions of the ring`),
  );
  const fill = () =>
    fold.children.length === 1 && fold.append(hopTable({ hops: transactions }, show));
  fold.addEventListener("toggle", fill, { once: true });
  const drawn = element(
    "button",
    {
      type: "button",
      class: "plain small",
      onclick: () => show(focusOf({ transactions: ordered, ordered })),
    },
    "Show in drawing",
  );
  const why = "What its money is the sum of, in order of time, whichever evidence shows it.";
  return [
    element(
      "li",
      { class: "card", "data-evidence": "all" },
      element("p", { class: "card-reason" }, why),
      element("div", { class: "card-foot" }, drawn),
      fold,
    ),
  ];
}

function hopTable(piece, show) {
  const days = new Set(piece.hops.map((hop) => day(Date.parse(hop.timestamp))));
  const when = days.size > 1 ? dayAndTime : time;
  const row = (hop, i) =>
    element(
      "tr",
      {
        "data-transaction": hop.transaction_id,
        onclick: () => show(focusOf({ transactions: [hop.transaction_id] })),
      },
      element("td", { class: "at-rank" }, `${i + 1}`),
      element("td", { class: "at-when" }, when(Date.parse(hop.timestamp))),
      element("td", { class: "at-from" }, party(hop.source, "from outside")),
      element("td", { class: "at-to" }, party(hop.target, "cash / outside")),
      element(
        "td",
        { class: "at-amount amount" },
        hop.money.text,
        hop.declined ? element("span", { class: "faint" }, " declined") : "",
      ),
      element(
        "td",
        { class: "at-id" },
        element(
          "button",
          { type: "button", class: "ref ref-name", title: visible(hop.transaction_id) },
          element("bdi", {}, shortened(hop.transaction_id, 20)),
        ),
      ),
    );
  const body = element("tbody", {}, ...piece.hops.slice(0, MOST_HOPS).map(row));
  const head = {
    rank: "#",
    when: days.size > 1 ? "When (UTC)" : `${[...days][0]}, UTC`,
    from: "From",
    to: "To",
    amount: "Amount",
    id: "Transaction",
  };
  const table = element(
    "table",
    { class: "hops" },
    element(
      "thead",
      {},
      element(
        "tr",
        {},
        ...Object.entries(head).map(([at, name]) =>
          element("th", { scope: "col", class: `at-${at}` }, name),
        ),
      ),
    ),
    body,
  );
  const rest = piece.hops.slice(MOST_HOPS);
  const more = rest.length
    ? element(
        "button",
        {
          type: "button",
          class: "plain small",
          onclick: (event) => {
            body.append(...rest.map((hop, i) => row(hop, i + MOST_HOPS)));
            event.currentTarget.remove();
          },
        },
        `Show ${rest.length} more`,
      )
    : null;
  return element("div", { class: "scrolling" }, table, more);
}

function party(entity, otherwise) {
  if (entity === null) return element("span", { class: "faint" }, otherwise);
  return element(
    "bdi",
    { title: visible(`${entity.kind} ${entity.id}`) },
    shortened(entity.id, 20),
  );
}

/** "12 events", or how many of the newest are kept where its beginning is not among them. */
export function eventsOf({ timeline: told }) {
  const whole = told.length === 0 || told[0].kind === "born";
  return whole ? counted(told.length, "event") : `the newest ${counted(told.length, "event")}`;
}

/** What happened to the ring, the newest first; what was said again and again, once. */
export function timeline(detail) {
  const told = [];
  for (const entry of [...detail.timeline].reverse()) {
    const last = told.at(-1);
    const same = last?.entry.text === entry.text && last.entry.money.minor === entry.money.minor;
    if (same) last.times += 1;
    else told.push({ entry, times: 1 });
  }
  return told
    .map(({ entry, times }) =>
      element(
        "li",
        { class: `event event-${entry.kind}`, "data-kind": entry.kind },
        element("time", { datetime: entry.at }, dayAndTime(Date.parse(entry.at))),
        element(
          "span",
          { class: "event-text" },
          visible(entry.text),
          times > 1 ? element("span", { class: "faint" }, ` ${times} times`) : "",
        ),
        element(
          "span",
          { class: "event-money", title: "Money of the ring, right after" },
          entry.money.text,
        ),
      ),
    );
}

/** What would clear the ring: the entities without whom nothing of it would alert. */
export function clearings(detail, show) {
  const { clearing, score, alert_score: alert, tried, truncated } = detail.clears;
  const { likelihood, alert_likelihood: enough } = detail.clears;
  const note = (text) => element("li", { class: "clearing clearing-note" }, text);
  const rows = clearing.map(({ entity, remaining, likelihood: likely }) =>
    element(
      "li",
      { class: "clearing", "data-clears": keyOf(entity) },
      "Without ",
      ...told([nameOf(entity)], show),
      remaining > 0
        ? ` it would score ${remaining.toFixed(2)}${asLikely(likely)}: nobody would be alerted.`
        : " nothing would be left.",
    ),
  );
  if (score < alert) rows.push(note(`It is below ${alert.toFixed(2)} and alerts nobody as it is.`));
  else if (likelihood !== null && likelihood < enough)
    rows.push(
      note(`It is ${likelihood.toFixed(2)} likely, below ${enough.toFixed(2)}: no new alert as it is.`),
    );
  else if (!rows.length)
    rows.push(note(`No single one of ${counted(tried, "member")} tried: it stands without each.`));
  if (truncated) rows.push(note("A bound was hit: others may clear it as well."));
  return rows;
}

const asLikely = (likelihood) =>
  likelihood === null ? "" : ` and be ${likelihood.toFixed(2)} likely`;

/** Everyone in the ring: the drawing as a table, for the keyboard and for screen readers. */
export function memberRows(found, show) {
  const rank = [
    "controller",
    "cash_out",
    "mule",
    "victim",
    "shared",
    "bystander",
    "fringe",
    null,
  ];
  const everybody = [...found.entities.values()].filter(({ kind }) => kind !== "outside");
  const members = [...found.entities.values()].filter(
    (entity) => entity.member && entity.kind !== "outside",
  );
  members.sort(
    (a, b) =>
      rank.indexOf(a.role) - rank.indexOf(b.role) ||
      b.received + b.sent - a.received - a.sent ||
      (a.key < b.key ? -1 : 1),
  );
  const sum = (minor) => (minor ? money(minor, found.currency) : "–");
  return members.map((entity) =>
    element(
      "tr",
      {
        "data-entity": entity.key,
        onclick: () =>
          show(focusOf({ entities: [entity.key], transactions: touching(found, entity.key) })),
      },
      element(
        "td",
        { class: "at-who" },
        element(
          "span",
          { class: "who" },
          badge(entity.kind, entity.role),
          element(
            "span",
            {},
            element(
              "button",
              { type: "button", class: "ref ref-name", title: visible(entity.id) },
              element("bdi", {}, shortened(entity.id, 22)),
            ),
            element("span", { class: "who-kind" }, entity.kind === "ip" ? "IP" : entity.kind),
          ),
        ),
      ),
      element(
        "td",
        { class: "at-part" },
        element("span", { class: "part-role" }, entity.role === null ? "–" : words(entity.role)),
        element("span", { class: "part-reason" }, ...told(named(entity.reason, everybody), show)),
      ),
      element("td", { class: "at-received" }, sum(entity.received)),
      element("td", { class: "at-sent" }, sum(entity.sent)),
    ),
  );
}

/** Witness transactions that an entity is an end of. */
export function touching(found, key) {
  return [...found.transfers.values()]
    .filter((t) => t.source === key || t.target === key)
    .map((t) => t.id);
}
