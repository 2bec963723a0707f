-- Inserts rows of watch.outbox.
INSERT INTO watch.outbox (router_id, table_name, peer_address, peer_asn, afi, prefix, cause)
SELECT router_id, table_name, peer_address, peer_asn, afi, prefix::cidr, cause
FROM unnest($1::text[], $2::text[], $3::inet[], $4::bigint[], $5::smallint[], $6::text[], $7::text[])
    AS change (router_id, table_name, peer_address, peer_asn, afi, prefix, cause)
