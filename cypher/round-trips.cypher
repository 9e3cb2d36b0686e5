// Round trips of an account
//
// Which money left this user and came back over other users, in time?
// Every payment on the way carries at least a given part of the one before it, so small change does
// not close a circle.
//
// :group money
// :asked-by An anti-laundering analyst: circles make turnover, hide origin and feign business.
// :example ringfence investigate round-trips --param user=u-0001 --param hours=48
// :limits 500 rows, 10 s
//
// :param user string example "u-0001" The user.
// :param hops integer 2..5 default 4 The longest circle, in payments.
// :param hours integer 1..720 default 48 The longest time from the first payment to the last.
// :param carry integer 0..100 default 50 Each is at least so many percent of the one before.
// :param since timestamp default "1970-01-01T00:00:00Z" The first payment is not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" The first payment is before this.
//
// :column hops integer How many payments.
// :column started_at timestamp When the money left.
// :column ended_at timestamp When it was back.
// :column sent money What left.
// :column returned money What came back.
// :column kept money What stayed on the way: sent less returned.
// :column accounts list of strings The users on the way.
// :column transactions list of strings The payments, in order.
// :column amounts list of money What each of them carried.
//
// :cost As the money trail: the user's payments times d^(hops-1), d the payments a user makes in
// :cost `hours`; `carry` and the order of time cut at every hop.
// :bound 5 hops.
CALL () {
  MATCH (a:User {id: $user}) WHERE $hops >= 2
  MATCH (a)-[p1:PAID]->(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$user]
  MATCH (n1)-[p2:PAID]->(a)
    WHERE p2.timestamp >= p1.timestamp
    AND p2.timestamp <= p1.timestamp + $hours * 3600000
    AND p2.value * 100 >= p1.value * $carry
  RETURN [a.id, n1.id, a.id] AS accounts,
    [p1.transaction_id, p2.transaction_id] AS transactions,
    [p1.value, p2.value] AS amounts,
    p1.timestamp AS started_at, p2.timestamp AS ended_at
UNION ALL
  MATCH (a:User {id: $user}) WHERE $hops >= 3
  MATCH (a)-[p1:PAID]->(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$user]
  MATCH (n1)-[p2:PAID]->(n2:User)
    WHERE p2.timestamp >= p1.timestamp
    AND p2.timestamp <= p1.timestamp + $hours * 3600000
    AND p2.value * 100 >= p1.value * $carry
    AND NOT n2.id IN [$user, n1.id]
  MATCH (n2)-[p3:PAID]->(a)
    WHERE p3.timestamp >= p2.timestamp
    AND p3.timestamp <= p1.timestamp + $hours * 3600000
    AND p3.value * 100 >= p2.value * $carry
  RETURN [a.id, n1.id, n2.id, a.id] AS accounts,
    [p1.transaction_id, p2.transaction_id, p3.transaction_id] AS transactions,
    [p1.value, p2.value, p3.value] AS amounts,
    p1.timestamp AS started_at, p3.timestamp AS ended_at
UNION ALL
  MATCH (a:User {id: $user}) WHERE $hops >= 4
  MATCH (a)-[p1:PAID]->(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$user]
  MATCH (n1)-[p2:PAID]->(n2:User)
    WHERE p2.timestamp >= p1.timestamp
    AND p2.timestamp <= p1.timestamp + $hours * 3600000
    AND p2.value * 100 >= p1.value * $carry
    AND NOT n2.id IN [$user, n1.id]
  MATCH (n2)-[p3:PAID]->(n3:User)
    WHERE p3.timestamp >= p2.timestamp
    AND p3.timestamp <= p1.timestamp + $hours * 3600000
    AND p3.value * 100 >= p2.value * $carry
    AND NOT n3.id IN [$user, n1.id, n2.id]
  MATCH (n3)-[p4:PAID]->(a)
    WHERE p4.timestamp >= p3.timestamp
    AND p4.timestamp <= p1.timestamp + $hours * 3600000
    AND p4.value * 100 >= p3.value * $carry
  RETURN [a.id, n1.id, n2.id, n3.id, a.id] AS accounts,
    [p1.transaction_id, p2.transaction_id, p3.transaction_id, p4.transaction_id] AS transactions,
    [p1.value, p2.value, p3.value, p4.value] AS amounts,
    p1.timestamp AS started_at, p4.timestamp AS ended_at
UNION ALL
  MATCH (a:User {id: $user}) WHERE $hops >= 5
  MATCH (a)-[p1:PAID]->(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$user]
  MATCH (n1)-[p2:PAID]->(n2:User)
    WHERE p2.timestamp >= p1.timestamp
    AND p2.timestamp <= p1.timestamp + $hours * 3600000
    AND p2.value * 100 >= p1.value * $carry
    AND NOT n2.id IN [$user, n1.id]
  MATCH (n2)-[p3:PAID]->(n3:User)
    WHERE p3.timestamp >= p2.timestamp
    AND p3.timestamp <= p1.timestamp + $hours * 3600000
    AND p3.value * 100 >= p2.value * $carry
    AND NOT n3.id IN [$user, n1.id, n2.id]
  MATCH (n3)-[p4:PAID]->(n4:User)
    WHERE p4.timestamp >= p3.timestamp
    AND p4.timestamp <= p1.timestamp + $hours * 3600000
    AND p4.value * 100 >= p3.value * $carry
    AND NOT n4.id IN [$user, n1.id, n2.id, n3.id]
  MATCH (n4)-[p5:PAID]->(a)
    WHERE p5.timestamp >= p4.timestamp
    AND p5.timestamp <= p1.timestamp + $hours * 3600000
    AND p5.value * 100 >= p4.value * $carry
  RETURN [a.id, n1.id, n2.id, n3.id, n4.id, a.id] AS accounts,
    [p1.transaction_id, p2.transaction_id, p3.transaction_id, p4.transaction_id, p5.transaction_id] AS transactions,
    [p1.value, p2.value, p3.value, p4.value, p5.value] AS amounts,
    p1.timestamp AS started_at, p5.timestamp AS ended_at
}
RETURN size(transactions) AS hops, started_at, ended_at, amounts[0] AS sent,
  amounts[size(amounts) - 1] AS returned, amounts[0] - amounts[size(amounts) - 1] AS kept,
  accounts, transactions, amounts
ORDER BY started_at, hops, transactions
