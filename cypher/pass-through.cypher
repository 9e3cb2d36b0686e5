// Pass-through accounts
//
// Which users send on within hours what they receive? A payment counts as passed on when, within
// `hours` after it, at least `carry` percent of it left the account again (to users, shops or
// cash).
//
// :group money
// :asked-by A mule-account team that looks for accounts which only lend their name.
// :example ringfence investigate pass-through --param hours=6 --param carry=90
// :limits 200 rows, 20 s
//
// :param hours integer 1..168 default 24 How long money may rest.
// :param carry integer 1..100 default 80 How many percent must leave.
// :param least integer 1..1000 default 2 At least so many payments were passed on.
// :param since timestamp default "1970-01-01T00:00:00Z" Payments received not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" Payments received before this.
//
// :column account string The user.
// :column payments integer How many payments it passed on.
// :column received money Their sum.
// :column passed_on money What of it left in time, each payment counted up to its own amount.
// :column minutes integer How long they rested until the first money left, on average.
// :column first_at timestamp The first of them.
// :column last_at timestamp The last of them.
//
// :cost All payments between accounts in the span, each with what its receiver paid in `hours`.
// :bound The span; a shorter one is the remedy.
MATCH (u:User)<-[i:PAID|PAID_IN]-(s)
  WHERE i.timestamp >= $since AND i.timestamp < $until
  AND NOT (type(i) = 'PAID' AND s:User AND s.id = u.id)
MATCH (u)-[o:PAID|PAID_OUT]->(t)
  WHERE o.timestamp >= i.timestamp AND o.timestamp <= i.timestamp + $hours * 3600000
  AND NOT (type(o) = 'PAID' AND t:User AND t.id = u.id)
WITH u, i, sum(o.value) AS total_out, min(o.timestamp) AS first_out
  WHERE total_out * 100 >= i.value * $carry
WITH u.id AS account, count(i) AS payments, sum(i.value) AS received,
  sum(CASE WHEN total_out < i.value THEN total_out ELSE i.value END) AS passed_on,
  sum(first_out - i.timestamp) AS rested, min(i.timestamp) AS first_at, max(i.timestamp) AS last_at
  WHERE payments >= $least
RETURN account, payments, received, passed_on, rested / (payments * 60000) AS minutes, first_at,
  last_at
ORDER BY payments DESC, received DESC, account
