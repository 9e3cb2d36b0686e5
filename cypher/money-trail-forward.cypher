// Money trail forward
//
// Where did the money that this user paid go, and where did it leave? A payment belongs to the
// trail if it was made within hours after the one before it and carries on a given part of its
// amount, or pools it with other money. Shops and cash are ends; money that comes back to the user
// is shown, not followed further.
//
// :group money
// :asked-by A fraud desk that tries to stop stolen money before it is cash.
// :example ringfence investigate money-trail-forward --param user=u-0001 --param hops=4
// :shape tree {kind} {payee}: {value} at {at}
// :limits 500 rows, 10 s
//
// :param user string example "u-0001" The user whose payments are followed.
// :param hops integer 1..5 default 3 How many payments deep.
// :param hours integer 1..720 default 24 How long money may rest between two payments.
// :param carry_least integer 0..100 default 10 A payment is at least so many % of the one before.
// :param carry_most integer 100..10000 default 1000 A payment is at most so many % of the one before.
// :param since timestamp default "1970-01-01T00:00:00Z" The first payment is not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" The first payment is before this.
//
// :column path list of strings The payments from the first to this one: its place in the tree.
// :column hop integer How deep it is; 1 is the user's own payment.
// :column payer string Who paid.
// :column kind string User, Merchant, or Outside where the money left the graph.
// :column payee string Who was paid; null for Outside.
// :column at timestamp When.
// :column value money How much.
// :column carried money The smallest payment up to here: at most so much of it is the same money.
//
// :cost D * d^(hops-1), D the user's payments in the span, d the payments a user makes in `hours`;
// :cost the order of time and the carry cut at every hop.
// :bound 5 hops; near ones come first, so what is cut is deepest.
CALL () {
  MATCH (a:User {id: $user}) WHERE $hops >= 1
  MATCH (a)-[p1:PAID|PAID_OUT]->(x)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND (type(p1) = 'PAID_OUT' OR x:Merchant OR NOT x.id IN [$user])
  RETURN [p1.transaction_id] AS path,
    [p1.value] AS amounts,
    a.id AS payer, p1.timestamp AS at,
    CASE WHEN type(p1) = 'PAID' THEN labels(x)[0] ELSE 'Outside' END AS kind,
    CASE WHEN type(p1) = 'PAID' THEN x.id ELSE null END AS payee
UNION ALL
  MATCH (a:User {id: $user}) WHERE $hops >= 2
  MATCH (a)-[p1:PAID]->(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$user]
  MATCH (n1)-[p2:PAID|PAID_OUT]->(x)
    WHERE p2.timestamp >= p1.timestamp
    AND p2.timestamp <= p1.timestamp + $hours * 3600000
    AND p2.value * 100 >= p1.value * $carry_least
    AND p2.value * 100 <= p1.value * $carry_most
    AND (type(p2) = 'PAID_OUT' OR x:Merchant OR NOT x.id IN [n1.id])
  RETURN [p1.transaction_id, p2.transaction_id] AS path,
    [p1.value, p2.value] AS amounts,
    n1.id AS payer, p2.timestamp AS at,
    CASE WHEN type(p2) = 'PAID' THEN labels(x)[0] ELSE 'Outside' END AS kind,
    CASE WHEN type(p2) = 'PAID' THEN x.id ELSE null END AS payee
UNION ALL
  MATCH (a:User {id: $user}) WHERE $hops >= 3
  MATCH (a)-[p1:PAID]->(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$user]
  MATCH (n1)-[p2:PAID]->(n2:User)
    WHERE p2.timestamp >= p1.timestamp
    AND p2.timestamp <= p1.timestamp + $hours * 3600000
    AND p2.value * 100 >= p1.value * $carry_least
    AND p2.value * 100 <= p1.value * $carry_most
    AND NOT n2.id IN [$user, n1.id]
  MATCH (n2)-[p3:PAID|PAID_OUT]->(x)
    WHERE p3.timestamp >= p2.timestamp
    AND p3.timestamp <= p2.timestamp + $hours * 3600000
    AND p3.value * 100 >= p2.value * $carry_least
    AND p3.value * 100 <= p2.value * $carry_most
    AND (type(p3) = 'PAID_OUT' OR x:Merchant OR NOT x.id IN [n1.id, n2.id])
  RETURN [p1.transaction_id, p2.transaction_id, p3.transaction_id] AS path,
    [p1.value, p2.value, p3.value] AS amounts,
    n2.id AS payer, p3.timestamp AS at,
    CASE WHEN type(p3) = 'PAID' THEN labels(x)[0] ELSE 'Outside' END AS kind,
    CASE WHEN type(p3) = 'PAID' THEN x.id ELSE null END AS payee
UNION ALL
  MATCH (a:User {id: $user}) WHERE $hops >= 4
  MATCH (a)-[p1:PAID]->(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$user]
  MATCH (n1)-[p2:PAID]->(n2:User)
    WHERE p2.timestamp >= p1.timestamp
    AND p2.timestamp <= p1.timestamp + $hours * 3600000
    AND p2.value * 100 >= p1.value * $carry_least
    AND p2.value * 100 <= p1.value * $carry_most
    AND NOT n2.id IN [$user, n1.id]
  MATCH (n2)-[p3:PAID]->(n3:User)
    WHERE p3.timestamp >= p2.timestamp
    AND p3.timestamp <= p2.timestamp + $hours * 3600000
    AND p3.value * 100 >= p2.value * $carry_least
    AND p3.value * 100 <= p2.value * $carry_most
    AND NOT n3.id IN [$user, n1.id, n2.id]
  MATCH (n3)-[p4:PAID|PAID_OUT]->(x)
    WHERE p4.timestamp >= p3.timestamp
    AND p4.timestamp <= p3.timestamp + $hours * 3600000
    AND p4.value * 100 >= p3.value * $carry_least
    AND p4.value * 100 <= p3.value * $carry_most
    AND (type(p4) = 'PAID_OUT' OR x:Merchant OR NOT x.id IN [n1.id, n2.id, n3.id])
  RETURN [p1.transaction_id, p2.transaction_id, p3.transaction_id, p4.transaction_id] AS path,
    [p1.value, p2.value, p3.value, p4.value] AS amounts,
    n3.id AS payer, p4.timestamp AS at,
    CASE WHEN type(p4) = 'PAID' THEN labels(x)[0] ELSE 'Outside' END AS kind,
    CASE WHEN type(p4) = 'PAID' THEN x.id ELSE null END AS payee
UNION ALL
  MATCH (a:User {id: $user}) WHERE $hops >= 5
  MATCH (a)-[p1:PAID]->(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$user]
  MATCH (n1)-[p2:PAID]->(n2:User)
    WHERE p2.timestamp >= p1.timestamp
    AND p2.timestamp <= p1.timestamp + $hours * 3600000
    AND p2.value * 100 >= p1.value * $carry_least
    AND p2.value * 100 <= p1.value * $carry_most
    AND NOT n2.id IN [$user, n1.id]
  MATCH (n2)-[p3:PAID]->(n3:User)
    WHERE p3.timestamp >= p2.timestamp
    AND p3.timestamp <= p2.timestamp + $hours * 3600000
    AND p3.value * 100 >= p2.value * $carry_least
    AND p3.value * 100 <= p2.value * $carry_most
    AND NOT n3.id IN [$user, n1.id, n2.id]
  MATCH (n3)-[p4:PAID]->(n4:User)
    WHERE p4.timestamp >= p3.timestamp
    AND p4.timestamp <= p3.timestamp + $hours * 3600000
    AND p4.value * 100 >= p3.value * $carry_least
    AND p4.value * 100 <= p3.value * $carry_most
    AND NOT n4.id IN [$user, n1.id, n2.id, n3.id]
  MATCH (n4)-[p5:PAID|PAID_OUT]->(x)
    WHERE p5.timestamp >= p4.timestamp
    AND p5.timestamp <= p4.timestamp + $hours * 3600000
    AND p5.value * 100 >= p4.value * $carry_least
    AND p5.value * 100 <= p4.value * $carry_most
    AND (type(p5) = 'PAID_OUT' OR x:Merchant OR NOT x.id IN [n1.id, n2.id, n3.id, n4.id])
  RETURN [p1.transaction_id, p2.transaction_id, p3.transaction_id, p4.transaction_id, p5.transaction_id] AS path,
    [p1.value, p2.value, p3.value, p4.value, p5.value] AS amounts,
    n4.id AS payer, p5.timestamp AS at,
    CASE WHEN type(p5) = 'PAID' THEN labels(x)[0] ELSE 'Outside' END AS kind,
    CASE WHEN type(p5) = 'PAID' THEN x.id ELSE null END AS payee
}
RETURN path, size(path) AS hop, payer, kind, payee, at, amounts[size(amounts) - 1] AS value,
  reduce(least = amounts[0], y IN amounts | CASE WHEN y < least THEN y ELSE least END) AS carried
ORDER BY hop, at, path
