// A ring as the page works with it: its entities and transfers, read once from `RingDetail`.

import { currencyOf, keyOf } from "./text.js";

export const ACCOUNTS = new Set(["user", "merchant"]);
const OUTSIDE = { in: "outside:in", out: "outside:out" };

/**
 * Read a `RingDetail`.
 *
 * `entities` maps keys to {key, kind, id, role, reason, member, paid, received, sent}: `reason` says
 * why it has its role, `paid` is whether witness money touches it, as it may somebody who is no
 * member (a mule's acquaintance), and `received` and `sent` are that money. `transfers` maps
 * transaction ids to {id, source, target, minor, currency, at, witness}, source and target being
 * keys, in order of time; `links` are {user, identifier}. Money that came from or went outside the
 * graph has an entity of its own at that end. `currency` says how sums are written (`currencyOf`):
 * everything is in the base currency.
 */
export function readCase(detail) {
  const currency = currencyOf(detail.money);
  const entities = new Map();
  const meet = (key, kind, id, role, member, reason = "") => {
    if (!entities.has(key)) {
      const money = { paid: false, received: 0, sent: 0 };
      entities.set(key, { key, kind, id, role, reason, member, ...money });
    }
    return key;
  };
  for (const { entity, role, reason } of detail.members) {
    meet(keyOf(entity), entity.kind, entity.id, role, true, reason);
  }
  for (const node of detail.subgraph.nodes) {
    meet(node.id, node.kind, node.label, node.role, node.member);
  }

  const transfers = new Map();
  const end = (entity, outside) => {
    if (entity === null) {
      const name = outside === "in" ? "from outside" : "cash / outside";
      return meet(OUTSIDE[outside], "outside", name, null, true);
    }
    return meet(keyOf(entity), entity.kind, entity.id, null, false);
  };
  // A ring's own transactions, then what else its evidence shows.
  for (const hop of [...detail.transactions, ...detail.evidence.flatMap((piece) => piece.hops)]) {
    if (transfers.has(hop.transaction_id)) continue;
    transfers.set(hop.transaction_id, {
      id: hop.transaction_id,
      source: end(hop.source, "in"),
      target: end(hop.target, "out"),
      minor: hop.declined ? 0 : hop.money.minor, // what was declined moved nothing
      currency,
      at: Date.parse(hop.timestamp),
      witness: true,
    });
  }
  const links = [];
  for (const edge of detail.subgraph.edges) {
    if (edge.kind === "shared") links.push({ user: edge.source, identifier: edge.target });
    else if (!transfers.has(edge.id)) {
      transfers.set(edge.id, {
        id: edge.id,
        source: edge.source,
        target: edge.target,
        minor: edge.money.minor,
        currency,
        at: Date.parse(edge.timestamp),
        witness: edge.witness,
      });
    }
  }
  for (const { source, target, witness } of transfers.values()) {
    if (witness) entities.get(source).paid = entities.get(target).paid = true;
  }
  const ordered = [...transfers.values()].sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
  for (const transfer of ordered) {
    if (!transfer.witness) continue;
    entities.get(transfer.source).sent += transfer.minor;
    entities.get(transfer.target).received += transfer.minor;
  }
  return {
    detail,
    entities,
    transfers: new Map(ordered.map((transfer) => [transfer.id, transfer])),
    links,
    currency,
  };
}

/** Identifiers that at least two of these accounts use, with who uses them. */
export function sharedAmong(links, accounts) {
  const users = new Map();
  for (const { user, identifier } of links) {
    if (!accounts.has(user)) continue;
    if (!users.has(identifier)) users.set(identifier, new Set());
    users.get(identifier).add(user);
  }
  return new Map([...users].filter(([, of]) => of.size >= 2));
}
