// Why a transaction got its score: what each feature of the model added, as a table with bars.

import { explained, fetchContributions } from "./client.js";
import { element, say } from "./element.js";
import { counted, shortened, visible, words } from "./text.js";

const MOST_HELD = 50; // explanations remembered: one never changes
const held = new Map();
const UNITS = new Set(["share", "ratio", "days", "sd", "digits", "nats"]); // said beside a value

/**
 * A fold that asks once it is opened. `shows(ids)` is what to do at a press on "shown by ...", or
 * null where none of that evidence is on the page.
 */
export function whyFold(transaction, shows) {
  const body = element("div", { class: "why", "aria-busy": "true" }, "Asking …");
  const fold = element(
    "details",
    { class: "fold", "data-fold": "why", "data-why": transaction },
    element(
      "summary",
      { title: visible(transaction) },
      "Why ",
      element("bdi", {}, shortened(transaction, 20)),
      " got its score",
    ),
    body,
  );
  fold.addEventListener("toggle", () => fold.open && !body.dataset.told && fill(body, transaction, shows));
  return fold;
}

async function fill(body, transaction, shows) {
  try {
    if (!held.has(transaction)) {
      held.set(transaction, await fetchContributions(transaction));
      if (held.size > MOST_HELD) held.delete(held.keys().next().value);
    }
    body.replaceChildren(...shown(held.get(transaction), shows));
    body.classList.remove("faint");
    body.dataset.told = "";
  } catch (problem) {
    body.classList.add("faint");
    say(body, `${visible(problem.title)}. ${visible(explained(problem))}`);
  }
  body.removeAttribute("aria-busy");
}

function shown(found, shows) {
  const most = Math.max(
    ...[found.base, found.rest.contribution, ...found.features.map((each) => each.contribution)].map(
      Math.abs,
    ),
  );
  const rows = [
    row("An average transaction", "where the model starts", "", found.base, most),
    ...found.features.map((each) =>
      row(
        words(each.name),
        each.meaning,
        valueOf(each),
        each.contribution,
        most,
        pointer(each.evidence_ids, shows),
      ),
    ),
    row(
      `${counted(found.rest.features, "other feature")} together`,
      "",
      "",
      found.rest.contribution,
      most,
    ),
  ];
  const table = element(
    "table",
    { class: "why-table" },
    element("caption", { class: "unseen" }, "What each feature added, in log-odds"),
    element(
      "thead",
      {},
      element(
        "tr",
        {},
        element("th", { scope: "col" }, "Feature"),
        element("th", { scope: "col", class: "number" }, "Value"),
        element("th", { scope: "col", class: "number", colspan: 2 }, "Added (log-odds)"),
      ),
    ),
    element("tbody", {}, ...rows),
    element(
      "tfoot",
      {},
      element(
        "tr",
        {},
        element(
          "th",
          { scope: "row", colspan: 2 },
          "The model's margin",
          element("span", { class: "why-meaning" }, `calibrated: ${found.model_score.toFixed(3)}`),
        ),
        element("td", { class: "number", colspan: 2 }, signed(found.margin)),
      ),
    ),
  );
  return [
    element("p", { class: "why-sum" }, ...sum(found)),
    element("div", { class: "scrolling" }, table),
    element(
      "p",
      { class: "why-note" },
      "Exact contributions (TreeSHAP). They say what the model rests on, not what caused what.",
    ),
  ];
}

const TERMS = {
  intercept: "to begin with",
  ring: "the ring",
  evidence: "the evidence",
  recent_own: "what was thought of the user's recent transactions",
  recent_others: "what was thought of recent transactions of the others in it",
  gnn: "the graph model: how they and those around them have lived",
};

/** "Score 0.91, decline: in log-odds −1.32 to begin with, +0.28 the ring …, together +2.31." */
function sum(found) {
  const { terms, score, decision, model_score: alone } = found;
  const model = `the model, which alone says ${alone.toFixed(3)}`;
  const parts = terms
    .filter(({ contribution }) => contribution)
    .map(({ name, contribution }) => `${signed(contribution)} ${TERMS[name] ?? model}`);
  const whole = terms.reduce((all, { contribution }) => all + contribution, 0);
  return [
    element("strong", {}, `Score ${score.toFixed(3)}`),
    `, ${words(decision)}: in log-odds ${parts.join(", ")}; together ${signed(whole)}.`,
  ];
}

/** What of the evidence shows it as transactions: pressed, the drawing and the tables do. */
function pointer(ids, shows) {
  if (!ids.length) return null;
  const text = `shown by ${counted(ids.length, "piece")} of evidence`;
  const act = shows(ids);
  if (act === null) return element("span", { class: "why-meaning" }, text);
  return element("button", { type: "button", class: "ref why-ref", onclick: act }, text);
}

function row(name, meaning, value, added, most, pointed = null) {
  const bar = element("span", {
    class: `why-bar ${added < 0 ? "against" : "for"}`,
    "aria-hidden": "true",
  });
  bar.style.setProperty("--share", most ? Math.abs(added) / most : 0);
  return element(
    "tr",
    {},
    element(
      "th",
      { scope: "row" },
      name,
      element("span", { class: "why-meaning" }, meaning),
      pointed,
    ),
    element("td", { class: "number" }, value),
    element("td", { class: "why-drawn" }, bar),
    element("td", { class: "number amount" }, signed(added)),
  );
}

function valueOf({ value, unit }) {
  if (value === null) return "not known";
  const text = Number(value.toPrecision(3)).toLocaleString("en");
  return UNITS.has(unit) ? `${text} ${unit}` : text;
}

function signed(value) {
  const text = Math.abs(value).toFixed(2);
  if (text === "0.00") return text;
  return `${value < 0 ? "−" : "+"}${text}`;
}
