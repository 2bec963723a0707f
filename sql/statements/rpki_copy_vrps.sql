-- The VRPs in force, times in microseconds since 1970.
COPY (SELECT prefix, max_length::bigint, asn, trust_anchor, is_slurm::int::bigint, (extract(epoch FROM expires) * 1000000)::bigint, comment FROM rpki.vrps) TO STDOUT (FORMAT binary)
