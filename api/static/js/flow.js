// The money-flow drawing: which nodes are shown, in which column, at which place.
//
// Columns are hops: who is paid stands to the right of who pays, as far as time allows; money that
// comes home goes back over the top. On a narrow page the columns are rows, and money flows down.
// A place that was given is kept, so nothing jumps when a ring
// grows: a new account takes the free place nearest to those it deals with.

import { ACCOUNTS, sharedAmong } from "./case.js";

export const MOST_NODES = 40;
const MOST_IN_COLUMN = 6; // more, and amounts can no longer be read at the size of a page
const MOST_IDENTIFIERS = 8;
const MOST_COLUMNS = 12;
const LOOSE_IN_ROW = 6;
const NARROW = 3; // columns beside which there is room for more
const COLUMN = 212;
const WIDE = 272; // between columns, where there are few
const ROW = 80;
const DOWN = 128; // between rows of hops where money flows down
const ACROSS = 116; // in such a row
const MOST_IN_ROW = 3;
const LETTERS = 13; // of an id there
const SWEEPS = 4;
const TRIES = 120;

const RANK = [
  "controller",
  "mule",
  "cash_out",
  "member",
  "shared",
  "sender",
  "receiver",
  "victim",
  "bystander",
  "fringe",
];
const rankOf = (role) => (RANK.indexOf(role) + RANK.length + 1) % (RANK.length + 1);

/** What a drawing remembers: whether it has a wide place, where its nodes are, their columns, and
 * which stacks were opened. */
export const emptyPlan = (wide) => ({
  wide,
  places: new Map(),
  columns: new Map(),
  opened: new Set(),
});

/**
 * Draw the flow of a case.
 *
 * @param {object} found what `readCase` gives
 * @param {object} plan what `emptyPlan` gives; it is extended, never rewritten
 * @returns {{nodes: object[], edges: object[], beside: number}} nodes are entities with `place`, or
 *   stacks with `keys`; edges join shown nodes, hold the `transfers` they stand for and say which
 *   way it `flows`; `beside` is
 *   how many entities around the ring the network view has more
 */
export function drawFlow(found, plan) {
  const transfers = [...found.transfers.values()];
  const ring = new Set();
  for (const entity of found.entities.values()) {
    const holdsMoney = ACCOUNTS.has(entity.kind) || entity.kind === "outside";
    if (holdsMoney && (entity.member || entity.paid)) ring.add(entity.key);
  }
  const within = transfers.filter((t) => ring.has(t.source) && ring.has(t.target));
  const witness = within.filter((t) => t.witness);
  columnsOf(witness, plan.columns);

  const identifiers = identifiersOf(found, ring);
  const loose = [...ring].filter((key) => !plan.columns.has(key));
  const groups = grouped(found, [...ring], plan);
  const shown = capped(found, groups, loose, identifiers, plan);
  place(found, shown, witness, identifiers, plan);

  const stands = new Map(); // entity -> the node that stands for it
  for (const node of shown) for (const key of node.keys) stands.set(key, node.key);
  return {
    nodes: shown.map((node) => ({
      ...node,
      place: plan.places.get(node.key),
      ...(plan.wide ? {} : { most: LETTERS }),
    })),
    edges: joined(within, found.links, stands).map((edge) => ({
      ...edge,
      flows: plan.wide ? "right" : "down",
    })),
    beside: found.entities.size - ring.size - identifiers.size,
  };
}

/** Edges between shown nodes: one for all transfers of a pair, dashed ones for what is shared. */
export function joined(transfers, links, stands) {
  const edges = new Map();
  const edge = (kind, source, target) => {
    const key = `${kind} ${source} ${target}`;
    if (!edges.has(key)) edges.set(key, { key, kind, source, target, transfers: [], minor: 0 });
    return edges.get(key);
  };
  for (const transfer of transfers) {
    const source = stands.get(transfer.source);
    const target = stands.get(transfer.target);
    if (source === undefined || target === undefined || source === target) continue;
    const to = edge(transfer.witness ? "witness" : "money", source, target);
    to.transfers.push(transfer.id);
    to.minor += transfer.minor;
    to.currency = transfer.currency;
  }
  for (const { user, identifier } of links) {
    const source = stands.get(user);
    const target = stands.get(identifier);
    if (source !== undefined && target !== undefined && source !== target) {
      edge("shared", source, target).links = true;
    }
  }
  return [...edges.values()];
}

