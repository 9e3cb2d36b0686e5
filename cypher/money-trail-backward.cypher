// Money trail backward
//
// Where did this user's money come from, and from where before that? A payment belongs to the
// trail if it was made within hours before the one after it, and a given part of it was carried
// on, or pooled with other money. Refunds and money from the outside are ends; money that the user
// sent itself is shown, not followed further.
//
// :group money
// :asked-by An investigator who looks for the victims behind a mule.
// :example ringfence investigate money-trail-backward --param user=u-0001 --param hops=4
// :shape tree {kind} {payer}: {value} at {at}
// :limits 500 rows, 10 s
//
// :param user string example "u-0001" The user whose income is traced.
// :param hops integer 1..5 default 3 How many payments deep.
// :param hours integer 1..720 default 24 How long money may rest between two payments.
// :param carry_least integer 0..100 default 10 A payment is at least so many % of the one before.
// :param carry_most integer 100..10000 default 1000 A payment is at most so many % of the one before.
// :param since timestamp default "1970-01-01T00:00:00Z" The last payment is not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" The last payment is before this.
//
// :column path list of strings The payments from the last back to this one: its place in the tree.
// :column hop integer How deep it is; 1 is a payment to the user.
// :column payee string Who was paid.
// :column kind string User, Merchant, or Outside where the money came from outside the graph.
// :column payer string Who paid; null for Outside.
// :column at timestamp When.
// :column value money How much.
// :column carried money The smallest payment from here on: at most so much of it arrived.
//
// :cost D * d^(hops-1), D the payments to the user in the span, d the payments a user receives in
// :cost `hours`; the order of time and the carry cut at every hop.
// :bound 5 hops; near ones come first, so what is cut is deepest.
CALL () {
  MATCH (a:User {id: $user}) WHERE $hops >= 1
  MATCH (a)<-[p1:PAID|PAID_IN]-(x)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND (type(p1) = 'PAID_IN' OR x:Merchant OR NOT x.id IN [$user])
  RETURN [p1.transaction_id] AS path,
    [p1.value] AS amounts,
    a.id AS payee, p1.timestamp AS at,
    CASE WHEN type(p1) = 'PAID' THEN labels(x)[0] ELSE 'Outside' END AS kind,
    CASE WHEN type(p1) = 'PAID' THEN x.id ELSE null END AS payer
UNION ALL
  MATCH (a:User {id: $user}) WHERE $hops >= 2
  MATCH (a)<-[p1:PAID]-(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$user]
  MATCH (n1)<-[p2:PAID|PAID_IN]-(x)
    WHERE p2.timestamp <= p1.timestamp
    AND p2.timestamp >= p1.timestamp - $hours * 3600000
    AND p1.value * 100 >= p2.value * $carry_least
    AND p1.value * 100 <= p2.value * $carry_most
    AND (type(p2) = 'PAID_IN' OR x:Merchant OR NOT x.id IN [n1.id])
  RETURN [p1.transaction_id, p2.transaction_id] AS path,
    [p1.value, p2.value] AS amounts,
    n1.id AS payee, p2.timestamp AS at,
    CASE WHEN type(p2) = 'PAID' THEN labels(x)[0] ELSE 'Outside' END AS kind,
    CASE WHEN type(p2) = 'PAID' THEN x.id ELSE null END AS payer
UNION ALL
  MATCH (a:User {id: $user}) WHERE $hops >= 3
  MATCH (a)<-[p1:PAID]-(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$user]
  MATCH (n1)<-[p2:PAID]-(n2:User)
    WHERE p2.timestamp <= p1.timestamp
    AND p2.timestamp >= p1.timestamp - $hours * 3600000
    AND p1.value * 100 >= p2.value * $carry_least
    AND p1.value * 100 <= p2.value * $carry_most
    AND NOT n2.id IN [$user, n1.id]
  MATCH (n2)<-[p3:PAID|PAID_IN]-(x)
    WHERE p3.timestamp <= p2.timestamp
    AND p3.timestamp >= p2.timestamp - $hours * 3600000
    AND p2.value * 100 >= p3.value * $carry_least
    AND p2.value * 100 <= p3.value * $carry_most
    AND (type(p3) = 'PAID_IN' OR x:Merchant OR NOT x.id IN [n1.id, n2.id])
  RETURN [p1.transaction_id, p2.transaction_id, p3.transaction_id] AS path,
    [p1.value, p2.value, p3.value] AS amounts,
    n2.id AS payee, p3.timestamp AS at,
    CASE WHEN type(p3) = 'PAID' THEN labels(x)[0] ELSE 'Outside' END AS kind,
    CASE WHEN type(p3) = 'PAID' THEN x.id ELSE null END AS payer
UNION ALL
  MATCH (a:User {id: $user}) WHERE $hops >= 4
  MATCH (a)<-[p1:PAID]-(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$user]
  MATCH (n1)<-[p2:PAID]-(n2:User)
    WHERE p2.timestamp <= p1.timestamp
    AND p2.timestamp >= p1.timestamp - $hours * 3600000
    AND p1.value * 100 >= p2.value * $carry_least
    AND p1.value * 100 <= p2.value * $carry_most
    AND NOT n2.id IN [$user, n1.id]
  MATCH (n2)<-[p3:PAID]-(n3:User)
    WHERE p3.timestamp <= p2.timestamp
    AND p3.timestamp >= p2.timestamp - $hours * 3600000
    AND p2.value * 100 >= p3.value * $carry_least
    AND p2.value * 100 <= p3.value * $carry_most
    AND NOT n3.id IN [$user, n1.id, n2.id]
  MATCH (n3)<-[p4:PAID|PAID_IN]-(x)
    WHERE p4.timestamp <= p3.timestamp
    AND p4.timestamp >= p3.timestamp - $hours * 3600000
    AND p3.value * 100 >= p4.value * $carry_least
    AND p3.value * 100 <= p4.value * $carry_most
    AND (type(p4) = 'PAID_IN' OR x:Merchant OR NOT x.id IN [n1.id, n2.id, n3.id])
  RETURN [p1.transaction_id, p2.transaction_id, p3.transaction_id, p4.transaction_id] AS path,
    [p1.value, p2.value, p3.value, p4.value] AS amounts,
    n3.id AS payee, p4.timestamp AS at,
    CASE WHEN type(p4) = 'PAID' THEN labels(x)[0] ELSE 'Outside' END AS kind,
    CASE WHEN type(p4) = 'PAID' THEN x.id ELSE null END AS payer
UNION ALL
  MATCH (a:User {id: $user}) WHERE $hops >= 5
  MATCH (a)<-[p1:PAID]-(n1:User)
    WHERE p1.timestamp >= $since AND p1.timestamp < $until
    AND NOT n1.id IN [$user]
  MATCH (n1)<-[p2:PAID]-(n2:User)
    WHERE p2.timestamp <= p1.timestamp
    AND p2.timestamp >= p1.timestamp - $hours * 3600000
    AND p1.value * 100 >= p2.value * $carry_least
    AND p1.value * 100 <= p2.value * $carry_most
    AND NOT n2.id IN [$user, n1.id]
  MATCH (n2)<-[p3:PAID]-(n3:User)
    WHERE p3.timestamp <= p2.timestamp
    AND p3.timestamp >= p2.timestamp - $hours * 3600000
    AND p2.value * 100 >= p3.value * $carry_least
    AND p2.value * 100 <= p3.value * $carry_most
    AND NOT n3.id IN [$user, n1.id, n2.id]
  MATCH (n3)<-[p4:PAID]-(n4:User)
    WHERE p4.timestamp <= p3.timestamp
    AND p4.timestamp >= p3.timestamp - $hours * 3600000
    AND p3.value * 100 >= p4.value * $carry_least
    AND p3.value * 100 <= p4.value * $carry_most
    AND NOT n4.id IN [$user, n1.id, n2.id, n3.id]
  MATCH (n4)<-[p5:PAID|PAID_IN]-(x)
    WHERE p5.timestamp <= p4.timestamp
    AND p5.timestamp >= p4.timestamp - $hours * 3600000
    AND p4.value * 100 >= p5.value * $carry_least
    AND p4.value * 100 <= p5.value * $carry_most
    AND (type(p5) = 'PAID_IN' OR x:Merchant OR NOT x.id IN [n1.id, n2.id, n3.id, n4.id])
  RETURN [p1.transaction_id, p2.transaction_id, p3.transaction_id, p4.transaction_id, p5.transaction_id] AS path,
    [p1.value, p2.value, p3.value, p4.value, p5.value] AS amounts,
    n4.id AS payee, p5.timestamp AS at,
    CASE WHEN type(p5) = 'PAID' THEN labels(x)[0] ELSE 'Outside' END AS kind,
    CASE WHEN type(p5) = 'PAID' THEN x.id ELSE null END AS payer
}
RETURN path, size(path) AS hop, payee, kind, payer, at, amounts[size(amounts) - 1] AS value,
  reduce(least = amounts[0], y IN amounts | CASE WHEN y < least THEN y ELSE least END) AS carried
ORDER BY hop, at, path
