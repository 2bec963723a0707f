-- Adds changes of watched routes to the counts of their minutes.
INSERT INTO watch.flap_counts AS f (router_id, table_name, rib, peer_address, prefix, minute, as_path, announced, withdrawn)
SELECT router_id, table_name, rib, peer_address, prefix::cidr, to_timestamp(minute * 60), as_path, announced, withdrawn
FROM unnest($1::text[], $2::text[], $3::text[], $4::inet[], $5::text[], $6::bigint[], $7::text[], $8::int[], $9::int[])
    AS new (router_id, table_name, rib, peer_address, prefix, minute, as_path, announced, withdrawn)
ON CONFLICT ON CONSTRAINT flap_counts_key
DO UPDATE SET announced = f.announced + EXCLUDED.announced, withdrawn = f.withdrawn + EXCLUDED.withdrawn
