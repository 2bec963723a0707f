-- Adds what a transaction inserted into tables, less what it deleted from them, to their kept numbers of routes.
--
-- The last statement of its transaction, since other writers of the same router wait for these rows. They are met in the
-- order of their key, so two writers do not lock them in opposite order.
INSERT INTO {counts} AS c (router_id, rib, peer_address, is_post_policy, table_name, afi, routes)
SELECT router_id, rib, COALESCE(peer_address, '0.0.0.0'), COALESCE(is_post_policy, false), table_name, afi, change
FROM unnest($1::text[], $2::text[], $3::smallint[], $4::inet[], $5::boolean[], $6::text[], $7::bigint[])
    AS new (router_id, table_name, afi, peer_address, is_post_policy, rib, change)
ORDER BY router_id, rib, 3, 4, table_name, afi
ON CONFLICT (router_id, rib, peer_address, is_post_policy, table_name, afi) DO UPDATE SET routes = c.routes + EXCLUDED.routes
