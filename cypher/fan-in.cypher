// Fan-in of an account
//
// Who paid this user, how much, and in how many payments?
// Declined payments are not counted, nor is money from outside the graph.
//
// :group money
// :asked-by An analyst who looks for the victims or mules behind an account.
// :example ringfence investigate fan-in --param user=u-0001
// :limits 500 rows, 5 s
//
// :param user string example "u-0001" The user who was paid.
// :param since timestamp default "1970-01-01T00:00:00Z" Payments not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" Payments before this.
//
// :column kind string The payer's label: User, or Merchant for a refund.
// :column payer string The payer's id.
// :column payments integer How many.
// :column value money Their sum.
// :column first_at timestamp The first of them.
// :column last_at timestamp The last of them.
//
// :cost All payments the user ever received.
// :bound One user's incoming payments.
MATCH (u:User {id: $user})<-[p:PAID]-(payer)
  WHERE p.timestamp >= $since AND p.timestamp < $until
RETURN labels(payer)[0] AS kind, payer.id AS payer, count(p) AS payments, sum(p.value) AS value,
  min(p.timestamp) AS first_at, max(p.timestamp) AS last_at
ORDER BY value DESC, kind, payer
