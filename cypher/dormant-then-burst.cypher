// Dormant, then a burst
//
// Who paid nobody for many days, and then many times within hours? Declined
// attempts count: a stolen account is tried before it is emptied.
//
// :group accounts
// :asked-by A mule-account and takeover team: bought and stolen accounts wake up like this.
// :example ringfence investigate dormant-then-burst --param days=30 --param least=5
// :limits 200 rows, 20 s
//
// :param days integer 1..3650 default 30 For at least so long there was nothing.
// :param least integer 2..1000 default 5 Then at least so many payments or attempts,
// :param hours integer 1..720 default 24 within so many hours.
// :param since timestamp default "1970-01-01T00:00:00Z" It woke not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" It woke before this.
//
// :column account string The user.
// :column quiet_since timestamp The last payment or attempt before the silence.
// :column woke_at timestamp The first after it.
// :column payments integer How many payments it made in the burst.
// :column value money Their sum.
// :column declined integer How many attempts in the burst were declined.
// :column ended_at timestamp The last of the burst.
//
// :cost All payments and attempts of all users once; and those of the found ones again.
// :bound The payments in the graph; narrowing the span does not help, a longer silence does not
// :bound either: it is a question for the night.
MATCH (u:User)-[p:PAID|PAID_OUT|ATTEMPTED]->()
WITH u, p ORDER BY p.timestamp
WITH u, collect(p.timestamp) AS times
  WHERE size(times) > $least
UNWIND range(1, size(times) - 1) AS i
WITH u, times, i
  WHERE times[i] - times[i - 1] >= $days * 86400000 AND times[i] >= $since AND times[i] < $until
WITH u, times[i - 1] AS quiet_since, times[i] AS woke_at
MATCH (u)-[b:PAID|PAID_OUT|ATTEMPTED]->()
  WHERE b.timestamp >= woke_at AND b.timestamp <= woke_at + $hours * 3600000
WITH u.id AS account, quiet_since, woke_at, count(b) AS burst,
  sum(CASE WHEN type(b) = 'ATTEMPTED' THEN 0 ELSE b.value END) AS value,
  sum(CASE WHEN type(b) = 'ATTEMPTED' THEN 1 ELSE 0 END) AS declined,
  max(b.timestamp) AS ended_at
  WHERE burst >= $least
RETURN account, quiet_since, woke_at, burst - declined AS payments, value, declined, ended_at
ORDER BY value DESC, woke_at, account
