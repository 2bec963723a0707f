-- How many watches of addresses lack, have other terms, and are of no address any more. Asked first, because the
-- triggers of watch.watches count even a statement that writes no row.
WITH terms AS (
    SELECT max(value) FILTER (WHERE key = 'watch_open_after_secs') AS open_after,
           max(value) FILTER (WHERE key = 'watch_close_after_secs') AS close_after,
           max(value) FILTER (WHERE key = 'watch_settle_secs') AS settle,
           max(value) FILTER (WHERE key = 'watch_severity') AS severity
    FROM inventory.settings
), wanted AS MATERIALIZED (
    SELECT * FROM inventory.wanted_watches
), own AS MATERIALIZED (
    SELECT * FROM watch.watches WHERE source = 'inventory' AND team IS NULL
)
SELECT (SELECT count(*) FROM wanted
        -- A watch of somebody else may have the name.
        WHERE NOT EXISTS (SELECT FROM watch.watches w WHERE w.team IS NULL AND w.name = wanted.name)),
       (SELECT count(*) FROM own, terms
        WHERE (own.open_after_secs, own.close_after_secs, own.settle_secs, own.severity)
              IS DISTINCT FROM (terms.open_after::integer, terms.close_after::integer, terms.settle::integer, terms.severity)),
       (SELECT count(*) FROM own WHERE NOT EXISTS (SELECT FROM wanted WHERE wanted.name = own.name))
