// Identifiers an account shares
//
// Which devices, IPs and cards does this account share, and with whom? The
// rarest comes first: three people on one phone say more than three thousand behind one address.
//
// :group sharing
// :asked-by An analyst who checks whether an account stands alone.
// :example ringfence investigate shared-identifiers --param user=u-0001
// :limits 500 rows, 5 s
//
// :param user string example "u-0001" The account.
//
// :column kind string Device, Ip or Card.
// :column identifier string Its id.
// :column others integer How many other accounts used it.
// :column count integer How many of this account's transactions were made through it.
// :column first_seen timestamp The first of them.
// :column last_seen timestamp The last of them.
// :column users list of strings The first twenty others by id.
//
// :cost The account's identifiers and all who used them.
// :bound The most crowded of its identifiers.
MATCH (u:User {id: $user})-[l:USED_DEVICE|USED_IP|USED_CARD]->(n)
MATCH (n)<-[:USED_DEVICE|USED_IP|USED_CARD]-(v:User)
  WHERE v.id <> $user
WITH n, l, v ORDER BY v.id
RETURN labels(n)[0] AS kind, n.id AS identifier, count(v) AS others, l.count AS count,
  l.first_seen AS first_seen, l.last_seen AS last_seen, collect(v.id)[..20] AS users
ORDER BY others, count DESC, kind, identifier
