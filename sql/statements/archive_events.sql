-- The events of the router $1 from $2 to before $3, with the columns of a file of the archive in their order, sorted by
-- the key of the file. $4: whether with the BMP messages.
SELECT e.event_id, e.ingest_time, e.router_id, e.table_name, e.afi, e.prefix::text, masklen(e.prefix)::smallint AS prefix_len,
       -- Without family, length, kind and size of the address.
       substring(inet_send(network(e.prefix)) FROM 5) AS first, substring(inet_send(broadcast(e.prefix)) FROM 5) AS last,
       e.path_id, e.action::text, host(e.nexthop) AS nexthop, e.as_path, e.origin, e.localpref, e.med, e.origin_asn,
       e.communities_std, e.communities_ext, e.communities_large, e.attrs::text,
       CASE WHEN $4 THEN e.bmp_raw END AS bmp_raw, e.received_at, e.router_time,
       host(e.peer_address) AS peer_address, e.peer_asn, e.peer_bgp_id, e.is_post_policy, e.rib
FROM route_events e
WHERE e.router_id = $1 AND e.ingest_time >= $2 AND e.ingest_time < $3
ORDER BY e.afi, e.prefix, e.ingest_time, e.event_id
