-- The number of events of a partition of route_events, or of nlri_route_events, by router and UTC day, and that of the
-- file of the same router and day whose path begins with $1: NULL if there is none.
SELECT t.router_id, t.day::text AS day, t.rows, a.rows AS archived
FROM (SELECT e.router_id, (e.ingest_time AT TIME ZONE 'UTC')::date AS day, count(*) AS rows
      FROM route_events e
      GROUP BY 1, 2) AS t
LEFT JOIN archives a ON a.router_id = t.router_id AND a.day = t.day AND starts_with(a.file, $1)
ORDER BY t.day, t.router_id
