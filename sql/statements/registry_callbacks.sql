-- Keeps a callback for the agent of each router of these sessions ($1), of the format $2, to its URL with $3 after it. It
-- has the router's uuid for a name: names of routers may be twice. Returns the routers whose URL cannot be sent to.
WITH agent AS (
    SELECT DISTINCT r.uuid, r.name, rtrim(r.callback_url, '/') || $3 AS url
    FROM registry.bgp_sessions s JOIN registry.routers r ON r.uuid = s.router
    WHERE s.uuid = ANY ($1::TEXT[]::UUID[]) AND r.callback_url <> ''
), judged AS (
    SELECT *, url ~ '^https?://([^][[:space:][:cntrl:]/?#@"<>\\^`{|}]+|\[[0-9A-Fa-f:.]+\](:[0-9]+)?)([/?][!-"$-~]*)?$' AS is_fine FROM agent
), kept AS (
    INSERT INTO watch.callbacks AS c (team, name, format, url, conditions, max_per_minute)
    SELECT '@registry', uuid::TEXT, $2, url, '{}'::TEXT[], 600 FROM judged WHERE is_fine
    ON CONFLICT ON CONSTRAINT callbacks_name DO UPDATE SET format = EXCLUDED.format, url = EXCLUDED.url
    WHERE (c.format, c.url) IS DISTINCT FROM (EXCLUDED.format, EXCLUDED.url)
)
SELECT COALESCE(name, uuid::TEXT) FROM judged WHERE NOT is_fine
