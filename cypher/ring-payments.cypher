// Payments inside a ring
//
// How did money move between the members of this ring, one by one?
//
// :group rings
// :asked-by An analyst who retells the case in the order in which it happened.
// :example ringfence investigate ring-payments --param ring=r-0001
// :limits 500 rows, 5 s
//
// :param ring ring example "r-0001" The ring.
// :param since timestamp default "1970-01-01T00:00:00Z" Payments not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" Payments before this.
//
// :column at timestamp When.
// :column payer_kind string The payer's label.
// :column payer string Who paid.
// :column payee_kind string The payee's label.
// :column payee string Who was paid.
// :column value money How much.
// :column transaction_id string The payment.
// :column witness boolean Whether the ring's evidence names it.
// :column decision string Our advice on it, if there was a verdict.
//
// :cost All payments that members made.
// :bound At most 200 members; a merchant among them costs the refunds it made.
MATCH (r:Ring {id: $ring})-[:HAS_MEMBER]->(a)
MATCH (a)-[p:PAID]->(b)
  WHERE p.timestamp >= $since AND p.timestamp < $until
MATCH (r)-[:HAS_MEMBER]->(b)
RETURN p.timestamp AS at, labels(a)[0] AS payer_kind, a.id AS payer, labels(b)[0] AS payee_kind,
  b.id AS payee, p.value AS value, p.transaction_id AS transaction_id,
  p.transaction_id IN coalesce(r.transactions, []) AS witness, p.decision AS decision
ORDER BY at, transaction_id
