-- Deletes the holders of names that are about to be stored differently: a peer that had another table_name for the same
-- table.
DELETE FROM table_names t
USING unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::inet[], $7::bigint[], $8::text[], $9::text[], $10::smallint[], $11::text[])
    AS n (rib, peer_type, distinguisher, bgp_id, peer_address, peer_asn, name, table_name, safi, route_distinguisher)
WHERE t.router_id = $1 AND t.rib = n.rib AND t.peer_address = n.peer_address AND t.name = n.name AND t.safi = n.safi
  AND t.route_distinguisher = n.route_distinguisher AND t.peer_type = n.peer_type AND t.distinguisher = n.distinguisher
  AND t.bgp_id = n.bgp_id AND t.peer_asn = n.peer_asn AND t.table_name <> n.table_name
