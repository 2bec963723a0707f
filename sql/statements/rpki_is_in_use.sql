-- Whether a collector loads VRPs, or did within the last hour: a restart does not make the set unused. The key is that of
-- the advisory lock that the loading process holds.
SELECT COALESCE(s.tried_at > now() - interval '1 hour', false) OR EXISTS (
    SELECT FROM pg_locks l
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND ((l.classid::bigint << 32) | l.objid::bigint) = hashtext('rib_rpki'))
FROM rpki.vrp_set s
