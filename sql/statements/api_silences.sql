-- At most $4 silences that are planned or active as JSON, the newest ones first, after the key $3: of the team of the caller's
-- token $1, and the silence $2, where these are not NULL.
SELECT row_to_json(line)::text AS json, json_build_array(line.id)::text AS key
FROM (
    SELECT s.id, s.starts_at, LEAST(s.ends_at, s.ended_at) AS ends_at, s.router_id, s.peer_address, s.peer_asn, s.prefix,
           s.watch_id, w.name AS watch, s.team, s.condition, s.created_by, s.note, s.created_at,
           (SELECT count(*) FROM watch.incidents i WHERE i.silence_id = s.id AND i.state <> 'closed') AS incidents
    FROM watch.silences s LEFT JOIN watch.watches w ON w.id = s.watch_id
    WHERE LEAST(s.ends_at, s.ended_at) > now()
      AND ($1::text IS NULL OR s.team = $1)
      AND ($2::bigint IS NULL OR s.id = $2)
      AND ($3::text IS NULL OR s.id < ($3::jsonb ->> 0)::bigint)
    ORDER BY s.id DESC
    LIMIT $4
) AS line
