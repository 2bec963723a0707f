-- Deletes $1 rows of the numbers of teams that are too old, if there are as many: minutes after 7 days, hours after 400.
DELETE FROM tenant.analytics_data
WHERE ctid = ANY (ARRAY(
    SELECT old.place
    FROM tenant.teams t
    CROSS JOIN (VALUES ('minute', interval '7 days'), ('hour', interval '400 days')) AS kept (width, age)
    CROSS JOIN LATERAL (SELECT d.ctid AS place FROM tenant.analytics_data d
                        WHERE d.team_id = t.id AND d.width = kept.width AND d.bucket < now() - kept.age LIMIT $1) AS old
    LIMIT $1))
