-- Makes the watches of the teams $1 those of their resources and of the addresses of their records, as far as a resource
-- holds them. Of a watch that stands already only what follows from the resources is changed: the rest is the operator's.
WITH permitted AS (
    SELECT a.team_id, a.address, row_number() OVER (PARTITION BY a.team_id ORDER BY min(r.created_at), a.address) AS number,
           left(string_agg(DISTINCT d.hostname, ', '), 500) AS note
    FROM tenant.record_addresses a
    JOIN tenant.dns_records r ON r.team_id = a.team_id AND r.id = a.record_id
    JOIN tenant.domains d ON d.team_id = r.team_id AND d.id = r.domain_id
    WHERE a.team_id = ANY ($1)
      AND EXISTS (SELECT FROM tenant.resources s WHERE s.team_id = a.team_id AND s.prefix >>= a.address)
    GROUP BY a.team_id, a.address
), granted AS MATERIALIZED (
    SELECT s.team_id, s.prefix, bool_or(s.is_watched) AS is_watched,
           CASE WHEN bool_and(s.origin_asn IS NOT NULL) THEN array_agg(DISTINCT s.origin_asn ORDER BY s.origin_asn) END AS origins
    FROM tenant.resources s WHERE s.team_id = ANY ($1) GROUP BY s.team_id, s.prefix
), wanted AS MATERIALIZED (
    SELECT p.team_id, 'address ' || host(p.address) AS name, 'address' AS kind, NULL::CIDR AS prefix, p.address, p.note,
           (SELECT g.origins FROM granted g WHERE g.team_id = p.team_id AND g.prefix >>= p.address ORDER BY masklen(g.prefix) DESC LIMIT 1) AS origins
    FROM permitted p JOIN tenant.teams t ON t.id = p.team_id
    WHERE p.number <= t.max_watches
    UNION ALL
    SELECT g.team_id, 'resource ' || replace(g.prefix::TEXT, '/', '-'), 'prefix', g.prefix, NULL, NULL, g.origins FROM granted g WHERE g.is_watched
), gone AS (
    DELETE FROM watch.watches w
    WHERE w.team = ANY ($1) AND w.source = 'tenant' AND NOT EXISTS (SELECT FROM wanted n WHERE n.team_id = w.team AND n.name = w.name)
), changed AS (
    UPDATE watch.watches w SET expected_origins = n.origins, note = n.note
    FROM wanted n
    WHERE w.team = n.team_id AND w.name = n.name AND w.source = 'tenant' AND (w.expected_origins, w.note) IS DISTINCT FROM (n.origins, n.note)
)
INSERT INTO watch.watches (team, name, kind, prefix, address, expected_origins, source, note)
SELECT n.team_id, n.name, n.kind, n.prefix, n.address, n.origins, 'tenant', n.note FROM wanted n
ON CONFLICT ON CONSTRAINT watches_name DO NOTHING
