-- The VRPs that SLURM removed.
COPY (SELECT prefix, max_length::bigint, asn, trust_anchor, comment FROM rpki.filtered_vrps) TO STDOUT (FORMAT binary)
