// Isolated buyers of a merchant
//
// Which buyers of this merchant never dealt with anybody else? Real customers have other payments;
// accounts made to buy in one shop do not. The ones that share identifiers come first.
//
// :group merchants
// :asked-by A merchant-risk analyst who suspects made-up customers or cards tested in one shop.
// :example ringfence investigate merchant-isolated-buyers --param merchant=m-0001
// :limits 500 rows, 5 s
//
// :param merchant string example "m-0001" The merchant.
// :param since timestamp default "1970-01-01T00:00:00Z" Payments to the merchant not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" Payments to the merchant before this.
//
// :column buyer string The user.
// :column payments integer How many payments it made to the merchant.
// :column value money Their sum.
// :column first_at timestamp The first of them.
// :column last_at timestamp The last of them.
// :column shares_with integer How many other accounts share a device, IP or card with it.
//
// :cost All payments to the merchant, all payments of its buyers, and who shares with the isolated.
// :bound The merchant's payments; narrow the span for one that everybody pays.
MATCH (m:Merchant {id: $merchant})<-[p:PAID]-(u:User)
  WHERE p.timestamp >= $since AND p.timestamp < $until
WITH u, count(p) AS payments, sum(p.value) AS value, min(p.timestamp) AS first_at,
  max(p.timestamp) AS last_at
  WHERE NOT EXISTS {
    MATCH (u)-[:PAID]->(x) WHERE NOT (x:Merchant AND x.id = $merchant)
  }
  AND NOT EXISTS {
    MATCH (u)<-[:PAID]-(y) WHERE NOT (y:Merchant AND y.id = $merchant)
  }
OPTIONAL MATCH (u)-[:USED_DEVICE|USED_IP|USED_CARD]->(n)<-[:USED_DEVICE|USED_IP|USED_CARD]-(v:User)
  WHERE v.id <> u.id
RETURN u.id AS buyer, payments, value, first_at, last_at, count(DISTINCT v.id) AS shares_with
ORDER BY shares_with DESC, value DESC, buyer
