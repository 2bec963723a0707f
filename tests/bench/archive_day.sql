-- A day of events of one router, a million unless `events` says another number, for what it takes in the database and in a
-- file: 200,000 prefixes that change five times each in a million events, one change in ten a withdrawal.
--
--   psql "$DATABASE_URL" -v events=3000000 -f tests/bench/archive_day.sql
--   rib-ingester archive --to FOLDER
\if :{?events}
\else
\set events 1000000
\endif
SELECT setseed(0.5);
CREATE TABLE route_events_20261125 (LIKE route_events INCLUDING ALL);
CREATE INDEX ON route_events_20261125 (router_id, table_name, afi, prefix, ingest_time DESC);
CREATE INDEX ON route_events_20261125 (router_id, table_name, afi, ingest_time DESC);
ALTER TABLE route_events ATTACH PARTITION route_events_20261125
    FOR VALUES FROM ('2026-11-25 00:00+00') TO ('2026-11-26 00:00+00');

INSERT INTO route_events
SELECT sha256(convert_to('day' || n, 'UTF8')), v.at, '10.0.0.2', 'global', 4,
       set_masklen((1 + k % 200 || '.' || k / 200 % 256 || '.' || k / 51200 || '.0')::cidr, 24), NULL, CASE WHEN told THEN 'A' ELSE 'D' END,
       CASE WHEN told THEN ('192.0.2.' || k % 20)::inet END,
       CASE WHEN told THEN '64500 ' || 1000 + k % 300 || ' ' || 2000 + (k * 7 + n / 200000) % 9000 || ' ' || 10000 + k % 60000 END,
       CASE WHEN told THEN 'IGP' END, CASE WHEN told THEN 100 END, NULL, CASE WHEN told THEN 10000 + k % 60000 END,
       CASE WHEN told THEN ARRAY['64500:100', '64500:' || 1000 + k % 300, 2000 + k % 90 || ':' || n % 50] END, NULL,
       CASE WHEN n % 30 = 1 THEN ARRAY['64500:1:' || k % 100] END, NULL, NULL,
       v.at - interval '3 ms', date_trunc('second', v.at), NULL, NULL, NULL, NULL, 'loc-rib'
FROM (SELECT n, n % 10 > 0 AS told, (random() * 199999)::int AS k, '2026-11-25 00:00+00'::timestamptz + n * (interval '86000 s' / :events) AS at
      FROM generate_series(1, :events) AS n) AS v;

VACUUM ANALYZE route_events_20261125;
SELECT pg_table_size('route_events_20261125') AS heap, pg_indexes_size('route_events_20261125') AS indexes;
