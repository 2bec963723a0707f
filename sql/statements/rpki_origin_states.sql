-- The state of each pair of a prefix of $1 and an origin of $2, a row for each VRP that decided, pairs in their order.
-- Nothing where no set of VRPs was ever taken.
SELECT pair.place, r.state, r.vrp_prefix::text, r.max_length, r.asn, r.trust_anchor, r.reason, r.comment
FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS pair (prefix, origin, place)
CROSS JOIN LATERAL rov_reason(pair.prefix::inet, pair.origin) WITH ORDINALITY
    AS r (state, vrp_prefix, max_length, asn, trust_anchor, expires, reason, comment, number)
WHERE EXISTS (SELECT FROM rpki.vrp_set WHERE version > 0)
ORDER BY pair.place, r.number
