-- Stores new and changed conditions of watches that are still there.
INSERT INTO watch.conditions (watch_id, team, vantage, router_id, table_name, condition, subject, prefix, since, detail)
SELECT new.watch_id, new.team, vantage, new.router_id, new.table_name, new.condition, subject, new.prefix::cidr,
       'epoch'::timestamptz + since * interval '1 microsecond', detail::jsonb
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bigint[], $10::text[])
    AS new (watch_id, team, vantage, router_id, table_name, condition, subject, prefix, since, detail)
WHERE EXISTS (SELECT FROM watch.watches w WHERE w.id = new.watch_id AND w.team IS NOT DISTINCT FROM new.team)
ON CONFLICT (watch_id, vantage, condition, subject) DO UPDATE SET since = EXCLUDED.since, detail = EXCLUDED.detail
