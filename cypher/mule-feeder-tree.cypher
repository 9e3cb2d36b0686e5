// Mule feeder tree
//
// Who fed this account, and who fed its feeders shortly before they paid on? One row an account and
// its place in the tree, so a mule with twenty victims is one branch with twenty leaves.
//
// :group money
// :asked-by A mule-account team that starts from a collector and looks for mules and victims.
// :example ringfence investigate mule-feeder-tree --param user=u-0001 --param hours=24
// :shape tree {account}: {value} ({payments}x) from {first_at} to {last_at}
// :limits 500 rows, 10 s
//
// :param user string example "u-0001" The account that gathers.
// :param levels integer 1..3 default 2 How many levels of feeders.
// :param hours integer 1..720 default 24 How long money may rest at a feeder.
// :param since timestamp default "1970-01-01T00:00:00Z" Payments to the account not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" Payments to the account before this.
//
// :column path list of strings The accounts from the first feeder to this one: its place in the tree.
// :column level integer 1: paid the account itself; 2: paid one that did; and so on.
// :column account string The feeder.
// :column payments integer How many of its payments belong to the tree here.
// :column value money Their sum.
// :column first_at timestamp The first of them.
// :column last_at timestamp The last of them.
// :column rings integer In how many live rings the feeder is.
//
// :cost The payments to the account, times the payments its feeders received in `hours` before
// :cost each, and once more for the third level.
// :bound 3 levels.
CALL () {
  MATCH (c:User {id: $user})<-[p:PAID]-(f:User)
    WHERE p.timestamp >= $since AND p.timestamp < $until AND f.id <> $user
  RETURN [f.id] AS path, f, count(p) AS payments, sum(p.value) AS value,
    min(p.timestamp) AS first_at, max(p.timestamp) AS last_at
UNION ALL
  MATCH (c:User {id: $user}) WHERE $levels >= 2
  MATCH (c)<-[p:PAID]-(m:User)
    WHERE p.timestamp >= $since AND p.timestamp < $until AND m.id <> $user
  MATCH (m)<-[q:PAID]-(f:User)
    WHERE q.timestamp <= p.timestamp AND q.timestamp >= p.timestamp - $hours * 3600000
    AND NOT f.id IN [$user, m.id]
  WITH DISTINCT m, f, q
  RETURN [m.id, f.id] AS path, f, count(q) AS payments, sum(q.value) AS value,
    min(q.timestamp) AS first_at, max(q.timestamp) AS last_at
UNION ALL
  MATCH (c:User {id: $user}) WHERE $levels >= 3
  MATCH (c)<-[p:PAID]-(m:User)
    WHERE p.timestamp >= $since AND p.timestamp < $until AND m.id <> $user
  MATCH (m)<-[q:PAID]-(v:User)
    WHERE q.timestamp <= p.timestamp AND q.timestamp >= p.timestamp - $hours * 3600000
    AND NOT v.id IN [$user, m.id]
  WITH DISTINCT m, v, q
  MATCH (v)<-[s:PAID]-(f:User)
    WHERE s.timestamp <= q.timestamp AND s.timestamp >= q.timestamp - $hours * 3600000
    AND NOT f.id IN [$user, m.id, v.id]
  WITH DISTINCT m, v, f, s
  RETURN [m.id, v.id, f.id] AS path, f, count(s) AS payments, sum(s.value) AS value,
    min(s.timestamp) AS first_at, max(s.timestamp) AS last_at
}
OPTIONAL MATCH (f)<-[:HAS_MEMBER]-(r:Ring)
  WHERE NOT (r)-[:MERGED_INTO]->(:Ring)
RETURN path, size(path) AS level, f.id AS account, payments, value, first_at, last_at,
  count(DISTINCT r.ring_id) AS rings
ORDER BY level, value DESC, path
