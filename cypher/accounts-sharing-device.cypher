// Accounts sharing a device
//
// Who used this device, when, how often, and in which rings are they?
//
// :group sharing
// :asked-by An analyst who sees one phone behind several names.
// :example ringfence investigate accounts-sharing-device --param device=d-0001
// :limits 500 rows, 5 s
//
// :param device string example "d-0001" The device.
//
// :column account string The user.
// :column count integer How many of the user's transactions were made on it.
// :column first_seen timestamp The first of them.
// :column last_seen timestamp The last of them.
// :column rings list of strings The rings the user is in, those that merged away left out.
//
// :cost The users of the device, and for each the ring memberships.
// :bound The device's users.
MATCH (d:Device {id: $device})<-[l:USED_DEVICE]-(u:User)
OPTIONAL MATCH (u)<-[:HAS_MEMBER]-(r:Ring)
  WHERE NOT (r)-[:MERGED_INTO]->(:Ring)
WITH u, l, r ORDER BY r.ring_id
RETURN u.id AS account, l.count AS count, l.first_seen AS first_seen, l.last_seen AS last_seen,
  collect(DISTINCT r.ring_id) AS rings
ORDER BY count DESC, account