/** Give a column to every account that witness money touches and that has none yet. */
function columnsOf(witness, columns) {
  const after = new Map();
  const before = new Map();
  const add = (map, key, value) => map.set(key, (map.get(key) ?? new Set()).add(value));
  for (const { source, target } of witness) {
    // Money that comes home closes a cycle: it is drawn back, and moves nobody to the right.
    if (source === target || reaches(after, target, source)) continue;
    add(after, source, target);
    add(before, target, source);
  }
  const fresh = new Set();
  for (const { source, target } of witness) {
    for (const key of [source, target]) if (!columns.has(key)) fresh.add(key);
  }
  const first = columns.size === 0;
  const depth = (key) => {
    if (columns.has(key)) return columns.get(key);
    const behind = [...(before.get(key) ?? [])].map(depth);
    const column = behind.length ? Math.max(...behind) + 1 : 0;
    columns.set(key, Math.min(column, MOST_COLUMNS - 1));
    return columns.get(key);
  };
  for (const key of fresh) if ((before.get(key)?.size ?? 0) > 0) depth(key);
  for (const key of fresh) {
    // Who only sends stands right before whom it pays, and not far off at the left edge.
    if ((before.get(key)?.size ?? 0) > 0) continue;
    const ahead = [...(after.get(key) ?? [])]
      .filter((k) => columns.has(k))
      .map((k) => columns.get(k));
    columns.set(key, ahead.length ? Math.min(...ahead) - 1 : 0);
  }
  if (first && columns.has("outside:out")) {
    columns.set("outside:out", Math.max(...columns.values()));
  }
}

function reaches(after, from, to) {
  const waiting = [from];
  const seen = new Set(waiting);
  while (waiting.length) {
    const key = waiting.pop();
    if (key === to) return true;
    for (const next of after.get(key) ?? []) {
      if (!seen.has(next)) seen.add(next) && waiting.push(next);
    }
  }
  return false;
}

/** Members of the ring, and devices and cards that its accounts share. Addresses that are no
 * evidence tie strangers together (a carrier's NAT): only the network shows them. */
function identifiersOf(found, ring) {
  const shared = sharedAmong(found.links, ring);
  const kept = new Map();
  for (const entity of found.entities.values()) {
    if (ACCOUNTS.has(entity.kind) || entity.kind === "outside") continue;
    if (entity.member || (entity.kind !== "ip" && shared.has(entity.key))) {
      kept.set(entity.key, shared.get(entity.key) ?? new Set());
    }
  }
  return kept;
}

const priority = (found, plan) => (a, b) => {
  const [x, y] = [found.entities.get(a), found.entities.get(b)];
  return (
    plan.places.has(b) - plan.places.has(a) ||
    rankOf(x.role) - rankOf(y.role) ||
    y.sent + y.received - (x.sent + x.received) ||
    (a < b ? -1 : 1)
  );
};

/** Accounts by column and role: what may be stacked together. */
function grouped(found, accounts, plan) {
  const groups = new Map();
  for (const key of accounts) {
    const column = plan.columns.get(key);
    const { role, kind } = found.entities.get(key);
    // Cash has no role, as accounts that are no members: it is none of them.
    const part = kind === "outside" ? kind : (role ?? "none");
    const name = `stack:${column ?? "loose"}:${part}`;
    if (!groups.has(name)) groups.set(name, { name, column, role, keys: [] });
    groups.get(name).keys.push(key);
  }
  for (const group of groups.values()) group.keys.sort(priority(found, plan));
  return [...groups.values()];
}

