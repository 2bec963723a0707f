-- Sessions, the bad ones first: $1 only those, $2 of this router of the registry or of the collector, $3 a word in them;
-- $4 on a page, $5 the page. The last one if there are fewer.
WITH found AS (
    SELECT * FROM registry.sessions_overview
    WHERE (NOT $1 OR is_bad) AND ($2 = '' OR lower(router_name) = lower($2) OR router_id = $2)
      AND ($3 = '' OR strpos(lower(concat_ws(' ', router_name, 'AS' || asn, person, status_name, verdict, ipv4, ipv6, ipv6_link_local, last_error)), lower($3)) > 0)
), total AS (SELECT count(*) AS total FROM found)
SELECT f.router_name, f.asn, f.person, f.status_name, f.verdict, (extract(epoch FROM f.since) * 1000000)::BIGINT, f.peers_up, f.peers_expected,
       f.routes_received, COALESCE(f.ipv6_link_local, f.ipv6, f.ipv4), f.last_error, f.reason, f.incident_id, to_jsonb(f)::TEXT, t.total
FROM found f, total t
ORDER BY f.is_bad DESC, f.router_name, f.asn, f.uuid
LIMIT $4 OFFSET LEAST($5, GREATEST(0, ((SELECT total FROM total) - 1) / $4)) * $4
