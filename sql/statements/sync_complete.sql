-- Marks the dumps of tables as complete without an End-of-RIB. Only existing rows are updated, each found and locked as
-- in tables_seen_raw.sql.
INSERT INTO {sync} AS r (router_id, {peer}table_name, afi)
SELECT s.router_id, {s.peer}s.table_name, s.afi
FROM (
    SELECT router_id, {peer}table_name, afi
    FROM unnest($1::text[], $2::text[], $3::smallint[], $4::inet[], $5::boolean[])
        AS over (router_id, table_name, afi, peer_address, is_post_policy)
    ORDER BY router_id, {peer}table_name, afi
) s
CROSS JOIN LATERAL (
    SELECT FROM {sync} r
    WHERE r.router_id = s.router_id AND r.table_name = s.table_name AND r.afi = s.afi
        {and r.peer = s.peer}
    FOR NO KEY UPDATE OF r
) there
ON CONFLICT (router_id, {peer}table_name, afi) DO UPDATE
SET synced_at = COALESCE(r.synced_at, now()), updated_at = now()
