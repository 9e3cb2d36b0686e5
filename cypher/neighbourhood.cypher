// First-degree neighbourhood
//
// What is this user connected to, through what, how often, how much?
// Money from or to the outside of the graph shows as the user itself.
//
// :group accounts
// :asked-by Everybody: the first question about an account.
// :example ringfence investigate neighbourhood --param user=u-0001
// :limits 500 rows, 5 s
//
// :param user string example "u-0001" The user.
//
// :column relation string PAID, ATTEMPTED, PAID_IN, PAID_OUT, USED_DEVICE, USED_IP, USED_CARD or HAS_MEMBER.
// :column direction string out: from the user; in: to the user.
// :column kind string The neighbour's label.
// :column neighbour string The neighbour's id.
// :column count integer How many transactions lie behind it; 1 for a ring.
// :column value money Their sum; 0 where no money moves between the two.
// :column first_at timestamp The first of them; null for a ring.
// :column last_at timestamp The last of them; null for a ring.
//
// :cost All relationships of the user.
// :bound One user's relationships.
CALL () {
  MATCH (u:User {id: $user})-[r]->(n)
  RETURN 'out' AS direction, r, n
UNION ALL
  MATCH (u:User {id: $user})<-[r]-(n)
    WHERE NOT type(r) IN ['PAID_IN', 'PAID_OUT'] AND NOT (n:User AND n.id = $user)
  RETURN 'in' AS direction, r, n
}
RETURN type(r) AS relation, direction, labels(n)[0] AS kind, n.id AS neighbour,
  sum(coalesce(r.count, 1)) AS count, sum(coalesce(r.value, 0)) AS value,
  min(coalesce(r.first_seen, r.timestamp)) AS first_at,
  max(coalesce(r.last_seen, r.timestamp)) AS last_at
ORDER BY value DESC, count DESC, relation, direction, kind, neighbour
