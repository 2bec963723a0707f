-- Sessions of the registry by the names of status and verdict, for metrics.
SELECT COALESCE(c.name, s.status::TEXT), COALESCE(o.verdict, 'none'), count(*)
FROM registry.bgp_sessions s
LEFT JOIN registry.status_codes() c ON c.code = s.status
LEFT JOIN registry.session_observations o ON o.session_uuid = s.uuid
GROUP BY 1, 2 ORDER BY 1, 2
