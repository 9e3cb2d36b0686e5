// Members and money of a ring
//
// Who is in this ring, and what did each member earn and pass on?
// Counted are payments within the ring and across its border.
// Money from or to the outside of the graph (cash, unnamed parties) counts as across the border.
//
// :group rings
// :asked-by An analyst who sizes a case: who earns, who pays, who only lends a name.
// :example ringfence investigate ring-members --param ring=r-0001
// :limits 500 rows, 5 s
//
// :param ring ring example "r-0001" The ring.
//
// :column kind string The member's label.
// :column member string The member's id.
// :column role string The part it plays.
// :column sent money What it paid to other members.
// :column received money What other members paid to it.
// :column paid_out money What it paid to anybody else.
// :column paid_in money What anybody else paid to it.
//
// :cost All payments of the members.
// :bound The busiest member: a merchant that everybody pays costs all its payments.
MATCH (r:Ring {id: $ring})-[:HAS_MEMBER]->(n)
WITH r, collect(labels(n)[0] + ':' + n.id) AS inside
MATCH (r)-[h:HAS_MEMBER]->(n)
OPTIONAL MATCH (n)-[o:PAID|PAID_OUT]->(x)
WITH r, inside, n, h,
  sum(CASE WHEN type(o) = 'PAID' AND labels(x)[0] + ':' + x.id IN inside
    THEN o.value ELSE 0 END) AS sent,
  sum(coalesce(o.value, 0)) AS total_out
OPTIONAL MATCH (n)<-[i:PAID|PAID_IN]-(y)
WITH n, h, sent, total_out,
  sum(CASE WHEN type(i) = 'PAID' AND labels(y)[0] + ':' + y.id IN inside
    THEN i.value ELSE 0 END) AS received,
  sum(coalesce(i.value, 0)) AS total_in
RETURN labels(n)[0] AS kind, n.id AS member, h.role AS role, sent, received,
  total_out - sent AS paid_out, total_in - received AS paid_in
ORDER BY kind, role, received DESC, sent DESC, member
