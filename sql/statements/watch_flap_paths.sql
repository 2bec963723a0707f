-- The counts of RIBs since a time of each, by minute and AS path. Returns the position of each in the arrays first.
SELECT asked.number, (extract(epoch FROM c.minute) / 60)::bigint, c.as_path, c.announced, c.withdrawn
FROM unnest($1::text[], $2::text[], $3::text[], $4::inet[], $5::text[], $6::bigint[])
    WITH ORDINALITY AS asked (router_id, table_name, rib, peer_address, prefix, minute, number)
JOIN watch.flap_counts c ON c.prefix = asked.prefix::cidr AND c.minute >= to_timestamp(asked.minute * 60)
    AND c.router_id = asked.router_id AND c.table_name = asked.table_name AND c.rib = asked.rib
    AND c.peer_address IS NOT DISTINCT FROM asked.peer_address
ORDER BY asked.number, c.minute