/** The nodes to show: as many of each group as fit into MOST_NODES, the rest as "+n more". */
function capped(found, groups, loose, identifiers, plan) {
  const named = [...identifiers.keys()].sort(priority(found, plan));
  const columns = Map.groupBy ? Map.groupBy(groups, (group) => group.column) : byColumn(groups);
  const alone = loose.length === groups.reduce((sum, group) => sum + group.keys.length, 0);
  // Beside a flow, many who moved no money are told as numbers; on their own they are the drawing.
  const most = plan.wide
    ? { open: MOST_NODES, closed: MOST_IN_COLUMN, named: MOST_IDENTIFIERS }
    : { open: MOST_NODES, closed: MOST_IN_ROW, named: MOST_IN_ROW };
  const looseMost = alone ? 3 * LOOSE_IN_ROW : loose.length > LOOSE_IN_ROW ? 1 : LOOSE_IN_ROW;
  for (;;) {
    const limits = new Map();
    for (const [column, of] of columns)
      shareOut(of, column === undefined ? looseMost : most.closed, limits);
    const limit = (group) => (plan.opened.has(group.name) ? most.open : limits.get(group));
    const nodes = [
      ...groups.flatMap((group) => cut(found, group, limit(group))),
      ...cut(found, { name: "stack:identifiers", role: "shared", keys: named }, most.named),
    ];
    if (nodes.length <= MOST_NODES || (most.open <= 1 && most.closed <= 1 && most.named <= 1)) {
      return nodes.slice(0, MOST_NODES);
    }
    // What was opened by hand gives way last.
    if (most.closed > 2) most.closed -= 1;
    else if (most.named > 3) most.named -= 1;
    else if (most.open > 2) most.open -= 1;
    else Object.assign(most, { open: 1, closed: 1, named: 1 });
  }
}

/** The rooms of one column: one for each of its groups, the others by turns, roles of weight first. */
function shareOut(groups, rooms, limits) {
  const ordered = [...groups].sort((a, b) => rankOf(a.role) - rankOf(b.role));
  for (const group of ordered) limits.set(group, 1);
  let left = rooms - groups.length;
  while (left > 0) {
    const crowded = ordered.filter((group) => group.keys.length > limits.get(group));
    if (!crowded.length) return;
    for (const group of crowded.slice(0, left)) limits.set(group, limits.get(group) + 1);
    left -= crowded.length;
  }
}

function byColumn(groups) {
  const columns = new Map();
  for (const group of groups)
    columns.set(group.column, [...(columns.get(group.column) ?? []), group]);
  return columns;
}

function cut(found, { name, column, role, keys }, most) {
  const single = keys.length <= most ? keys : keys.slice(0, most - 1);
  const nodes = single.map((key) => ({ ...found.entities.get(key), keys: [key], column }));
  if (single.length < keys.length) {
    const rest = keys.slice(single.length);
    const { kind } = found.entities.get(rest[0]);
    nodes.push({
      key: name,
      kind,
      id: "",
      role,
      member: true,
      keys: rest,
      column,
      stack: true,
      whole: single.length === 0,
    });
  }
  return nodes;
}

/** Give a place to every shown node that has none. */
function place(found, shown, witness, identifiers, plan) {
  const { places } = plan;
  const fresh = shown.filter((node) => !places.has(node.key));
  const money = fresh.filter((node) => node.column !== undefined);
  const loose = fresh.filter((node) => node.column === undefined && ACCOUNTS.has(node.kind));
  const named = fresh.filter((node) => !money.includes(node) && !loose.includes(node));
  plan.gap ??=
    plan.wide && new Set(money.map((node) => node.column)).size <= NARROW + 1 ? WIDE : COLUMN;
  if (!plan.wide) {
    placeDown(money, [...loose, ...named], witness, plan);
    return;
  }
  if (places.size === 0) arrange(money, witness, places, plan.gap);
  else
    for (const node of money)
      settle(node.key, node.column * plan.gap, beside(node, witness, places), -ROW, places);

  if (loose.length) placeLoose(loose, plan);
  if (plan.cellar === undefined && named.length) plan.cellar = bottom(places) + ROW * 1.1;
  for (const node of named) {
    const users = node.keys.flatMap((key) => [...(identifiers.get(key) ?? [])]);
    const xs = users.filter((key) => places.has(key)).map((key) => places.get(key).x);
    const x = xs.length ? xs.reduce((a, b) => a + b) / xs.length : middle(places);
    settle(node.key, x, plan.cellar, 0, places);
  }
}

/** The same from top to bottom: hops are rows, and below them is what moved no money. */
function placeDown(money, rest, witness, plan) {
  const { places } = plan;
  if (places.size === 0) {
    arrange(money, witness, places, DOWN);
    for (const { key } of money) {
      const { x, y } = places.get(key);
      places.set(key, { x: (y / ROW) * ACROSS, y: x });
    }
  } else {
    for (const node of money) {
      const x = beside(node, witness, places, "x");
      settle(node.key, x, node.column * DOWN, 0, places, { x: ACROSS, y: DOWN });
    }
  }
  if (!rest.length) return;
  plan.cellar ??= bottom(places) + (places.size ? DOWN : 0);
  const across = Math.min(rest.length, MOST_IN_ROW) - 1;
  const taken = [...places.values()].filter(({ y }) => y >= plan.cellar).length;
  rest.forEach((node, i) => {
    const [row, at] = [Math.floor((taken + i) / MOST_IN_ROW), (taken + i) % MOST_IN_ROW];
    const x = (at - (taken ? MOST_IN_ROW - 1 : across) / 2) * ACROSS;
    settle(node.key, x, plan.cellar + row * ROW, 0, places, { x: ACROSS, y: ROW });
  });
}

