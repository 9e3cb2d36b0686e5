// Timeline of an entity
//
// What happened with this account, device, IP, card or merchant, and when? Payments, declined
// attempts, first uses, rings and alerts.
//
// :group time
// :asked-by An analyst who writes up a case.
// :example ringfence investigate entity-timeline --param entity=d-0001 --param kind=Device
// :limits 500 rows, 5 s
//
// :param entity string example "u-0001" The entity's id.
// :param kind choice User|Device|Ip|Card|Merchant default "User" Its label.
// :param since timestamp default "1970-01-01T00:00:00Z" Events not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" Events before this.
//
// :column at timestamp When.
// :column event string What: paid, was paid, attempted, money in, first used, ring born, alert, …
// :column kind string Label of the other side; null where it is outside of the graph.
// :column other string Id of the other side: account, identifier, ring or alert.
// :column value money How much; null where no money is concerned.
// :column detail string The transaction, the ring's state or the alert's headline.
//
// :cost All relationships of the entity.
// :bound One entity; for a merchant or an address that everybody uses narrow the span.
MATCH (e:User|Device|Ip|Card|Merchant {id: $entity})
  WHERE labels(e)[0] = $kind
CALL (e) {
  MATCH (e)-[p:PAID|ATTEMPTED|PAID_OUT]->(x)
  RETURN p.timestamp AS at,
    CASE type(p) WHEN 'PAID' THEN 'paid' WHEN 'ATTEMPTED' THEN 'attempted' ELSE 'money out' END
      AS event,
    CASE WHEN type(p) = 'PAID_OUT' THEN null ELSE labels(x)[0] END AS kind,
    CASE WHEN type(p) = 'PAID_OUT' THEN null ELSE x.id END AS other,
    p.value AS value, p.transaction_id AS detail
UNION ALL
  MATCH (e)<-[p:PAID|ATTEMPTED|PAID_IN]-(x)
    WHERE type(p) = 'PAID_IN' OR NOT (labels(x)[0] = $kind AND x.id = $entity)
  RETURN p.timestamp AS at,
    CASE type(p) WHEN 'PAID' THEN 'was paid' WHEN 'ATTEMPTED' THEN 'was attempted'
      ELSE 'money in' END AS event,
    CASE WHEN type(p) = 'PAID_IN' THEN null ELSE labels(x)[0] END AS kind,
    CASE WHEN type(p) = 'PAID_IN' THEN null ELSE x.id END AS other,
    p.value AS value, p.transaction_id AS detail
UNION ALL
  MATCH (e)-[l:USED_DEVICE|USED_IP|USED_CARD]->(n)
  RETURN l.first_seen AS at, 'first used' AS event, labels(n)[0] AS kind, n.id AS other,
    null AS value, null AS detail
UNION ALL
  MATCH (e)<-[l:USED_DEVICE|USED_IP|USED_CARD]-(u:User)
  RETURN l.first_seen AS at, 'first used by' AS event, 'User' AS kind, u.id AS other,
    null AS value, null AS detail
UNION ALL
  MATCH (e)<-[:HAS_MEMBER]-(r:Ring) WHERE r.born_at IS NOT NULL
  RETURN r.born_at AS at, 'ring born' AS event, 'Ring' AS kind, r.ring_id AS other,
    r.money AS value, r.state AS detail
UNION ALL
  MATCH (e)<-[:HAS_MEMBER]-(r:Ring)<-[:ABOUT]-(a:Alert)
  RETURN a.at AS at, 'alert' AS event, 'Alert' AS kind, a.alert_id AS other,
    a.money AS value, a.headline AS detail
}
WITH at, event, kind, other, value, detail
  WHERE at >= $since AND at < $until
RETURN at, event, kind, other, value, detail
ORDER BY at, event, kind, other, detail
