-- Deletes the positions of sessions that were over long before $1. Those of a session that is open stay, however long
-- the router has been silent: a position that is missing says that the database has lost it. A session that is open has
-- moved a position since it began.
DELETE FROM journal_positions p
WHERE p.updated_at < $1::TIMESTAMPTZ - interval '7 days'
  AND NOT EXISTS (
    SELECT FROM bmp_sessions s JOIN journal_positions last ON last.session = p.session
    WHERE s.router_id = p.router_id AND s.collector_id = p.collector_id AND s.state IN ('dumping', 'up')
      AND s.since <= last.updated_at
  )
