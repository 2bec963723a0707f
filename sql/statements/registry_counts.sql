-- What does not fit the sessions of the registry, for metrics. Misfits are counted up to 10,000: a peer that sends a full
-- table by mistake is one fault, and nobody waits for its exact size.
SELECT (SELECT count(*) FROM registry.overdue_sessions),
       (SELECT count(*) FROM registry.unregistered_peers),
       (SELECT count(*) FROM (SELECT FROM registry.policy_misfits LIMIT 10000) AS first)
