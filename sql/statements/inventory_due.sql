-- Whether addresses may have come or gone, and whether anything that their states follow from has changed. Where there
-- is neither an address nor a watch of one, both answers cost a look at some empty tables.
SELECT EXISTS (SELECT FROM inventory.changes)
           OR (has.any AND e.checked_at < now() - interval '1 minute') AS watches_are_due,
       CASE WHEN has.any THEN (
           SELECT md5(concat_ws('/',
               (SELECT version FROM watch.trie_version),
               (SELECT count(*) FROM watch.seen s JOIN watch.watches w ON w.id = s.watch_id WHERE w.source = 'inventory'),
               -- A vantage counts when it has been known for a while.
               (SELECT string_agg(concat_ws(' ', v.router_id, v.table_name, v.known, v.since, v.since + t.settle <= now()), ','
                                  ORDER BY v.router_id, v.table_name)
                FROM watch.vantages v,
                     (SELECT COALESCE((SELECT value::integer FROM inventory.settings WHERE key = 'watch_settle_secs'), 300)
                             * interval '1 second' AS settle) AS t),
               (SELECT md5(string_agg(concat_ws(' ', c.watch_id, c.vantage, c.condition, c.since), ','
                                      ORDER BY c.watch_id, c.vantage, c.condition, c.subject))
                FROM watch.conditions c JOIN watch.watches w ON w.id = c.watch_id WHERE w.source = 'inventory'))))
       END AS fingerprint,
       e.fingerprint
FROM inventory.evaluated e
CROSS JOIN (SELECT EXISTS (SELECT FROM watch.watches WHERE source = 'inventory')
                OR EXISTS (SELECT FROM inventory.address_states) AS any) AS has
