// Shortest money routes
//
// What are the shortest ways over which money could go between two users?
// By payments of at least a given amount, and regardless of their order in time.
//
// :group money
// :asked-by An investigator who asks who stands between two accounts before looking at times.
// :example ringfence investigate shortest-money-routes --param source=u-0001 --param target=u-0009
// :needs neo4j: SHORTEST k GROUPS, which the embedded graph does not know.
// :limits 200 rows, 10 s
//
// :param source string example "u-0001" Where the money starts.
// :param target string example "u-0009" Where it ends.
// :param value integer 0..100000000000 default 0 Payments of less (minor units) are not walked.
//
// :column hops integer How many payments.
// :column accounts list of strings The users on the way, both ends included.
// :column payments integer How many choices of payments there are along this way.
// :column value money The greatest amount that a choice of payments carries all the way.
//
// :cost A breadth-first search over payments between users.
// :bound 8 payments, and the three shortest lengths.
MATCH (a:User {id: $source})
MATCH (b:User {id: $target})
  WHERE b.id <> a.id
MATCH w = SHORTEST 3 GROUPS (a) ((x:User)-[p:PAID WHERE p.value >= $value]->(y:User)){1,8} (b)
WITH [n IN nodes(w) | n.id] AS accounts,
  reduce(least = 9223372036854775807, r IN relationships(w) |
    CASE WHEN r.value < least THEN r.value ELSE least END) AS carried
  WHERE all(i IN range(0, size(accounts) - 2) WHERE NOT accounts[i] IN accounts[i + 1..])
RETURN size(accounts) - 1 AS hops, accounts, count(*) AS payments, max(carried) AS value
ORDER BY hops, value DESC, accounts
