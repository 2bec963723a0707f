-- Removes watches of addresses that are nobody's any more.
DELETE FROM watch.watches w
WHERE w.source = 'inventory' AND w.team IS NULL
  AND NOT EXISTS (SELECT FROM inventory.wanted_watches wanted WHERE wanted.name = w.name)
