-- The set of VRPs, times in microseconds since 1970.
SELECT version, source, (extract(epoch FROM generated) * 1000000)::bigint, (extract(epoch FROM fetched_at) * 1000000)::bigint,
       (extract(epoch FROM valid_until) * 1000000)::bigint, rpki.is_usable(), vrps, aspas, slurm_filtered, slurm_added,
       last_error, (extract(epoch FROM failing_since) * 1000000)::bigint,
       (extract(epoch FROM held_since) * 1000000)::bigint, (extract(epoch FROM held_until) * 1000000)::bigint,
       held_reason, held_source, held_vrps, accept_asked_at IS NOT NULL,
       (extract(epoch FROM taken_after_hold_at) * 1000000)::bigint, taken_after_hold_why,
       scanned_version, (extract(epoch FROM scanned_at) * 1000000)::bigint, (extract(epoch FROM now()) * 1000000)::bigint
FROM rpki.vrp_set
