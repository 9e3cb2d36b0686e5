// Rings that touch a merchant
//
// Members of which rings paid this merchant or tried to? A shop where several rings spend is an
// exit for their money, or in league with them.
//
// :group merchants
// :asked-by A merchant-risk analyst before a payout, and the acquirer's fraud desk.
// :example ringfence investigate rings-at-merchant --param merchant=m-0001
// :limits 500 rows, 5 s
//
// :param merchant string example "m-0001" The merchant.
// :param since timestamp default "1970-01-01T00:00:00Z" Payments not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" Payments before this.
//
// :column ring_id string The ring.
// :column state string active, quiet or expired.
// :column score number How strongly it speaks for fraud, 0 to 1.
// :column likelihood number How likely it is a true ring, 0 to 1; null where nobody was asked.
// :column buyers integer How many of its members were there.
// :column payments integer How many payments they made.
// :column value money Their sum.
// :column declined integer How many attempts were declined.
// :column first_at timestamp The first payment or attempt.
// :column last_at timestamp The last payment or attempt.
//
// :cost All payments to the merchant, and the rings of those who made them.
// :bound The merchant's payments; narrow the span for one that everybody pays.
MATCH (m:Merchant {id: $merchant})<-[p:PAID|ATTEMPTED]-(u:User)
  WHERE p.timestamp >= $since AND p.timestamp < $until
MATCH (u)<-[:HAS_MEMBER]-(r:Ring)
  WHERE NOT (r)-[:MERGED_INTO]->(:Ring)
RETURN r.ring_id AS ring_id, r.state AS state, r.score AS score,
  r.likelihood AS likelihood, count(DISTINCT u.id) AS buyers,
  sum(CASE WHEN type(p) = 'PAID' THEN 1 ELSE 0 END) AS payments,
  sum(CASE WHEN type(p) = 'PAID' THEN p.value ELSE 0 END) AS value,
  sum(CASE WHEN type(p) = 'PAID' THEN 0 ELSE 1 END) AS declined,
  min(p.timestamp) AS first_at, max(p.timestamp) AS last_at
ORDER BY value DESC, declined DESC, ring_id