/** Who moved no money stands apart: beside a narrow flow, below a wide one, in rows if alone. */
function placeLoose(loose, plan) {
  const { places } = plan;
  plan.apart ??= {
    right: places.size ? Math.max(...[...places.values()].map(({ x }) => x)) + COLUMN * 1.1 : null,
    beside:
      plan.wide &&
      places.size > 0 &&
      new Set([...places.values()].map(({ x }) => x)).size <= NARROW,
    below: bottom(places) + (places.size ? ROW * 1.15 : 0),
    centre: middle(places),
  };
  const { right, beside: narrow, below, centre } = plan.apart;
  const across = Math.min(loose.length, LOOSE_IN_ROW) - 1;
  loose.forEach((node, i) => {
    const [row, at] = [Math.floor(i / LOOSE_IN_ROW), i % LOOSE_IN_ROW];
    if (narrow)
      settle(node.key, right + row * COLUMN * 0.75, (at - across / 2) * ROW, -ROW, places);
    else settle(node.key, centre + (at - across / 2) * COLUMN * 0.75, below + row * ROW, 0, places);
  });
}

/** First drawing: columns in the order that crosses least, each centred. */
function arrange(nodes, witness, places, gap) {
  const columns = new Map();
  for (const node of nodes) {
    if (!columns.has(node.column)) columns.set(node.column, []);
    columns.get(node.column).push(node);
  }
  const stands = new Map(nodes.flatMap((node) => node.keys.map((key) => [key, node.key])));
  const partners = new Map(nodes.map((node) => [node.key, []]));
  for (const { source, target } of witness) {
    const [a, b] = [stands.get(source), stands.get(target)];
    if (a === undefined || b === undefined || a === b) continue;
    partners.get(a).push(b);
    partners.get(b).push(a);
  }
  const y = new Map();
  const spread = (column) => {
    column.forEach((node, i) => y.set(node.key, (i - (column.length - 1) / 2) * ROW));
  };
  for (const column of columns.values()) spread(column);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (const column of columns.values()) {
      const wish = new Map(
        column.map(({ key }) => [
          key,
          mean(
            partners.get(key).map((k) => y.get(k)),
            y.get(key),
          ),
        ]),
      );
      column.sort((a, b) => wish.get(a.key) - wish.get(b.key));
      spread(column);
    }
  }
  for (const node of nodes) places.set(node.key, { x: node.column * gap, y: y.get(node.key) });
}

const mean = (values, otherwise) =>
  values.length ? values.reduce((a, b) => a + b) / values.length : otherwise;

/** The height, or what is across the flow, at which a new account would stand best: beside those it deals with. */
function beside(node, witness, places, axis = "y") {
  const heights = [];
  for (const { source, target } of witness) {
    if (node.keys.includes(source) && places.has(target)) heights.push(places.get(target)[axis]);
    if (node.keys.includes(target) && places.has(source)) heights.push(places.get(source)[axis]);
  }
  return mean(heights, 0);
}

/** The first free place from (x, y): upwards where `step` is given, else to both sides. */
function settle(key, x, y, step, places, room = { x: COLUMN * 0.65, y: ROW }) {
  const free = (px, py) =>
    [...places.values()].every(
      (at) => Math.abs(at.x - px) >= room.x * 0.95 || Math.abs(at.y - py) >= room.y * 0.95,
    );
  for (let i = 0; i < TRIES; i++) {
    const side = (i % 2 ? -1 : 1) * Math.ceil(i / 2) * room.x;
    const at = step ? { x, y: y + i * step } : { x: x + side, y };
    if (i === TRIES - 1 || free(at.x, at.y)) {
      places.set(key, at);
      return;
    }
  }
}

function bottom(places) {
  return places.size ? Math.max(...[...places.values()].map((at) => at.y)) : 0;
}

function middle(places) {
  if (!places.size) return 0;
  const xs = [...places.values()].map((at) => at.x);
  return (Math.min(...xs) + Math.max(...xs)) / 2;
}
