-- Makes watches of new addresses and gives all of them the terms of inventory.settings. An existing watch keeps whether
-- it is enabled, its note and its runbook, which operators may set.
INSERT INTO watch.watches AS w (name, kind, address, router_id, table_name, conditions, open_after_secs, close_after_secs,
                                settle_secs, severity, source)
SELECT wanted.name, 'address', wanted.address, wanted.router_id, wanted.table_name, '{missing,default_only,rpki_invalid}',
       terms.open_after::integer, terms.close_after::integer, terms.settle::integer, terms.severity, 'inventory'
FROM inventory.wanted_watches wanted
CROSS JOIN (SELECT max(value) FILTER (WHERE key = 'watch_open_after_secs') AS open_after,
                   max(value) FILTER (WHERE key = 'watch_close_after_secs') AS close_after,
                   max(value) FILTER (WHERE key = 'watch_settle_secs') AS settle,
                   max(value) FILTER (WHERE key = 'watch_severity') AS severity
            FROM inventory.settings) AS terms
ON CONFLICT ON CONSTRAINT watches_name DO UPDATE
SET (open_after_secs, close_after_secs, settle_secs, severity)
    = (EXCLUDED.open_after_secs, EXCLUDED.close_after_secs, EXCLUDED.settle_secs, EXCLUDED.severity)
WHERE w.source = 'inventory'
  AND (w.open_after_secs, w.close_after_secs, w.settle_secs, w.severity)
      IS DISTINCT FROM (EXCLUDED.open_after_secs, EXCLUDED.close_after_secs, EXCLUDED.settle_secs, EXCLUDED.severity)
