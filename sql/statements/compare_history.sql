-- The Loc-RIB tables that a router ($1) has or had between two moments ($2, $3), and whether their history is known at
-- both of them: for prefixes within $4 that have events in between, all others being the same.
WITH tables AS (
    SELECT h.table_name FROM history_tables($2::timestamptz) h WHERE h.router_id = $1
    UNION
    SELECT s.table_name FROM rib_sync_status s WHERE s.router_id = $1
    UNION
    SELECT s.table_name FROM snapshots s WHERE s.router_id = $1
), sessions AS (
    -- The last thing that happened to the router's BMP session up to each of the moments.
    SELECT m.moment, e.kind, e.event_time
    FROM (VALUES ($2::timestamptz), ($3::timestamptz)) AS m (moment)
    LEFT JOIN LATERAL (
        SELECT s.kind, s.event_time
        FROM session_events s
        WHERE s.router_id = $1 AND s.event_time <= m.moment
          AND s.kind IN ('session_up', 'session_lost', 'session_closed', 'terminated', 'collector_stopped', 'stale_expired', 'isolated')
        ORDER BY s.id DESC
        LIMIT 1
    ) AS e ON true
), dumps AS (
    SELECT t.table_name, s.moment, s.kind IS NOT NULL AND s.kind <> 'session_up' AS is_down,
           s.kind = 'session_up' AND EXISTS (
               SELECT FROM rib_sync_status f
               WHERE f.router_id = $1 AND f.table_name = t.table_name
                 AND NOT EXISTS (SELECT FROM session_events d
                                 WHERE d.router_id = $1 AND d.table_name = t.table_name AND d.peer_address IS NULL AND d.afi = f.afi
                                   AND d.kind IN ('end_of_rib', 'eor_timeout')
                                   AND d.event_time > s.event_time AND d.event_time <= s.moment)) AS is_dumping
    FROM tables t
    CROSS JOIN sessions s
)
SELECT t.table_name,
       history_is_complete($1, t.table_name, $2::timestamptz, c.changed) AS knows_before,
       history_is_complete($1, t.table_name, $3::timestamptz, c.changed) AS knows_after,
       (SELECT min(d.moment) FROM dumps d WHERE d.table_name = t.table_name AND d.is_down) AS down_at,
       (SELECT min(d.moment) FROM dumps d WHERE d.table_name = t.table_name AND d.is_dumping) AS dumping_at
FROM tables t
CROSS JOIN LATERAL (SELECT changed_prefixes($2::timestamptz, $3::timestamptz, $1, t.table_name, $4::cidr) AS changed) AS c
ORDER BY t.table_name
