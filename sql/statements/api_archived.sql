-- From when to when there are days of history in files, as RFC 3339; NULL without any.
SELECT to_char(h.archived_from AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS archived_from,
       to_char(h.archived_until AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS archived_until
FROM history_reach h
