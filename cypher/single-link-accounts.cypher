// Accounts reached through one shared identifier only
//
// Which accounts does this one know by one shared identifier only? No second one,
// no payment, no attempt. Such a link is thin; the rarer the identifier, the stronger.
//
// :group sharing
// :asked-by An analyst who must not take a neighbour on the same network for an accomplice.
// :example ringfence investigate single-link-accounts --param user=u-0001
// :limits 500 rows, 5 s
//
// :param user string example "u-0001" The account.
//
// :column account string The other account.
// :column kind string Device, Ip or Card.
// :column identifier string What both used.
// :column accounts integer How many accounts used it in all.
// :column since timestamp From when both had used it.
// :column in_ring boolean Whether the other account is in a live ring.
//
// :cost The account's identifiers and all who used them.
// :bound The most crowded of its identifiers.
MATCH (u:User {id: $user})-[a:USED_DEVICE|USED_IP|USED_CARD]->(n)
WITH u, a, n, COUNT { (n)<-[:USED_DEVICE|USED_IP|USED_CARD]-(:User) } AS crowd
MATCH (n)<-[b:USED_DEVICE|USED_IP|USED_CARD]-(v:User)
  WHERE v.id <> $user
WITH u, v, count(n) AS links, min(labels(n)[0]) AS kind, min(n.id) AS identifier,
  min(crowd) AS accounts,
  max(CASE WHEN a.first_seen > b.first_seen THEN a.first_seen ELSE b.first_seen END) AS since
  WHERE links = 1 AND NOT (u)-[:PAID|ATTEMPTED]->(v) AND NOT (v)-[:PAID|ATTEMPTED]->(u)
RETURN v.id AS account, kind, identifier, accounts, since,
  EXISTS {
    MATCH (v)<-[:HAS_MEMBER]-(r:Ring) WHERE NOT (r)-[:MERGED_INTO]->(:Ring)
  } AS in_ring
ORDER BY accounts, kind, identifier, account
