-- Deletes evidence about path identifiers of peers that are no longer known, and of Loc-RIBs of routers without tables,
-- once it is $1 days old at the time $2.
DELETE FROM add_path_evidence e
WHERE e.updated_at < $2::timestamptz - make_interval(days => $1)
  AND NOT EXISTS (SELECT FROM peers p
                  WHERE (p.router_id, p.peer_type, p.distinguisher, p.peer_address, p.peer_asn)
                      = (e.router_id, e.peer_type, e.distinguisher, e.peer_address, e.peer_asn))
  AND NOT (e.rib = 'loc-rib' AND EXISTS (SELECT FROM rib_sync_status s WHERE s.router_id = e.router_id))
