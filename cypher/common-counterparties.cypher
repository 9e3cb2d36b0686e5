// Common counterparties of two rings
//
// With whom did both rings do business? A shared mule, shop or exit ties two cases together.
// Members of either ring are left out; declined payments are not counted.
//
// :group rings
// :asked-by An investigator who suspects one hand behind two cases.
// :example ringfence investigate common-counterparties --param ring_a=r-0001 --param ring_b=r-0002
// :limits 500 rows, 5 s
//
// :param ring_a ring example "r-0001" The one ring.
// :param ring_b ring example "r-0002" The other ring.
//
// :column kind string User or Merchant.
// :column counterparty string Its id.
// :column members_a integer With how many members of the one ring it dealt.
// :column value_a money The sum of those payments, both ways.
// :column members_b integer With how many members of the other ring it dealt.
// :column value_b money The sum of those payments, both ways.
// :column first_at timestamp The first payment with either ring.
// :column last_at timestamp The last payment with either ring.
//
// :cost All payments of the users in both rings.
// :bound At most 200 members a ring and their payments.
MATCH (k)<-[:HAS_MEMBER]-(g:Ring)
  WHERE g.id IN [$ring_a, $ring_b]
WITH collect(labels(k)[0] + ':' + k.id) AS inside
CALL () {
  MATCH (r:Ring {id: $ring_a})-[:HAS_MEMBER]->(m:User)-[p:PAID]->(x)
  RETURN 'a' AS side, m.id AS member, labels(x)[0] AS kind, x.id AS counterparty, p.value AS value,
    p.timestamp AS at
UNION ALL
  MATCH (r:Ring {id: $ring_a})-[:HAS_MEMBER]->(m:User)<-[p:PAID]-(x)
  RETURN 'a' AS side, m.id AS member, labels(x)[0] AS kind, x.id AS counterparty, p.value AS value,
    p.timestamp AS at
UNION ALL
  MATCH (r:Ring {id: $ring_b})-[:HAS_MEMBER]->(m:User)-[p:PAID]->(x)
  RETURN 'b' AS side, m.id AS member, labels(x)[0] AS kind, x.id AS counterparty, p.value AS value,
    p.timestamp AS at
UNION ALL
  MATCH (r:Ring {id: $ring_b})-[:HAS_MEMBER]->(m:User)<-[p:PAID]-(x)
  RETURN 'b' AS side, m.id AS member, labels(x)[0] AS kind, x.id AS counterparty, p.value AS value,
    p.timestamp AS at
}
WITH inside, side, member, kind, counterparty, value, at
  WHERE NOT kind + ':' + counterparty IN inside
WITH kind, counterparty,
  count(DISTINCT CASE WHEN side = 'a' THEN member ELSE null END) AS members_a,
  sum(CASE WHEN side = 'a' THEN value ELSE 0 END) AS value_a,
  count(DISTINCT CASE WHEN side = 'b' THEN member ELSE null END) AS members_b,
  sum(CASE WHEN side = 'b' THEN value ELSE 0 END) AS value_b,
  min(at) AS first_at, max(at) AS last_at
  WHERE members_a > 0 AND members_b > 0
RETURN kind, counterparty, members_a, value_a, members_b, value_b, first_at, last_at
ORDER BY members_a + members_b DESC, value_a + value_b DESC, kind, counterparty
