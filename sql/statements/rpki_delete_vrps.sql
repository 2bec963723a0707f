-- VRPs that are gone, and rows that are written anew.
DELETE FROM rpki.vrps v
USING unnest($1::text[], $2::smallint[], $3::bigint[], $4::text[], $5::boolean[]) AS gone (prefix, max_length, asn, trust_anchor, is_slurm)
WHERE v.prefix = gone.prefix::cidr AND v.max_length = gone.max_length AND v.asn = gone.asn
  AND v.trust_anchor = gone.trust_anchor AND v.is_slurm = gone.is_slurm
