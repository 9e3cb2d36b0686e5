// A ring in sentences. The same ring always tells the same story; every figure leads to what it
// counts. A sentence is a list of parts: text, or {text, show: {entities, transactions}}.

import { ACCOUNTS, sharedAmong } from "./case.js";
import {
  counted,
  dayAndTime,
  day,
  keyOf,
  listed,
  money,
  sentence,
  span,
  time,
  visible,
  words,
} from "./text.js";

const MOST_NAMED = 3;

// What is done has no article ("structuring"), what is found has one ("a cycle").
const SEEN_AS = {
  blocked: "a blocked entity",
  impossible_travel: "an impossible journey",
  velocity: "a burst of attempts",
  cycle: "a cycle",
  ping_pong: "ping-pong",
  mule: "a pass-through mule",
  fan_in: "a fan-in",
  fan_out: "a fan-out",
  chain: "a chain",
  scatter_gather: "a scatter-gather",
  gather_scatter: "a gather-scatter",
  bipartite: "a bipartite layer",
  stack: "a stack of layers",
  feeder_tree: "a feeder tree",
  structuring: "structuring",
  shared_device: "a shared device",
  shared_card: "a shared card",
  shared_ip: "a shared IP",
  dormant_burst: "a dormant account in a burst",
  takeover: "an account takeover",
  bust_out: "a bust-out",
  card_testing: "card testing",
  collusive_merchant: "a collusive merchant",
  refund_abuse: "refund abuse",
  synthetic_identity: "a synthetic identity",
  dense_block: "a dense block",
  community: "a community",
  linked_suspects: "a group of linked suspects",
};

/** The story of a case (see `readCase`), as a list of sentences. */
export function story(found) {
  return [opening(found), passage(found), sharing(found), standing(found)].filter((s) => s.length);
}

function opening(found) {
  const { detail } = found;
  const users = [];
  const fringe = [];
  for (const { entity, role } of detail.members)
    if (entity.kind === "user") (role === "fringe" ? fringe : users).push(keyOf(entity));
  const witness = [...found.transfers.values()].filter((t) => t.witness);
  const seen = sentence(listed(detail.patterns.map(seenAs)));
  const parts = [`${seen} among `, link(counted(users.length, "user"), { entities: users })];
  if (fringe.length)
    parts.push(", with ", link(`${fringe.length} more`, { entities: fringe }), " at the fringe");
  if (!witness.length) return [...parts, ...withoutWitness(found), "."];
  const [first, last] = [witness[0].at, witness.at(-1).at];
  const ids = witness.map((t) => t.id);
  parts.push(". ", link(detail.money.text, { transactions: ids }), " moved");
  // Newer evidence of a fan replaces the older: then not every transaction of the ring is in it.
  const whole = witness.reduce((sum, t) => sum + t.minor, 0) === detail.money.minor;
  parts.push(
    whole ? " in " : "; the evidence below holds ",
    link(counted(witness.length, "transaction"), { transactions: ids }),
  );
  const until = day(first) === day(last) ? time(last) : dayAndTime(last);
  parts.push(
    first === last
      ? ` at ${dayAndTime(first)}. `
      : `, within ${span(last - first)}: ${dayAndTime(first)} to ${until} UTC. `,
  );
  const { recoverable } = detail;
  return [
    ...parts,
    recoverable.minor
      ? `At most ${recoverable.text} of it can still be recovered: it came to users of the ring and has not been seen to leave them.`
      : "Nothing of it can be recovered from users of the ring: it has left them all.",
  ];
}

/** No transaction is in evidence: that is not to say that no money moved. */
function withoutWitness({ detail, transfers, entities, currency }) {
  if (detail.money.minor)
    return [`; ${detail.money.text} moved, in evidence older than what is shown`];
  const inside = (key) => entities.get(key).member && entities.get(key).kind !== "outside";
  const among = ({ source, target }) => inside(source) && inside(target);
  const other = [...transfers.values()].filter(among);
  const none = "; no transaction between them is evidence of it";
  if (!other.length) return [none];
  const sum = money(
    other.reduce((all, transfer) => all + transfer.minor, 0),
    currency,
  );
  return [
    `${none}, though `,
    link(counted(other.length, "other transaction"), { transactions: other.map(({ id }) => id) }),
    ` of ${sum} went between them`,
  ];
}

const seenAs = (pattern) => SEEN_AS[pattern] ?? words(pattern);
const the = (pattern) => seenAs(pattern).replace(/^an? /, "the ");

/** How the money went: the strongest piece of evidence that has a witness. */
function passage(found) {
  const pieces = found.detail.evidence.filter((piece) => piece.hops.length);
  if (!pieces.length) return [];
  const main = pieces.reduce((best, piece) => (piece.strength > best.strength ? piece : best));
  const all = { transactions: main.hops.map((hop) => hop.transaction_id) };
  const centre = main.members[0].entity;
  const through = main.members.length - 1;
  const kept =
    main.retained === null
      ? ""
      : `; ${Math.round(main.retained * 100)} % of it was kept on the way`;
  const told = {
    cycle: () => [
      "Money left ",
      name(centre),
      ", passed through ",
      link(counted(through, "account"), all),
      ` and came home${kept}.`,
    ],
    ping_pong: () => [
      "Money went from ",
      name(centre),
      " and ",
      link("straight back", all),
      `${kept}.`,
    ],
    mule: () => throughMule(found, main, centre),
    fan_in: () => [
      link(counted(payers(main).size, "account"), all),
      " paid ",
      name(centre),
      " ",
      link(total(main.hops, found), all),
      ".",
    ],
    fan_out: () => [
      name(centre),
      " paid ",
      link(total(main.hops, found), all),
      " to ",
      link(counted(payees(main).size, "account"), all),
      ".",
    ],
  }[main.pattern];
  return told ? told() : [];
}

