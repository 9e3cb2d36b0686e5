// Fan-out of an account
//
// Whom did this user pay, how much, and in how many payments?
// Declined payments are not counted, nor is money that left the graph.
//
// :group money
// :asked-by An analyst who looks for where the money of an account went.
// :example ringfence investigate fan-out --param user=u-0001
// :limits 500 rows, 5 s
//
// :param user string example "u-0001" The user who paid.
// :param since timestamp default "1970-01-01T00:00:00Z" Payments not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" Payments before this.
//
// :column kind string The payee's label: User or Merchant.
// :column payee string The payee's id.
// :column payments integer How many.
// :column value money Their sum.
// :column first_at timestamp The first of them.
// :column last_at timestamp The last of them.
//
// :cost All payments the user ever made.
// :bound One user's outgoing payments.
MATCH (u:User {id: $user})-[p:PAID]->(payee)
  WHERE p.timestamp >= $since AND p.timestamp < $until
RETURN labels(payee)[0] AS kind, payee.id AS payee, count(p) AS payments, sum(p.value) AS value,
  min(p.timestamp) AS first_at, max(p.timestamp) AS last_at
ORDER BY value DESC, kind, payee
