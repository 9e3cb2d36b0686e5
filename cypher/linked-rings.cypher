// Rings linked to a ring
//
// Which other rings have members in common with this one? Rings that merged away are left out.
//
// :group rings
// :asked-by An investigator who asks whether a case is part of a bigger one.
// :example ringfence investigate linked-rings --param ring=r-0001
// :limits 500 rows, 5 s
//
// :param ring ring example "r-0001" The ring.
//
// :column ring_id string The other ring.
// :column state string active, quiet or expired.
// :column score number How strongly it speaks for fraud, 0 to 1.
// :column likelihood number How likely it is a true ring, 0 to 1; null where nobody was asked.
// :column accounts integer How many users and merchants both have.
// :column identifiers integer How many devices, IPs and cards both have.
// :column shared list of strings The first twenty of them, as Label:id.
//
// :cost The ring's members times the rings of each.
// :bound At most 200 members.
MATCH (r:Ring {id: $ring})-[:HAS_MEMBER]->(n)<-[:HAS_MEMBER]-(o:Ring)
  WHERE o.id <> $ring AND NOT (o)-[:MERGED_INTO]->(:Ring)
WITH DISTINCT o, labels(n)[0] AS kind, n.id AS id
ORDER BY kind, id
RETURN o.ring_id AS ring_id, o.state AS state, o.score AS score, o.likelihood AS likelihood,
  sum(CASE WHEN kind IN ['User', 'Merchant'] THEN 1 ELSE 0 END) AS accounts,
  sum(CASE WHEN kind IN ['User', 'Merchant'] THEN 0 ELSE 1 END) AS identifiers,
  collect(kind + ':' + id)[..20] AS shared
ORDER BY accounts DESC, identifiers DESC, ring_id
