// What a ring's score rests on: what removing a member, a transfer or a piece of evidence does.

import { explained, fetchImportance } from "./client.js";
import { element, say } from "./element.js";
import { focusOf } from "./evidence.js";
import { keyOf, patternWords, shortened, visible } from "./text.js";

const MOST = 2; // effects of each kind that are listed

/** A fold that asks once it is opened; `show(focus)` brings out what is pressed. */
export function restsFold(ring, show, open) {
  const body = element("ul", { class: "effects", "aria-busy": "true" });
  const fold = element(
    "details",
    { class: "fold rests" },
    element("summary", {}, "What its score rests on"),
    body,
  );
  fold.addEventListener("toggle", () => fold.open && !body.dataset.told && fill(body, ring, show));
  fold.open = open;
  return fold;
}

async function fill(body, ring, show) {
  body.dataset.told = "";
  try {
    body.replaceChildren(...effects(await fetchImportance(ring.ring_id, MOST), show));
  } catch (problem) {
    delete body.dataset.told;
    const note = element("li", { class: "effect effect-note" });
    say(note, `${visible(problem.title)}. ${visible(explained(problem))}`);
    body.replaceChildren(note);
  }
  body.removeAttribute("aria-busy");
}

/** How much less, in words where it is next to nothing. */
function lessBy(drop) {
  return drop < 0.005 ? "hardly less" : `${drop.toFixed(2)} less`;
}

function effects(found, show) {
  const every = [
    ...found.members.map((each) => ({
      drop: each.drop,
      name: shortened(each.entity.id, 20),
      kind: each.entity.kind,
      focus: focusOf({ entities: [keyOf(each.entity)], transactions: each.transaction_ids }),
    })),
    ...found.hops.map((each) => ({
      drop: each.drop,
      name: each.hop.money.text,
      kind: "transfer",
      focus: focusOf({ transactions: [each.hop.transaction_id] }),
    })),
    ...found.evidence.map((each) => ({
      drop: each.drop,
      name: patternWords(each.pattern),
      kind: "evidence",
      focus: focusOf({
        entities: each.members.map(keyOf),
        transactions: each.transaction_ids,
      }),
    })),
  ].sort((a, b) => b.drop - a.drop);
  const rows = every
    .filter(({ drop }) => drop > 0)
    .map(({ drop, name, kind, focus }) =>
      element(
        "li",
        { class: "effect", "data-effect": kind },
        element("button", { type: "button", class: "ref", onclick: () => show(focus) }, visible(name)),
        ` (${kind}): without it ${lessBy(drop)}`,
      ),
    );
  const by =
    found.scored_by === "ring_head"
      ? `By the ring head, in log-odds; with everybody ${found.score.toFixed(2)}.`
      : `By the engine's own score; with everybody ${found.score.toFixed(2)}.`;
  const none = rows.length ? "" : " It stands without each single part.";
  const cut = found.truncated ? " A bound was hit: the ring is larger than what was tried." : "";
  return [...rows, element("li", { class: "effect effect-note" }, `${by}${none}${cut}`)];
}
