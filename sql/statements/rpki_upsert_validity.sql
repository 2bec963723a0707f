-- Pairs that are valid or invalid, and were not.
INSERT INTO rpki.route_validity (prefix, origin_asn, state)
SELECT new.prefix::cidr, new.origin_asn, new.state FROM unnest($1::text[], $2::bigint[], $3::text[]) AS new (prefix, origin_asn, state)
ON CONFLICT (prefix, origin_asn) DO UPDATE SET state = EXCLUDED.state, since = now()
