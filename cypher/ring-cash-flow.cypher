// Where a ring's money came from and went
//
// Who outside this ring fed it, and where did the money leave it? The victims are among the first,
// the exits (cash, shops, other accounts) among the second.
//
// :group rings
// :asked-by An analyst who looks for victims to warn and for money that can still be stopped.
// :example ringfence investigate ring-cash-flow --param ring=r-0001
// :limits 500 rows, 5 s
//
// :param ring ring example "r-0001" The ring.
// :param since timestamp default "1970-01-01T00:00:00Z" Payments not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" Payments before this.
//
// :column direction string in: into the ring; out: out of it.
// :column kind string User, Merchant, or Outside for what lies outside of the graph.
// :column counterparty string Its id; null for Outside.
// :column members integer With how many members it dealt.
// :column payments integer In how many payments.
// :column value money Their sum.
// :column first_at timestamp The first of them.
// :column last_at timestamp The last of them.
//
// :cost All payments of the members that are users.
// :bound At most 200 members and their payments.
MATCH (r:Ring {id: $ring})-[:HAS_MEMBER]->(k)
WITH collect(labels(k)[0] + ':' + k.id) AS inside
CALL () {
  MATCH (r:Ring {id: $ring})-[:HAS_MEMBER]->(m:User)-[p:PAID|PAID_OUT]->(x)
  RETURN 'out' AS direction, m.id AS member, type(p) AS type, labels(x)[0] AS label, x.id AS other,
    p.value AS value, p.timestamp AS at
UNION ALL
  MATCH (r:Ring {id: $ring})-[:HAS_MEMBER]->(m:User)<-[p:PAID|PAID_IN]-(x)
  RETURN 'in' AS direction, m.id AS member, type(p) AS type, labels(x)[0] AS label, x.id AS other,
    p.value AS value, p.timestamp AS at
}
WITH direction, member, value, at,
  CASE WHEN type = 'PAID' THEN label ELSE 'Outside' END AS kind,
  CASE WHEN type = 'PAID' THEN other ELSE null END AS counterparty,
  type = 'PAID' AND label + ':' + other IN inside AS within
  WHERE NOT within AND at >= $since AND at < $until
RETURN direction, kind, counterparty, count(DISTINCT member) AS members, count(at) AS payments,
  sum(value) AS value, min(at) AS first_at, max(at) AS last_at
ORDER BY direction, value DESC, kind, counterparty
