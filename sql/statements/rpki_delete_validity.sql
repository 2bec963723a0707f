-- Pairs that are neither valid nor invalid any more.
DELETE FROM rpki.route_validity v USING unnest($1::text[], $2::bigint[]) AS gone (prefix, origin_asn)
WHERE v.prefix = gone.prefix::cidr AND v.origin_asn = gone.origin_asn
