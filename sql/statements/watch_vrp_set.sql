-- The set of VRPs in force, for the evaluator.
SELECT version, rpki.is_usable(),
       (extract(epoch FROM LEAST(generated + max_age_secs * interval '1 s', valid_until)) * 1000000)::bigint,
       (extract(epoch FROM generated) * 1000000)::bigint, vrps,
       (extract(epoch FROM taken_after_hold_at) * 1000000)::bigint, taken_after_hold_why
FROM rpki.vrp_set
