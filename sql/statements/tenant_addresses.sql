-- Stores the addresses that the records of the teams $1 lead to. A name has one CNAME; at most 8 are followed, to the
-- first 64 addresses of a name. Beyond ten records for each watch that a team may have none is read, so that no team can
-- make this long.
WITH RECURSIVE mine AS MATERIALIZED (
    SELECT n.team_id, n.id, n.type, n.address, lower(rtrim(btrim(n.content), '.')) AS target, n.fqdn
    FROM (
        SELECT r.team_id, r.id, r.type, r.address, r.content, t.max_watches,
               lower(CASE WHEN r.name IN ('@', '') THEN d.hostname
                          WHEN right(r.name, 1) = '.' THEN rtrim(r.name, '.')
                          WHEN right(lower('.' || r.name), length(d.hostname) + 1) = lower('.' || d.hostname) THEN r.name
                          ELSE r.name || '.' || d.hostname END) AS fqdn,
               row_number() OVER (PARTITION BY r.team_id ORDER BY r.created_at, r.id) AS number
        FROM tenant.dns_records r
        JOIN tenant.domains d ON d.team_id = r.team_id AND d.id = r.domain_id
        JOIN tenant.teams t ON t.id = r.team_id
        WHERE r.team_id = ANY ($1) AND r.type IN ('A', 'AAAA', 'CNAME')
    ) AS n
    WHERE n.number <= 10 * n.max_watches
), aliases AS MATERIALIZED (
    SELECT DISTINCT ON (m.team_id, m.fqdn) m.team_id, m.fqdn, m.target FROM mine m WHERE m.type = 'CNAME' ORDER BY m.team_id, m.fqdn, m.id
), hosts AS MATERIALIZED (
    SELECT h.team_id, h.fqdn, h.address
    FROM (SELECT m.team_id, m.fqdn, m.address, row_number() OVER (PARTITION BY m.team_id, m.fqdn ORDER BY m.address) AS number
          FROM mine m WHERE m.address IS NOT NULL GROUP BY m.team_id, m.fqdn, m.address) AS h
    WHERE h.number <= 64
), followed AS (
    SELECT m.team_id, m.id, m.target, 1 AS hops FROM mine m WHERE m.type = 'CNAME'
    UNION ALL
    SELECT f.team_id, f.id, a.target, f.hops + 1 FROM followed f JOIN aliases a ON a.team_id = f.team_id AND a.fqdn = f.target WHERE f.hops < 8
), wanted AS MATERIALIZED (
    SELECT m.team_id, m.id AS record_id, m.address FROM mine m WHERE m.address IS NOT NULL
    UNION
    SELECT f.team_id, f.id, h.address FROM followed f JOIN hosts h ON h.team_id = f.team_id AND h.fqdn = f.target
), gone AS (
    DELETE FROM tenant.record_addresses a
    WHERE a.team_id = ANY ($1)
      AND NOT EXISTS (SELECT FROM wanted w WHERE w.team_id = a.team_id AND w.record_id = a.record_id AND w.address = a.address)
)
INSERT INTO tenant.record_addresses (team_id, record_id, address)
SELECT w.team_id, w.record_id, w.address FROM wanted w ON CONFLICT DO NOTHING
