-- For how long the peers of sessions were up in the last $1 seconds, and for how long nobody knows: from the peers' own
-- events, and from those of the router's BMP sessions, after which nothing is known until the next Peer Up. $2: as in
-- registry_list.sql.
WITH own AS (
    SELECT p.session_uuid, p.router_id, p.peer_address, o.router_name, o.asn, o.person
    FROM registry.session_peers p JOIN registry.sessions_overview o ON o.uuid = p.session_uuid
    WHERE p.fit IN ('address', 'asn') AND ($2 = '' OR lower(o.router_name) = lower($2) OR o.router_id = $2)
), told AS (
    SELECT id, event_time, router_id, peer_address, CASE kind WHEN 'peer_up' THEN 'up' WHEN 'peer_down' THEN 'down' ELSE 'unknown' END AS state
    FROM session_events
    WHERE kind IN ('peer_up', 'peer_down') AND peer_address IS NOT NULL AND reason IS DISTINCT FROM 'renamed by the router'
       OR kind IN ('session_up', 'terminated', 'session_lost', 'session_closed', 'collector_stopped') AND router_id IS NOT NULL
), changes AS (
    SELECT o.session_uuid, o.peer_address, e.id, e.event_time, e.state
    FROM own o JOIN told e ON e.router_id = o.router_id AND (e.peer_address = o.peer_address OR e.state = 'unknown')
    WHERE e.event_time >= now() - $1 * INTERVAL '1 second'
    UNION ALL
    SELECT o.session_uuid, o.peer_address, 0, now() - $1 * INTERVAL '1 second', COALESCE(before.state, 'unknown')
    FROM own o LEFT JOIN LATERAL (
        SELECT e.state FROM told e
        WHERE e.router_id = o.router_id AND (e.peer_address = o.peer_address OR e.state = 'unknown') AND e.event_time < now() - $1 * INTERVAL '1 second'
        ORDER BY e.event_time DESC, e.id DESC LIMIT 1
    ) before ON true
), spans AS (
    SELECT session_uuid, peer_address, state, id, event_time,
           extract(epoch FROM lead(event_time, 1, now()) OVER (PARTITION BY session_uuid, peer_address ORDER BY event_time, id) - event_time) AS secs
    FROM changes
)
SELECT o.router_name, o.asn, o.person, host(o.peer_address), COALESCE(sum(s.secs) FILTER (WHERE s.state = 'up'), 0)::FLOAT8,
       COALESCE(sum(s.secs) FILTER (WHERE s.state = 'unknown'), 0)::FLOAT8,
       count(DISTINCT date_trunc('second', s.event_time)) FILTER (WHERE s.state = 'down' AND s.id > 0), o.session_uuid::TEXT
FROM own o JOIN spans s USING (session_uuid, peer_address)
GROUP BY o.router_name, o.asn, o.person, o.peer_address, o.session_uuid
ORDER BY o.router_name, o.asn, o.peer_address
