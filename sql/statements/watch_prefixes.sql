-- Prefixes of origin watches that state writers match exactly: those that were accepted, and those that are conditions
-- and have to be seen to go. What other watches look for covers their conditions.
SELECT prefix::inet, masklen(prefix)
FROM (
    SELECT a.prefix FROM watch.accepted_prefixes a JOIN watch.watches w ON w.id = a.watch_id WHERE w.enabled
    UNION
    SELECT c.prefix FROM watch.conditions c JOIN watch.watches w ON w.id = c.watch_id
    WHERE w.enabled AND w.kind = 'origin' AND c.prefix IS NOT NULL
) AS exact
