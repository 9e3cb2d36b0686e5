// Distributors (fan-out)
//
// Which users paid many different users within hours?
// Each is shown with its busiest stretch: the one with the most payees, then the most money.
//
// :group money
// :asked-by A payments-fraud team: one hand that spreads money over its mules.
// :example ringfence investigate fan-out-distributors --param hours=24 --param least=5
// :limits 200 rows, 20 s
//
// :param hours integer 1..720 default 24 How long a stretch is.
// :param least integer 2..1000 default 5 At least so many payees.
// :param since timestamp default "1970-01-01T00:00:00Z" Stretches begin not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" Stretches begin before this.
//
// :column account string The user.
// :column payees integer How many different users in the stretch.
// :column payments integer How many payments.
// :column value money Their sum.
// :column started_at timestamp The first payment of the stretch.
// :column ended_at timestamp The last payment of the stretch.
//
// :cost All payments between users once; for each user with at least `least` payees in the span,
// :cost its payments squared.
// :bound The busiest user; a shorter span is the remedy.
MATCH (c:User)-[f:PAID]->(x:User)
  WHERE f.timestamp >= $since AND f.timestamp < $until AND x.id <> c.id
WITH c, count(DISTINCT x.id) AS seen, collect(DISTINCT f.timestamp) AS moments
  WHERE seen >= $least
UNWIND moments AS started_at
MATCH (c)-[p:PAID]->(y:User)
  WHERE p.timestamp >= started_at AND p.timestamp <= started_at + $hours * 3600000
  AND p.timestamp < $until AND y.id <> c.id
WITH c, started_at, count(DISTINCT y.id) AS payees, count(p) AS payments, sum(p.value) AS value,
  max(p.timestamp) AS ended_at
  WHERE payees >= $least
WITH c, payees, payments, value, started_at, ended_at
ORDER BY payees DESC, value DESC, started_at
WITH c.id AS account, collect({
  payees: payees, payments: payments, value: value, started_at: started_at, ended_at: ended_at
})[0] AS best
RETURN account, best.payees AS payees, best.payments AS payments, best.value AS value,
  best.started_at AS started_at, best.ended_at AS ended_at
ORDER BY payees DESC, value DESC, account
