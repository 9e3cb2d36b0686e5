// First contact of an account with a ring
//
// Who brought this account in touch with the ring, when, and how? For each member, the first
// payment to it, the first from it, and the moment from which both had used a shared identifier.
// The first row is the first contact.
//
// :group rings
// :asked-by An investigator who asks whether an account is victim, mule or recruiter.
// :example ringfence investigate first-contact --param user=u-0001 --param ring=r-0001
// :limits 500 rows, 5 s
//
// :param user string example "u-0001" The account.
// :param ring ring example "r-0001" The ring.
//
// :column at timestamp When this contact began.
// :column how string paid, was paid by, or shares.
// :column kind string The member's label.
// :column member string The member.
// :column role string The part the member plays in the ring.
// :column through string The first transaction, or the identifier as Label:id.
// :column contacts integer How many payments; for a shared identifier 1.
// :column value money Their sum; 0 for a shared identifier.
//
// :cost All payments and identifiers of the account, and the accounts behind those identifiers.
// :bound The most crowded identifier the account used.
CALL () {
  MATCH (u:User {id: $user})-[p:PAID]->(m)<-[h:HAS_MEMBER]-(r:Ring {id: $ring})
    WHERE NOT (m:User AND m.id = $user)
  WITH m, h, p ORDER BY p.timestamp, p.transaction_id
  RETURN 'paid' AS how, labels(m)[0] AS kind, m.id AS member, h.role AS role,
    min(p.timestamp) AS at, collect(p.transaction_id)[0] AS through, count(p) AS contacts,
    sum(p.value) AS value
UNION ALL
  MATCH (u:User {id: $user})<-[p:PAID]-(m)<-[h:HAS_MEMBER]-(r:Ring {id: $ring})
    WHERE NOT (m:User AND m.id = $user)
  WITH m, h, p ORDER BY p.timestamp, p.transaction_id
  RETURN 'was paid by' AS how, labels(m)[0] AS kind, m.id AS member, h.role AS role,
    min(p.timestamp) AS at, collect(p.transaction_id)[0] AS through, count(p) AS contacts,
    sum(p.value) AS value
UNION ALL
  MATCH (u:User {id: $user})-[a:USED_DEVICE|USED_IP|USED_CARD]->(n)
  MATCH (n)<-[b:USED_DEVICE|USED_IP|USED_CARD]-(m:User)<-[h:HAS_MEMBER]-(r:Ring {id: $ring})
    WHERE m.id <> $user
  RETURN 'shares' AS how, labels(m)[0] AS kind, m.id AS member, h.role AS role,
    CASE WHEN a.first_seen > b.first_seen THEN a.first_seen ELSE b.first_seen END AS at,
    labels(n)[0] + ':' + n.id AS through, 1 AS contacts, 0 AS value
}
RETURN at, how, kind, member, role, through, contacts, value
ORDER BY at, how, kind, member, through
