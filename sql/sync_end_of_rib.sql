-- End-of-RIB was seen. Routers send it more than once: the first one of a dump is the time that stays.
INSERT INTO rib_sync_status AS r (router_id, /*adj peer_address, is_post_policy, */table_name, afi, eor_seen, eor_time, synced_at)
VALUES ($1, /*adj $4, $5, */$2, $3, true, now(), now())
ON CONFLICT (router_id, /*adj peer_address, is_post_policy, */table_name, afi) DO UPDATE
SET eor_seen = true, eor_time = CASE WHEN r.eor_seen THEN r.eor_time ELSE now() END, synced_at = COALESCE(r.synced_at, now()), updated_at = now()
