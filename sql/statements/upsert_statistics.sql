-- Stores the latest values of statistics, each key once and sorted.
INSERT INTO peer_statistics (router_id, peer_type, distinguisher, peer_address, peer_asn, stat_type, afi, safi, name, value)
SELECT router_id, peer_type, distinguisher, peer_address, peer_asn, stat_type, afi, safi, name, value::numeric
FROM unnest($1::text[], $2::text[], $3::text[], $4::inet[], $5::bigint[], $6::int[], $7::int[], $8::int[], $9::text[], $10::text[])
    AS s (router_id, peer_type, distinguisher, peer_address, peer_asn, stat_type, afi, safi, name, value)
ON CONFLICT (router_id, peer_type, distinguisher, peer_address, peer_asn, stat_type, afi, safi) DO UPDATE SET
    name = EXCLUDED.name, value = EXCLUDED.value, updated_at = now()
