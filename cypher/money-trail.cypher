// Money trail
//
// By which payments, in the order of time, did money go between two users?
// The chain passes through users and through no account twice; declined payments are not followed.
//
// :group money
// :asked-by An investigator with two accounts in hand who must show how they are connected.
// :example ringfence investigate money-trail --param source=u-0001 --param target=u-0004
// :limits 500 rows, 10 s
//
// :param source string example "u-0001" The user who paid first.
// :param target string example "u-0004" The user who was paid last; the source again finds cycles.
// :param hops integer 1..6 default 4 The longest chain, in payments.
// :param hours integer 1..720 default 24 The longest time from the first payment to the last.
// :param since timestamp default "1970-01-01T00:00:00Z" The first payment is not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" The first payment is before this.
//
// :column hops integer How many payments.
// :column started_at timestamp When the first was made.
// :column ended_at timestamp When the last was made.
// :column sent money What the first payment carried.
// :column received money What the last payment carried.
// :column bottleneck money The smallest payment: no more than this can have gone all the way.
// :column accounts list of strings The users on the way, source and target included.
// :column transactions list of strings The payments, in order.
// :column amounts list of money What each of them carried.
// :column times list of timestamps When each was made: none before the one left of it.
//
// :cost With d the payments a user makes in `hours` and D those of the source from `since` to
// :cost `until`: D * d^(hops-1) payments are looked at, cut by the order of time at every hop.
// :cost The hop bound is part of the pattern and cannot be a parameter, so each length has its own
// :cost branch, and `hops` closes the longer ones before they look at anything.
// :bound 6 hops; beyond its time limit it is refused with the advice to ask for fewer.
CALL () {
  MATCH (a:User {id: $source}) WHERE $hops >= 1
  MATCH (a)-[p1:PAID]->(b:User {id: $target})
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
  RETURN [a.id, b.id] AS accounts,
    [p1.transaction_id] AS transactions,
    [p1.value] AS amounts,
    [p1.timestamp] AS times
UNION ALL
  MATCH (a:User {id: $source}) WHERE $hops >= 2
  MATCH (a)-[p1:PAID]->(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$source, $target]
  MATCH (n1)-[p2:PAID]->(b:User {id: $target})
    WHERE p2.timestamp >= p1.timestamp AND p2.timestamp <= p1.timestamp + $hours * 3600000
  RETURN [a.id, n1.id, b.id] AS accounts,
    [p1.transaction_id, p2.transaction_id] AS transactions,
    [p1.value, p2.value] AS amounts,
    [p1.timestamp, p2.timestamp] AS times
UNION ALL
  MATCH (a:User {id: $source}) WHERE $hops >= 3
  MATCH (a)-[p1:PAID]->(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$source, $target]
  MATCH (n1)-[p2:PAID]->(n2:User)
    WHERE p2.timestamp >= p1.timestamp AND p2.timestamp <= p1.timestamp + $hours * 3600000
    AND NOT n2.id IN [$source, $target, n1.id]
  MATCH (n2)-[p3:PAID]->(b:User {id: $target})
    WHERE p3.timestamp >= p2.timestamp AND p3.timestamp <= p1.timestamp + $hours * 3600000
  RETURN [a.id, n1.id, n2.id, b.id] AS accounts,
    [p1.transaction_id, p2.transaction_id, p3.transaction_id] AS transactions,
    [p1.value, p2.value, p3.value] AS amounts,
    [p1.timestamp, p2.timestamp, p3.timestamp] AS times
UNION ALL
  MATCH (a:User {id: $source}) WHERE $hops >= 4
  MATCH (a)-[p1:PAID]->(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$source, $target]
  MATCH (n1)-[p2:PAID]->(n2:User)
    WHERE p2.timestamp >= p1.timestamp AND p2.timestamp <= p1.timestamp + $hours * 3600000
    AND NOT n2.id IN [$source, $target, n1.id]
  MATCH (n2)-[p3:PAID]->(n3:User)
    WHERE p3.timestamp >= p2.timestamp AND p3.timestamp <= p1.timestamp + $hours * 3600000
    AND NOT n3.id IN [$source, $target, n1.id, n2.id]
  MATCH (n3)-[p4:PAID]->(b:User {id: $target})
    WHERE p4.timestamp >= p3.timestamp AND p4.timestamp <= p1.timestamp + $hours * 3600000
  RETURN [a.id, n1.id, n2.id, n3.id, b.id] AS accounts,
    [p1.transaction_id, p2.transaction_id, p3.transaction_id, p4.transaction_id] AS transactions,
    [p1.value, p2.value, p3.value, p4.value] AS amounts,
    [p1.timestamp, p2.timestamp, p3.timestamp, p4.timestamp] AS times
UNION ALL
  MATCH (a:User {id: $source}) WHERE $hops >= 5
  MATCH (a)-[p1:PAID]->(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$source, $target]
  MATCH (n1)-[p2:PAID]->(n2:User)
    WHERE p2.timestamp >= p1.timestamp AND p2.timestamp <= p1.timestamp + $hours * 3600000
    AND NOT n2.id IN [$source, $target, n1.id]
  MATCH (n2)-[p3:PAID]->(n3:User)
    WHERE p3.timestamp >= p2.timestamp AND p3.timestamp <= p1.timestamp + $hours * 3600000
    AND NOT n3.id IN [$source, $target, n1.id, n2.id]
  MATCH (n3)-[p4:PAID]->(n4:User)
    WHERE p4.timestamp >= p3.timestamp AND p4.timestamp <= p1.timestamp + $hours * 3600000
    AND NOT n4.id IN [$source, $target, n1.id, n2.id, n3.id]
  MATCH (n4)-[p5:PAID]->(b:User {id: $target})
    WHERE p5.timestamp >= p4.timestamp AND p5.timestamp <= p1.timestamp + $hours * 3600000
  RETURN [a.id, n1.id, n2.id, n3.id, n4.id, b.id] AS accounts,
    [p1.transaction_id, p2.transaction_id, p3.transaction_id, p4.transaction_id, p5.transaction_id] AS transactions,
    [p1.value, p2.value, p3.value, p4.value, p5.value] AS amounts,
    [p1.timestamp, p2.timestamp, p3.timestamp, p4.timestamp, p5.timestamp] AS times
UNION ALL
  MATCH (a:User {id: $source}) WHERE $hops >= 6
  MATCH (a)-[p1:PAID]->(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$source, $target]
  MATCH (n1)-[p2:PAID]->(n2:User)
    WHERE p2.timestamp >= p1.timestamp AND p2.timestamp <= p1.timestamp + $hours * 3600000
    AND NOT n2.id IN [$source, $target, n1.id]
  MATCH (n2)-[p3:PAID]->(n3:User)
    WHERE p3.timestamp >= p2.timestamp AND p3.timestamp <= p1.timestamp + $hours * 3600000
    AND NOT n3.id IN [$source, $target, n1.id, n2.id]
  MATCH (n3)-[p4:PAID]->(n4:User)
    WHERE p4.timestamp >= p3.timestamp AND p4.timestamp <= p1.timestamp + $hours * 3600000
    AND NOT n4.id IN [$source, $target, n1.id, n2.id, n3.id]
  MATCH (n4)-[p5:PAID]->(n5:User)
    WHERE p5.timestamp >= p4.timestamp AND p5.timestamp <= p1.timestamp + $hours * 3600000
    AND NOT n5.id IN [$source, $target, n1.id, n2.id, n3.id, n4.id]
  MATCH (n5)-[p6:PAID]->(b:User {id: $target})
    WHERE p6.timestamp >= p5.timestamp AND p6.timestamp <= p1.timestamp + $hours * 3600000
  RETURN [a.id, n1.id, n2.id, n3.id, n4.id, n5.id, b.id] AS accounts,
    [p1.transaction_id, p2.transaction_id, p3.transaction_id, p4.transaction_id, p5.transaction_id, p6.transaction_id] AS transactions,
    [p1.value, p2.value, p3.value, p4.value, p5.value, p6.value] AS amounts,
    [p1.timestamp, p2.timestamp, p3.timestamp, p4.timestamp, p5.timestamp, p6.timestamp] AS times
}
RETURN size(transactions) AS hops, times[0] AS started_at, times[size(times) - 1] AS ended_at,
  amounts[0] AS sent, amounts[size(amounts) - 1] AS received,
  reduce(least = amounts[0], x IN amounts | CASE WHEN x < least THEN x ELSE least END)
    AS bottleneck,
  accounts, transactions, amounts, times
ORDER BY started_at, hops, transactions
