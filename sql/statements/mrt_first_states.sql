-- The peers of the router $1 whose first change of state from $3 up to $4 is that they come up: they were down before. Of
-- the Loc-RIB tables $2 ($5 NULL), or of the Adj-RIB-In.
SELECT f.peer_address
FROM (SELECT DISTINCT ON (s.peer_address) s.peer_address, s.kind
      FROM session_events s
      WHERE s.router_id = $1 AND s.kind IN ('peer_up', 'peer_down') AND s.event_time >= $3 AND s.event_time < $4
        AND (s.peer_address IS NULL) = ($5::boolean IS NULL) AND (s.table_name IS NULL OR s.table_name = ANY ($2::text[]))
      ORDER BY s.peer_address, s.event_time) AS f
WHERE f.kind = 'peer_up'
