-- The newest VRPs that came or went since $1 or with a version above $2, $3 at most; none that both came and went with one
-- version, from one trust anchor to another.
SELECT prefix::text, max_length, asn, (extract(epoch FROM max(at)) * 1000000)::bigint, version, bool_and(is_added)
FROM (
    SELECT * FROM rpki.vrp_changes
    WHERE at > 'epoch'::timestamptz + $1 * interval '1 microsecond' OR version > $2
    ORDER BY id DESC LIMIT $3
) AS newest
GROUP BY version, prefix, max_length, asn
HAVING bool_and(is_added) = bool_or(is_added)
ORDER BY version, prefix, max_length, asn
