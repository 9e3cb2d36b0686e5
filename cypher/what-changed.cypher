// What changed since a moment
//
// Which rings, alerts and links of ring members are new or changed? The newest comes first.
//
// :group time
// :asked-by Whoever takes over the shift, or comes back to a case.
// :example ringfence investigate what-changed --param since=2026-03-01T00:00:00Z
// :limits 500 rows, 10 s
//
// :param since timestamp example "2026-03-01T00:00:00Z" Changes not before this.
// :param until timestamp default "9999-12-31T23:59:59Z" Changes before this.
//
// :column at timestamp When.
// :column what string ring born, ring changed, alert, or new link.
// :column ring_id string The ring it is about.
// :column kind string Ring, Alert, or the label of the newly used identifier.
// :column subject string The ring, alert or identifier.
// :column detail string The ring's state, the alert's headline, or the member that made the link.
// :column score number The ring's or alert's score.
// :column money money The ring's or alert's money; null for a link.
//
// :cost All rings and alerts, and the links of the members of live rings.
// :bound Rings times 200 members; it does not grow with the payments.
CALL () {
  MATCH (r:Ring) WHERE r.born_at >= $since AND r.born_at < $until
  RETURN r.born_at AS at, 'ring born' AS what, r.ring_id AS ring_id, 'Ring' AS kind,
    r.ring_id AS subject, r.state AS detail, r.score AS score, r.money AS money
UNION ALL
  MATCH (r:Ring)
    WHERE r.changed_at >= $since AND r.changed_at < $until AND r.changed_at > r.born_at
  RETURN r.changed_at AS at, 'ring changed' AS what, r.ring_id AS ring_id, 'Ring' AS kind,
    r.ring_id AS subject, r.state AS detail, r.score AS score, r.money AS money
UNION ALL
  MATCH (a:Alert)-[:ABOUT]->(r:Ring) WHERE a.at >= $since AND a.at < $until
  RETURN a.at AS at, 'alert' AS what, r.ring_id AS ring_id, 'Alert' AS kind,
    a.alert_id AS subject, a.headline AS detail, a.score AS score, a.money AS money
UNION ALL
  MATCH (r:Ring)-[:HAS_MEMBER]->(u:User)-[l:USED_DEVICE|USED_IP|USED_CARD]->(n)
    WHERE l.first_seen >= $since AND l.first_seen < $until
    AND r.state IN ['active', 'quiet'] AND NOT (r)-[:MERGED_INTO]->(:Ring)
  RETURN l.first_seen AS at, 'new link' AS what, r.ring_id AS ring_id, labels(n)[0] AS kind,
    n.id AS subject, u.id AS detail, r.score AS score, null AS money
}
RETURN at, what, ring_id, kind, subject, detail, score, money
ORDER BY at DESC, what, ring_id, kind, subject, detail
