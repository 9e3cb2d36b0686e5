// Layering between two accounts
//
// By which chains of up to ten payments did money go between two users?
// All are made within a span of hours, one after the other, and none is below a given amount.
//
// :group money
// :asked-by An investigator whose money trail is longer than the six payments of `money-trail`.
// :example ringfence investigate layering --param source=u-1 --param target=u-9 --param since=2026-03-01T00:00:00Z
// :needs neo4j: a quantified path pattern, which the embedded graph does not know.
// :limits 200 rows, 20 s
//
// :param source string example "u-0001" The user who paid first.
// :param target string example "u-0009" The user who was paid last.
// :param since timestamp example "2026-03-01T00:00:00Z" No payment is before this.
// :param hours integer 1..720 default 48 No payment is later than so long after that.
// :param hops integer 1..10 default 8 The longest chain, in payments.
// :param value integer 0..100000000000 default 0 Payments of less (minor units) are not followed.
//
// :column hops integer How many payments.
// :column started_at timestamp When the first was made.
// :column ended_at timestamp When the last was made.
// :column sent money What the first carried.
// :column received money What the last carried.
// :column accounts list of strings The users on the way, both ends included.
// :column transactions list of strings The payments, in order.
//
// :cost With d the payments a user makes in the span, d^hops; the order of time is looked at when a
// :cost chain is whole.
// :bound 10 payments; a short span or a higher amount is the remedy.
MATCH (a:User {id: $source})
MATCH (b:User {id: $target})
MATCH (a) ((x:User)-[p:PAID]->(y:User)
  WHERE p.timestamp >= $since AND p.timestamp <= $since + $hours * 3600000
  AND p.value >= $value AND x.id <> $target AND y.id <> $source){1,10} (b)
  WHERE size(p) <= $hops
  AND all(i IN range(1, size(p) - 1) WHERE p[i].timestamp >= p[i - 1].timestamp)
WITH p, [n IN x | n.id] + [b.id] AS accounts
  WHERE all(i IN range(0, size(accounts) - 2) WHERE NOT accounts[i] IN accounts[i + 1..])
RETURN size(p) AS hops, p[0].timestamp AS started_at, p[size(p) - 1].timestamp AS ended_at,
  p[0].value AS sent, p[size(p) - 1].value AS received, accounts,
  [r IN p | r.transaction_id] AS transactions
ORDER BY started_at, hops, transactions
