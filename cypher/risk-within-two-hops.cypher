// Risk within two hops
//
// Which members of rings are this account's neighbours, or theirs?
// Neighbours paid each other or share a device, IP or card that is not crowded.
//
// :group accounts
// :asked-by Onboarding and credit: is the company this account keeps a reason to look closer?
// :example ringfence investigate risk-within-two-hops --param user=u-0001
// :limits 500 rows, 5 s
//
// :param user string example "u-0001" The account.
// :param crowd integer 2..1000 default 20 Identifiers with more accounts than this are not followed.
//
// :column hop integer 1: a neighbour; 2: a neighbour's neighbour.
// :column account string The account in a ring.
// :column through integer Over how many neighbours it is reached; 0 for a neighbour.
// :column score number The score of the worst of its rings.
// :column rings list of strings Its live rings.
//
// :cost The payments and identifiers of the account and of all its neighbours.
// :bound Two hops; identifiers are followed up to `crowd` accounts.
CALL () {
  MATCH (u:User {id: $user})-[:PAID]->(v:User) RETURN v
UNION
  MATCH (u:User {id: $user})<-[:PAID]-(v:User) RETURN v
UNION
  MATCH (u:User {id: $user})-[:USED_DEVICE|USED_IP|USED_CARD]->(n)
    WHERE COUNT { (n)<-[:USED_DEVICE|USED_IP|USED_CARD]-(:User) } <= $crowd
  MATCH (n)<-[:USED_DEVICE|USED_IP|USED_CARD]-(v:User) RETURN v
}
WITH DISTINCT v WHERE v.id <> $user
WITH collect(v.id) AS near
UNWIND near AS middle
CALL (middle) {
  MATCH (v:User {id: middle}) RETURN v AS w, 1 AS hop
UNION
  MATCH (v:User {id: middle})-[:PAID]->(w:User) RETURN w, 2 AS hop
UNION
  MATCH (v:User {id: middle})<-[:PAID]-(w:User) RETURN w, 2 AS hop
UNION
  MATCH (v:User {id: middle})-[:USED_DEVICE|USED_IP|USED_CARD]->(n)
    WHERE COUNT { (n)<-[:USED_DEVICE|USED_IP|USED_CARD]-(:User) } <= $crowd
  MATCH (n)<-[:USED_DEVICE|USED_IP|USED_CARD]-(w:User) RETURN w, 2 AS hop
}
WITH near, middle, w, hop
  WHERE w.id <> $user AND (hop = 1 OR NOT w.id IN near)
WITH w, hop, count(DISTINCT middle) AS ways
MATCH (w)<-[:HAS_MEMBER]-(r:Ring)
  WHERE r.state IN ['active', 'quiet'] AND NOT (r)-[:MERGED_INTO]->(:Ring)
WITH w, hop, ways, r ORDER BY r.ring_id
RETURN hop, w.id AS account, CASE WHEN hop = 1 THEN 0 ELSE ways END AS through,
  max(r.score) AS score, collect(DISTINCT r.ring_id) AS rings
ORDER BY hop, score DESC, through DESC, account
