// Community of a user
//
// Who belongs to the same community as this user, and how close to fraud is each? Communities are
// groups that deal more with each other than with others, found by the last deep analysis. Before
// the first one there are no rows.
//
// :group accounts
// :asked-by An investigator who asks for the wider circle around an account.
// :example ringfence investigate community-of-user --param user=u-0001
// :limits 500 rows, 20 s
//
// :param user string example "u-0001" The user.
//
// :column account string A user of the same community; the one asked for among them.
// :column fraud_rank number Its personalised PageRank from known fraud; null where none is known.
// :column pagerank number Its PageRank among users, without regard to fraud.
// :column rings list of strings The live rings it is in.
// :column community integer The number of the community, the same in all rows.
// :column as_of timestamp Up to when the deep analysis knew the graph.
//
// :cost All users once.
// :bound The number of users, whatever they paid.
MATCH (d:DeepAnalysis {id: 'current'})
MATCH (m:User {id: $user})
WITH d, CASE WHEN d.slot = 'a' THEN m.deep_a_run ELSE m.deep_b_run END AS its_run,
  CASE WHEN d.slot = 'a' THEN m.deep_a_community ELSE m.deep_b_community END AS its
  WHERE its_run = d.run_id
MATCH (u:User)
WITH d, its, u,
  CASE WHEN d.slot = 'a' THEN u.deep_a_run ELSE u.deep_b_run END AS run,
  CASE WHEN d.slot = 'a' THEN u.deep_a_community ELSE u.deep_b_community END AS community,
  CASE WHEN d.slot = 'a' THEN u.deep_a_fraud_rank ELSE u.deep_b_fraud_rank END AS fraud_rank,
  CASE WHEN d.slot = 'a' THEN u.deep_a_pagerank ELSE u.deep_b_pagerank END AS pagerank
  WHERE run = d.run_id AND community = its
OPTIONAL MATCH (u)<-[:HAS_MEMBER]-(r:Ring)
  WHERE NOT (r)-[:MERGED_INTO]->(:Ring)
WITH d, u, community, fraud_rank, pagerank, r ORDER BY r.ring_id
RETURN u.id AS account, fraud_rank, pagerank, collect(DISTINCT r.ring_id) AS rings,
  toInteger(community) AS community, d.as_of AS as_of
ORDER BY coalesce(fraud_rank, 0.0) DESC, account
