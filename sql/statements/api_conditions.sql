-- The conditions that hold now, at most $1, as JSON without the detail, which changes often.
SELECT c.team, c.watch_id, w.name AS watch,
       json_build_object('watch_id', c.watch_id, 'watch', w.name, 'team', c.team, 'vantage', c.vantage, 'router_id', c.router_id,
                         'table_name', c.table_name, 'condition', c.condition, 'subject', c.subject, 'prefix', c.prefix,
                         'since', c.since)::text AS json
FROM watch.conditions c
JOIN watch.watches w ON w.id = c.watch_id
ORDER BY c.watch_id, c.vantage, c.condition, c.subject
LIMIT $1
