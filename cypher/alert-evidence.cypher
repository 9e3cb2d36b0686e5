// Evidence trail of an alert
//
// Which transactions made us raise this alert, in what order? With the part that each side plays in
// the ring. Declined attempts are shown too. The evidence is the ring's as it stands now; of a ring
// that merged, that of the ring it became.
//
// :group rings
// :asked-by An analyst who decides on an alert, and whoever writes the report on it.
// :example ringfence investigate alert-evidence --param alert=a-0001
// :limits 500 rows, 5 s
//
// :param alert string example "a-0001" The alert.
//
// :column at timestamp When.
// :column relation string PAID, ATTEMPTED, PAID_IN or PAID_OUT.
// :column source_kind string The payer's label.
// :column source string The payer; the user itself where money came from the outside.
// :column source_role string The payer's part in the ring; null if it is not in it.
// :column target_kind string The payee's label.
// :column target string The payee; the user itself where money went to the outside.
// :column target_role string The payee's part in the ring; null if it is not in it.
// :column value money How much.
// :column transaction_id string The transaction.
// :column decision string Our advice on it, if there was a verdict.
//
// :cost All payments of the ring's users.
// :bound At most 200 members and their payments.
MATCH (a:Alert {id: $alert})-[:ABOUT]->(told:Ring)
OPTIONAL MATCH (told)-[:MERGED_INTO]->(became:Ring)
  WHERE NOT (became)-[:MERGED_INTO]->(:Ring)
WITH coalesce(became, told) AS r
CALL (r) {
  MATCH (r)-[:HAS_MEMBER]->(u:User)-[p:PAID|ATTEMPTED|PAID_OUT|PAID_IN]->(t)
    WHERE p.transaction_id IN r.transactions
  RETURN u AS s, p, t
UNION
  MATCH (r)-[:HAS_MEMBER]->(u:User)<-[p:PAID|ATTEMPTED|PAID_OUT|PAID_IN]-(s)
    WHERE p.transaction_id IN r.transactions
  RETURN s, p, u AS t
}
OPTIONAL MATCH (r)-[hs:HAS_MEMBER]->(s)
OPTIONAL MATCH (r)-[ht:HAS_MEMBER]->(t)
RETURN p.timestamp AS at, type(p) AS relation, labels(s)[0] AS source_kind, s.id AS source,
  hs.role AS source_role, labels(t)[0] AS target_kind, t.id AS target, ht.role AS target_role,
  p.value AS value, p.transaction_id AS transaction_id, p.decision AS decision
ORDER BY at, transaction_id
