// Declined attempts, then a success
//
// Whose attempts were declined several times just before one went through? Shown is the first
// success after them: the way card testing and guessing of limits end. What was declined before an
// earlier success no longer counts.
//
// :group accounts
// :asked-by A card-fraud team, and whoever tunes the decline rules.
// :example ringfence investigate declined-then-success --param minutes=60 --param least=3
// :limits 200 rows, 20 s
//
// :param minutes integer 1..10080 default 60 How long before the success attempts count.
// :param least integer 1..1000 default 3 At least so many were declined.
// :param since timestamp default "1970-01-01T00:00:00Z" The success is not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" The success is before this.
//
// :column account string The user.
// :column declined integer How many attempts were declined.
// :column payees integer With how many accounts it was tried.
// :column tried money The greatest amount that was declined.
// :column first_try timestamp The first of the attempts.
// :column succeeded_at timestamp When one went through.
// :column kind string Label of who was paid; Outside where the money left the graph.
// :column payee string Who was paid; null for Outside.
// :column value money How much went through.
// :column transaction_id string The payment.
//
// :cost All declined attempts; for each user who has enough, payments times payments and attempts.
// :bound The busiest of those users; a shorter span is the remedy.
MATCH (u:User)-[a:ATTEMPTED]->()
WITH u, count(a) AS attempts
  WHERE attempts >= $least
MATCH (u)-[p:PAID|PAID_OUT]->(x)
  WHERE p.timestamp >= $since AND p.timestamp < $until
MATCH (u)-[e:ATTEMPTED]->()
  WHERE e.timestamp <= p.timestamp AND e.timestamp >= p.timestamp - $minutes * 60000
WITH u, p, x, count(e) AS tries
  WHERE tries >= $least
OPTIONAL MATCH (u)-[q:PAID|PAID_OUT]->()
  WHERE q.timestamp < p.timestamp AND q.timestamp >= p.timestamp - $minutes * 60000
WITH u, p, x, coalesce(max(q.timestamp), -1) AS before
MATCH (u)-[d:ATTEMPTED]->(y)
  WHERE d.timestamp <= p.timestamp AND d.timestamp >= p.timestamp - $minutes * 60000
  AND d.timestamp > before
WITH u, p, x, count(d) AS declined, count(DISTINCT labels(y)[0] + ':' + y.id) AS payees,
  max(d.value) AS tried, min(d.timestamp) AS first_try
  WHERE declined >= $least
RETURN u.id AS account, declined, payees, tried, first_try, p.timestamp AS succeeded_at,
  CASE WHEN type(p) = 'PAID' THEN labels(x)[0] ELSE 'Outside' END AS kind,
  CASE WHEN type(p) = 'PAID' THEN x.id ELSE null END AS payee,
  p.value AS value, p.transaction_id AS transaction_id
ORDER BY declined DESC, value DESC, succeeded_at, transaction_id
