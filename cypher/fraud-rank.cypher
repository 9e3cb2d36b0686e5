// Accounts closest to known fraud
//
// Which accounts stand closest to known fraud in the whole graph? Taken from the last deep
// analysis: a random walk that starts from accounts in alerted rings and follows money and shared
// identifiers ends here most often. Before the first deep analysis there are no rows.
//
// :group accounts
// :asked-by A team that looks for the next member of a ring before the ring does.
// :example ringfence investigate fraud-rank --param outside=yes
// :limits 200 rows, 20 s
//
// :param outside choice yes|no default "no" Only accounts that are in no ring yet.
//
// :column account string The user.
// :column fraud_rank number Its personalised PageRank from known fraud.
// :column pagerank number Its PageRank among users, without regard to fraud.
// :column betweenness number The share of shortest money paths that pass through it.
// :column community integer The number of its community; null if it is in none.
// :column community_size integer How many users that has.
// :column rings integer In how many live rings the account is.
// :column as_of timestamp Up to when the deep analysis knew the graph.
//
// :cost All users once.
// :bound The number of users, whatever they paid.
MATCH (d:DeepAnalysis {id: 'current'})
MATCH (u:User)
WITH d, u,
  CASE WHEN d.slot = 'a' THEN u.deep_a_run ELSE u.deep_b_run END AS run,
  CASE WHEN d.slot = 'a' THEN u.deep_a_fraud_rank ELSE u.deep_b_fraud_rank END AS fraud_rank,
  CASE WHEN d.slot = 'a' THEN u.deep_a_pagerank ELSE u.deep_b_pagerank END AS pagerank,
  CASE WHEN d.slot = 'a' THEN u.deep_a_betweenness ELSE u.deep_b_betweenness END AS betweenness,
  CASE WHEN d.slot = 'a' THEN u.deep_a_community ELSE u.deep_b_community END AS community,
  CASE WHEN d.slot = 'a' THEN u.deep_a_community_size ELSE u.deep_b_community_size
    END AS community_size
  WHERE run = d.run_id AND fraud_rank > 0
OPTIONAL MATCH (u)<-[:HAS_MEMBER]-(r:Ring)
  WHERE NOT (r)-[:MERGED_INTO]->(:Ring)
WITH d, u, fraud_rank, pagerank, betweenness, community, community_size,
  count(DISTINCT r.ring_id) AS rings
  WHERE $outside = 'no' OR rings = 0
RETURN u.id AS account, fraud_rank, pagerank, betweenness, toInteger(community) AS community,
  toInteger(community_size) AS community_size, rings, d.as_of AS as_of
ORDER BY fraud_rank DESC, account
