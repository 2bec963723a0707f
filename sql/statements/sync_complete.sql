-- Marks the dumps of tables as complete without an End-of-RIB. Only existing rows are updated, each found and locked as
-- in tables_seen_raw.sql.
INSERT INTO rib_sync_status AS r (router_id, /*adj peer_address, is_post_policy, */table_name, afi)
SELECT s.router_id, /*adj s.peer_address, s.is_post_policy, */s.table_name, s.afi
FROM (
    SELECT router_id, /*adj peer_address, is_post_policy, */table_name, afi
    FROM unnest($1::text[], $2::text[], $3::smallint[]/*adj , $4::inet[], $5::boolean[]*/)
        AS over (router_id, table_name, afi/*adj , peer_address, is_post_policy*/)
    ORDER BY router_id, /*adj peer_address, is_post_policy, */table_name, afi
) s
CROSS JOIN LATERAL (
    SELECT FROM rib_sync_status r
    WHERE r.router_id = s.router_id AND r.table_name = s.table_name AND r.afi = s.afi
        /*adj AND r.peer_address = s.peer_address AND r.is_post_policy = s.is_post_policy*/
    FOR NO KEY UPDATE OF r
) there
ON CONFLICT (router_id, /*adj peer_address, is_post_policy, */table_name, afi) DO UPDATE
SET synced_at = COALESCE(r.synced_at, now()), updated_at = now()
