-- Deletes $1 incidents of teams 400 days after their end, if there are as many, unless somebody has edited them.
DELETE FROM tenant.incidents
WHERE ctid = ANY (ARRAY(SELECT i.ctid FROM tenant.incidents i
                        WHERE i.resolved_at < now() - interval '400 days' AND i.edited_at IS NULL LIMIT $1))
