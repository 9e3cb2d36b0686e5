// New devices of an account
//
// Which devices were new to this account, and what did it pay right after? A new phone followed by
// large payments is how an account takeover looks.
//
// :group accounts
// :asked-by An account-takeover team, or whoever takes the call of a customer robbed.
// :example ringfence investigate new-devices --param user=u-0001 --param days=7
// :limits 500 rows, 5 s
//
// :param user string example "u-0001" The account.
// :param days integer 0..3650 default 7 The account had used another device for at least so long.
// :param hours integer 1..720 default 24 How long after the first use payments are counted.
//
// :column device string The device.
// :column first_seen timestamp When the account first used it.
// :column last_seen timestamp When it last used it.
// :column count integer How many of its transactions were made on it.
// :column others integer How many other accounts use the device.
// :column payments integer How many payments the account made in the hours after the first use.
// :column value money Their sum.
// :column declined integer How many of its attempts in those hours were declined.
//
// :cost The account's devices, all who used them, and the account's payments for each.
// :bound One account's payments times its new devices.
MATCH (u:User {id: $user})-[o:USED_DEVICE]->(:Device)
WITH u, min(o.first_seen) AS known_since
MATCH (u)-[l:USED_DEVICE]->(d:Device)
  WHERE l.first_seen > known_since AND l.first_seen - known_since >= $days * 86400000
WITH u, l, d, COUNT { (d)<-[:USED_DEVICE]-(:User) } AS accounts
OPTIONAL MATCH (u)-[p:PAID|PAID_OUT|ATTEMPTED]->()
  WHERE p.timestamp >= l.first_seen AND p.timestamp <= l.first_seen + $hours * 3600000
RETURN d.id AS device, l.first_seen AS first_seen, l.last_seen AS last_seen, l.count AS count,
  accounts - 1 AS others,
  sum(CASE WHEN type(p) IN ['PAID', 'PAID_OUT'] THEN 1 ELSE 0 END) AS payments,
  sum(CASE WHEN type(p) IN ['PAID', 'PAID_OUT'] THEN p.value ELSE 0 END) AS value,
  sum(CASE WHEN type(p) = 'ATTEMPTED' THEN 1 ELSE 0 END) AS declined
ORDER BY first_seen DESC, device
