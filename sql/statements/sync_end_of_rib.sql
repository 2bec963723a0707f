-- Records an End-of-RIB. Routers send it more than once: the time of the first one of a dump is kept.
INSERT INTO {sync} AS r (router_id, {peer}table_name, afi, eor_seen, eor_time, synced_at)
SELECT router_id, {peer}table_name, afi, true, now(), now()
FROM unnest($1::text[], $2::text[], $3::smallint[], $4::inet[], $5::boolean[])
    AS seen (router_id, table_name, afi, peer_address, is_post_policy)
ORDER BY router_id, {peer}table_name, afi
ON CONFLICT (router_id, {peer}table_name, afi) DO UPDATE
SET eor_seen = true, eor_time = CASE WHEN r.eor_seen THEN r.eor_time ELSE now() END,
    synced_at = COALESCE(r.synced_at, now()), updated_at = now()
