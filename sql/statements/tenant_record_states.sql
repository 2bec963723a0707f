-- States what became of each record of the teams $1.
UPDATE tenant.dns_records r SET state = n.state
FROM (
    SELECT o.team_id, o.id,
           CASE WHEN o.type NOT IN ('A', 'AAAA', 'CNAME') THEN 'not_followed'
                WHEN f.addresses = 0 THEN CASE o.type WHEN 'CNAME' THEN 'unresolved' ELSE 'over_limit' END
                WHEN f.is_watched THEN 'watched'
                WHEN f.is_permitted THEN 'over_limit'
                ELSE 'not_permitted' END AS state
    FROM tenant.dns_records o
    CROSS JOIN LATERAL (
        SELECT count(*) AS addresses, bool_or(a.watch_id IS NOT NULL) AS is_watched,
               bool_or(EXISTS (SELECT FROM tenant.resources s WHERE s.team_id = o.team_id AND s.prefix >>= a.address)) AS is_permitted
        FROM tenant.record_addresses a WHERE a.team_id = o.team_id AND a.record_id = o.id
    ) AS f
    WHERE o.team_id = ANY ($1)
) AS n
WHERE r.team_id = n.team_id AND r.id = n.id AND r.state IS DISTINCT FROM n.state
