-- The sources whose connections were refused within the last week, the latest first.
SELECT peer_address, count(*) AS times, max(event_time) AS last_time, (array_agg(reason ORDER BY id DESC))[1] AS reason
FROM session_events
WHERE kind = 'refused' AND peer_address IS NOT NULL AND event_time > now() - interval '7 days'
GROUP BY peer_address
ORDER BY last_time DESC
LIMIT 100
