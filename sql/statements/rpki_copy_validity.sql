-- What the last scan found.
COPY (SELECT prefix, origin_asn, (state = 'valid')::int::bigint FROM rpki.route_validity) TO STDOUT (FORMAT binary)
