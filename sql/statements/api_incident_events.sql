-- The changes of the incident $1 as a JSON array, the latest $2 of them, oldest first.
SELECT COALESCE(json_agg(line ORDER BY line.id), '[]')::text
FROM (
    SELECT id, event, at, who, note, severity, state, affected, known, summary, is_told
    FROM watch.incident_events
    WHERE incident_id = $1
    ORDER BY id DESC
    LIMIT $2
) AS line
