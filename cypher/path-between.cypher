// Shortest paths between two entities
//
// How are these two connected at all? Over payments in either direction and shared devices, IPs
// and cards. All shortest ways are shown, each once.
//
// :group accounts
// :asked-by An investigator with two names and the question whether they know each other.
// :example ringfence investigate path-between --param source=u-0001 --param target=u-0002
// :limits 100 rows, 5 s
//
// :param source string example "u-0001" The one entity's id.
// :param target string example "u-0002" The other entity's id.
// :param source_kind choice User|Device|Ip|Card|Merchant default "User" The one entity's label.
// :param target_kind choice User|Device|Ip|Card|Merchant default "User" The other entity's label.
// :param hops integer 1..6 default 4 The longest way, in relationships.
//
// :column hops integer How many relationships.
// :column entities list of strings The way, as Label:id, both ends included.
// :column relations list of strings What joins each to the next.
//
// :cost All that lies within half the way of either end.
// :bound 6 relationships; one way for each kind of relationship between the same two.
MATCH (a:User|Device|Ip|Card|Merchant {id: $source})
  WHERE labels(a)[0] = $source_kind
MATCH (b:User|Device|Ip|Card|Merchant {id: $target})
  WHERE labels(b)[0] = $target_kind AND NOT (a.id = b.id AND $source_kind = $target_kind)
MATCH w = allShortestPaths((a)-[:PAID|USED_DEVICE|USED_IP|USED_CARD*1..6]-(b))
WITH DISTINCT length(w) AS hops, [n IN nodes(w) | labels(n)[0] + ':' + n.id] AS entities,
  [r IN relationships(w) | type(r)] AS relations
  WHERE hops <= $hops
RETURN hops, entities, relations
ORDER BY entities, relations
