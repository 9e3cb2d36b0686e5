// Risky identifiers
//
// Which devices, IPs and cards do members of rings use, and who else does? The ones to put on a
// watch or block list come first.
//
// :group sharing
// :asked-by Whoever keeps the block and watch lists.
// :example ringfence investigate risky-identifiers --param least=2
// :limits 200 rows, 20 s
//
// :param least integer 1..1000 default 2 Used by at least so many accounts in live rings.
// :param score integer 0..100 default 0 Only rings with at least this score, in hundredths.
//
// :column kind string Device, Ip or Card.
// :column identifier string Its id.
// :column in_rings integer How many of its users are in such a ring.
// :column accounts integer How many users it has in all.
// :column percent integer in_rings of accounts.
// :column score number The score of the worst of those rings.
// :column last_seen timestamp When one of those members last used it.
// :column rings list of strings The first twenty of those rings by id.
//
// :cost The identifiers of all members of live rings, and all who used them.
// :bound Rings times 200 members times their identifiers.
MATCH (r:Ring)-[:HAS_MEMBER]->(u:User)
  WHERE r.state IN ['active', 'quiet'] AND r.score * 100 >= $score
  AND NOT (r)-[:MERGED_INTO]->(:Ring)
MATCH (u)-[l:USED_DEVICE|USED_IP|USED_CARD]->(n)
WITH n, u, l, r ORDER BY r.ring_id
WITH n, count(DISTINCT u.id) AS in_rings, max(r.score) AS score, max(l.last_seen) AS last_seen,
  collect(DISTINCT r.ring_id)[..20] AS rings
  WHERE in_rings >= $least
WITH n, in_rings, score, last_seen, rings,
  COUNT { (n)<-[:USED_DEVICE|USED_IP|USED_CARD]-(:User) } AS accounts
RETURN labels(n)[0] AS kind, n.id AS identifier, in_rings, accounts,
  in_rings * 100 / accounts AS percent, score, last_seen, rings
ORDER BY percent DESC, in_rings DESC, score DESC, kind, identifier
