// Shared cards, the rarest first
//
// Which cards did several accounts use, and few enough to mean something? The fewer share
// it, the more it says; among equals, those with members of rings come first.
//
// :group sharing
// :asked-by A card-fraud team: one card behind several names is stolen or lent.
// :example ringfence investigate shared-cards --param least=2 --param most=20
// :limits 500 rows, 20 s
//
// :param least integer 2..10000 default 2 At least so many accounts.
// :param most integer 2..10000 default 20 At most so many accounts: a crowd is no evidence.
// :param since timestamp default "1970-01-01T00:00:00Z" Only accounts that used it not before this.
//
// :column identifier string The card.
// :column accounts integer How many accounts used it.
// :column in_rings integer How many of them are in a live ring.
// :column transactions integer How many transactions they made through it.
// :column first_seen timestamp The first of them.
// :column last_seen timestamp The last of them.
// :column users list of strings The first twenty accounts by id.
//
// :cost All cards and their links, once.
// :bound The number of links, which grows with accounts and not with payments.
MATCH (n:Card)<-[l:USED_CARD]-(u:User)
  WHERE l.last_seen >= $since
WITH n, u, l,
  CASE WHEN EXISTS {
    MATCH (u)<-[:HAS_MEMBER]-(r:Ring) WHERE NOT (r)-[:MERGED_INTO]->(:Ring)
  } THEN 1 ELSE 0 END AS ringed
ORDER BY u.id
WITH n.id AS identifier, count(u) AS accounts, sum(ringed) AS in_rings,
  sum(l.count) AS transactions, min(l.first_seen) AS first_seen, max(l.last_seen) AS last_seen, collect(u.id)[..20] AS users
  WHERE accounts >= $least AND accounts <= $most
RETURN identifier, accounts, in_rings, transactions, first_seen, last_seen, users
ORDER BY accounts, in_rings DESC, transactions DESC, identifier
