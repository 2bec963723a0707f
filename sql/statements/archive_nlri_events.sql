-- The events of other families of the router $1 from $2 to before $3, with the columns of a file of the archive in their
-- order, sorted by the key of the file. $4: whether with the BMP messages.
SELECT e.event_id, e.ingest_time, e.router_id, e.table_name,
       -- A withdrawal of what was never announced has its family in the table's name only.
       COALESCE((e.attrs ->> 'nlri_afi')::integer, substring(e.table_name FROM '\|nlri:(\d+)/\d+$')::integer, 0) AS afi,
       e.nlri_key,
       COALESCE((e.attrs ->> 'nlri_safi')::smallint, substring(e.table_name FROM '\|nlri:\d+/(\d+)$')::smallint, 0::smallint) AS safi,
       -- Without family, length, kind and size of the address.
       substring(inet_send(e.prefix) FROM 5) AS key_hash, (e.attrs -> 'nlri')::text AS nlri,
       e.path_id, e.action::text, host(e.nexthop) AS nexthop, e.as_path, e.origin, e.localpref, e.med, e.origin_asn,
       e.communities_std, e.communities_ext, e.communities_large,
       NULLIF(e.attrs - ARRAY['nlri', 'nlri_key', 'nlri_afi', 'nlri_safi'], '{}')::text AS attrs,
       CASE WHEN $4 THEN e.bmp_raw END AS bmp_raw, e.received_at, e.router_time,
       host(e.peer_address) AS peer_address, e.peer_asn, e.peer_bgp_id, e.is_post_policy, substr(e.rib, 6) AS rib
FROM nlri_route_events e
WHERE e.router_id = $1 AND e.ingest_time >= $2 AND e.ingest_time < $3
ORDER BY afi, e.prefix, safi, e.ingest_time, e.event_id
