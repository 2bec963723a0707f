-- Stores changed vantages. What was there until one became unknown was seen there last; what is stored meanwhile says
-- nothing. Where another RIB stands for the table now, what was seen in the old one does not count.
WITH new AS (
    SELECT router_id, table_name, rib, known, 'epoch'::timestamptz + since * interval '1 microsecond' AS since
    FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::bigint[]) AS v (router_id, table_name, rib, known, since)
), other AS (
    DELETE FROM watch.seen s USING new n JOIN watch.vantages v USING (router_id, table_name)
    WHERE s.router_id = n.router_id AND s.table_name = n.table_name AND v.rib <> n.rib
), last AS (
    UPDATE watch.seen s SET last_at = n.since
    FROM new n JOIN watch.vantages v USING (router_id, table_name)
    WHERE s.router_id = n.router_id AND s.table_name = n.table_name AND v.rib = n.rib AND v.known AND NOT n.known
      AND NOT EXISTS (SELECT FROM watch.conditions c
                      WHERE c.watch_id = s.watch_id AND c.router_id = s.router_id AND c.table_name = s.table_name
                        AND c.condition = 'missing')
)
INSERT INTO watch.vantages (router_id, table_name, rib, known, since)
SELECT router_id, table_name, rib, known, since FROM new
ON CONFLICT (router_id, table_name) DO UPDATE SET rib = EXCLUDED.rib, known = EXCLUDED.known, since = EXCLUDED.since
