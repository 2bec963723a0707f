-- Stores changes of incidents in their order, and notifies the listeners of rib_incident of the number and the state.
WITH stored AS (
    INSERT INTO watch.incident_events (team, incident_id, event, note, severity, state, affected, known, summary, is_told)
    SELECT team, incident_id, event, note, severity, state, affected, known, summary, is_told
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[], $8::int[], $9::text[], $10::boolean[])
        WITH ORDINALITY AS n (team, incident_id, event, note, severity, state, affected, known, summary, is_told, number)
    ORDER BY number
    RETURNING id, incident_id, state, is_told
)
SELECT id, is_told, pg_notify('rib_incident', json_build_object('id', incident_id, 'state', state)::text)::text
FROM stored ORDER BY id
