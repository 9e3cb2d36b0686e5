// Structuring below a limit
//
// Which users made several payments that stay just under a limit? Also called smurfing: amounts are
// chosen so that no single one is reported or stepped up.
//
// :group money
// :asked-by An anti-laundering analyst; set the limit to the one your rules or the law have.
// :example ringfence investigate structuring --param limit=1000000 --param within=10
// :limits 200 rows, 20 s
//
// :param limit integer 100..100000000000 default 1000000 The limit, in minor units of the base currency.
// :param within integer 1..50 default 10 How many percent below the limit is just under it.
// :param least integer 2..1000 default 3 At least so many such payments.
// :param since timestamp default "1970-01-01T00:00:00Z" Payments not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" Payments before this.
//
// :column account string The user.
// :column payments integer How many payments stay just under the limit.
// :column value money Their sum.
// :column nearest money The greatest of them.
// :column payees integer How many accounts they went to, cash counted as one.
// :column first_at timestamp The first of them.
// :column last_at timestamp The last of them.
//
// :cost All payments in the span, once.
// :bound The span.
MATCH (u:User)-[p:PAID|PAID_OUT]->(x)
  WHERE p.value < $limit AND p.value * 100 >= $limit * (100 - $within)
  AND p.timestamp >= $since AND p.timestamp < $until
WITH u.id AS account, count(p) AS payments, sum(p.value) AS value, max(p.value) AS nearest,
  count(DISTINCT type(p) + labels(x)[0] + x.id) AS payees, min(p.timestamp) AS first_at,
  max(p.timestamp) AS last_at
  WHERE payments >= $least
RETURN account, payments, value, nearest, payees, first_at, last_at
ORDER BY payments DESC, value DESC, account
