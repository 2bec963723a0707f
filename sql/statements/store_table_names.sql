-- Stores names of tables and their holders. A name that someone else had is no longer theirs.
WITH new AS (
    SELECT DISTINCT ON (rib, peer_address, table_name) *
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::inet[], $7::bigint[], $8::text[], $9::text[], $10::smallint[], $11::text[], $12::text[])
        AS n (rib, peer_type, distinguisher, bgp_id, peer_address, peer_asn, name, table_name, safi, route_distinguisher, unicast_table_name)
    ORDER BY rib, peer_address, table_name
)
INSERT INTO table_names AS t (router_id, rib, peer_type, distinguisher, bgp_id, peer_address, peer_asn, name, table_name, safi,
                              route_distinguisher, unicast_table_name)
SELECT $1, rib, peer_type, distinguisher, bgp_id, peer_address, peer_asn, name, table_name, safi, route_distinguisher,
       unicast_table_name
FROM new
ON CONFLICT (router_id, rib, peer_address, table_name) DO UPDATE
SET peer_type = EXCLUDED.peer_type, distinguisher = EXCLUDED.distinguisher, bgp_id = EXCLUDED.bgp_id,
    peer_asn = EXCLUDED.peer_asn, name = EXCLUDED.name, safi = EXCLUDED.safi,
    route_distinguisher = EXCLUDED.route_distinguisher, unicast_table_name = EXCLUDED.unicast_table_name
