-- Routes that were valid, and that no VRP covers any more.
INSERT INTO rpki.lost_validity (prefix, origin_asn)
SELECT new.prefix::cidr, new.origin_asn FROM unnest($1::text[], $2::bigint[]) AS new (prefix, origin_asn)
ON CONFLICT DO NOTHING
