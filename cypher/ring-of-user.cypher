// Ring of a user
//
// In which rings is this user, with whom, and who plays what part?
// A ring that merged into another is not shown: its members are in the one it became.
//
// :group rings
// :asked-by An analyst who opens an alert or takes a call about an account.
// :example ringfence investigate ring-of-user --param user=u-0001
// :limits 500 rows, 5 s
//
// :param user string example "u-0001" The user.
//
// :column ring_id string The ring.
// :column state string active, quiet or expired.
// :column score number How strongly the ring speaks for fraud, 0 to 1.
// :column likelihood number How likely it is a true ring, 0 to 1; null where nobody was asked.
// :column money money The sum of the ring's transactions.
// :column patterns list of strings What was seen.
// :column kind string The member's label: User, Device, Ip, Card or Merchant.
// :column member string The member's id.
// :column role string The part it plays.
//
// :cost The user's ring memberships times the size of a ring.
// :bound A ring has at most 200 members.
MATCH (u:User {id: $user})<-[:HAS_MEMBER]-(r:Ring)
  WHERE NOT (r)-[:MERGED_INTO]->(:Ring)
WITH DISTINCT r
MATCH (r)-[m:HAS_MEMBER]->(n)
RETURN r.ring_id AS ring_id, r.state AS state, r.score AS score,
  r.likelihood AS likelihood, r.money AS money, r.patterns AS patterns, labels(n)[0] AS kind,
  n.id AS member, m.role AS role
ORDER BY score DESC, ring_id, kind, member, role
