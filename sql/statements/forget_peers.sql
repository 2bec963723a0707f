-- Deletes peers that are gone for good, with their statistics: they are not up, their router has had a complete dump
-- since they changed, and that change was more than $1 days before $2. Returns their number on each router.
WITH gone AS (
    DELETE FROM peers p
    WHERE p.state <> 'up' AND GREATEST(p.since, p.updated_at) < $2::timestamptz - make_interval(days => $1)
      AND (EXISTS (SELECT FROM rib_sync_status s
                   WHERE s.router_id = p.router_id AND s.synced_at > GREATEST(p.since, p.updated_at))
        OR EXISTS (SELECT FROM adj_rib_in_sync_status s
                   WHERE s.router_id = p.router_id AND s.synced_at > GREATEST(p.since, p.updated_at))
        OR EXISTS (SELECT FROM adj_rib_out_sync_status s
                   WHERE s.router_id = p.router_id AND s.synced_at > GREATEST(p.since, p.updated_at)))
    RETURNING p.router_id, p.peer_type, p.distinguisher, p.peer_address, p.peer_asn
), counted AS (
    DELETE FROM peer_statistics s USING gone g
    WHERE (s.router_id, s.peer_type, s.distinguisher, s.peer_address, s.peer_asn)
        = (g.router_id, g.peer_type, g.distinguisher, g.peer_address, g.peer_asn)
)
SELECT router_id, count(*) FROM gone GROUP BY router_id