function throughMule(found, piece, centre) {
  const key = keyOf(centre);
  const ins = piece.hops.filter((hop) => hop.target !== null && keyOf(hop.target) === key);
  const outs = piece.hops.filter((hop) => hop.source !== null && keyOf(hop.source) === key);
  const ids = (hops) => ({ transactions: hops.map((hop) => hop.transaction_id) });
  const to = [
    ...new Map(
      outs.filter((hop) => hop.target !== null).map((hop) => [keyOf(hop.target), hop.target]),
    ).values(),
  ];
  const parts = [
    name(centre),
    " took ",
    link(total(ins, found), ids(ins)),
    " from ",
    link(counted(payers({ hops: ins }).size, "account"), ids(ins)),
  ];
  parts.push(" and passed on ", link(total(outs, found), ids(outs)));
  if (!to.length) return [...parts, " in cash or to the outside."];
  const outside = outs.some((hop) => hop.target === null) ? ", some of it to the outside" : "";
  if (to.length > MOST_NAMED)
    return [...parts, " to ", link(counted(to.length, "account"), ids(outs)), `${outside}.`];
  return [
    ...parts,
    " to ",
    ...to.flatMap((entity, i) => [
      i === 0 ? "" : i === to.length - 1 ? " and " : ", ",
      name(entity),
    ]),
    `${outside}.`,
  ];
}

const payers = (piece) =>
  new Set(piece.hops.filter((hop) => hop.source !== null).map((hop) => keyOf(hop.source)));
const payees = (piece) =>
  new Set(piece.hops.filter((hop) => hop.target !== null).map((hop) => keyOf(hop.target)));
const total = (hops, { currency }) =>
  money(
    hops.reduce((all, hop) => all + (hop.declined ? 0 : hop.money.minor), 0),
    currency,
  );

function sharing(found) {
  const accounts = new Set(
    [...found.entities.values()].filter((e) => e.member && ACCOUNTS.has(e.kind)).map((e) => e.key),
  );
  const shared = [...sharedAmong(found.links, accounts)].sort(
    (a, b) => weak(a[0]) - weak(b[0]) || b[1].size - a[1].size || (a[0] < b[0] ? -1 : 1),
  );
  if (!shared.length) return ["They share no device, card or address that we know of."];
  const [key, users] = shared[0];
  const { kind, id } = found.entities.get(key);
  const parts = [
    link(`${users.size} of them`, { entities: [...users, key] }),
    ` use one ${kind === "ip" ? "IP address" : kind}, `,
    name({ kind, id }),
  ];
  const rest = shared.slice(1);
  if (!rest.length) return [...parts, "."];
  const others = { entities: rest.flatMap(([k, of]) => [k, ...of]) };
  return [...parts, ", and share ", link(counted(rest.length, "more identifier"), others), "."];
}

const weak = (key) => key.startsWith("ip:"); // a carrier's NAT puts strangers behind one address

function standing(found) {
  const { detail } = found;
  const strongest = detail.evidence.reduce(
    (best, piece) => (!best || piece.strength > best.strength ? piece : best),
    null,
  );
  const parts = [`The ring scores ${detail.score.toFixed(2)}`];
  if (strongest) {
    parts.push(
      `; the strongest evidence is ${the(strongest.pattern)} (${strongest.strength.toFixed(2)})`,
    );
    if (detail.evidence.length > 1) parts.push(`, of ${counted(detail.evidence.length, "piece")}`);
  }
  parts.push(".");
  if (detail.truncated || detail.subgraph.truncated) {
    parts.push(" A search bound was hit: there may be more than is shown.");
  }
  return [parts.join("")];
}

const link = (text, show) => ({ text, show });
/** The name of an entity, which leads to it. */
export const name = ({ kind, id }) => ({
  text: visible(id),
  show: { entities: [`${kind}:${id}`] },
  name: true,
});

/** Split a sentence of the server where it names entities, so that each name leads to its entity. */
export function named(text, entities) {
  const names = entities
    .map((entity) => ({ ...entity, key: keyOf(entity) }))
    .sort((a, b) => b.key.length - a.key.length);
  const parts = [];
  let rest = text;
  for (let bound = 0; rest !== "" && bound < 64; bound++) {
    const hits = names
      .map((entity) => ({ entity, at: rest.indexOf(entity.key) }))
      .filter((hit) => hit.at >= 0);
    if (!hits.length) break;
    const { entity, at } = hits.reduce((a, b) => (b.at < a.at ? b : a));
    if (at > 0) parts.push(visible(rest.slice(0, at)));
    parts.push(name(entity));
    rest = rest.slice(at + entity.key.length);
  }
  if (rest !== "") parts.push(visible(rest));
  return parts;
}
