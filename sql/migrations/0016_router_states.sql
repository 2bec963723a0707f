-- One answer to who is connected, for pages, `status`, metrics and everybody else who reads.

ALTER TABLE collectors ADD COLUMN stale_routes_secs INTEGER, ADD COLUMN mass_loss_stale_secs INTEGER;

COMMENT ON COLUMN collectors.stale_routes_secs IS 'For how many seconds it keeps the routes of a router that it lost; NULL: not said.';
COMMENT ON COLUMN collectors.mass_loss_stale_secs IS 'The same where it lost most routers at once.';

CREATE VIEW router_states AS
WITH told AS (
    SELECT r.router_id, o.collector_id, c.alive_until > now() AS owner_is_alive, c.stale_routes_secs, c.mass_loss_stale_secs,
           s.collector_id AS session_collector, s.source, s.reason,
           CASE WHEN s.state IN ('dumping', 'up') AND NOT s.is_live THEN 'no collector' ELSE s.state END AS session_state,
           CASE WHEN s.state IN ('dumping', 'up') AND NOT s.is_live THEN COALESCE(s.alive_until, s.since) ELSE s.since END AS session_since
    FROM routers r
    LEFT JOIN router_owner o USING (router_id)
    LEFT JOIN collectors c ON c.collector_id = o.collector_id
    -- A router with several sessions is dumping as long as one of them is, and connected as long as one of them is.
    LEFT JOIN LATERAL (
        SELECT b.collector_id, b.source, b.reason, b.state, b.since, bc.alive_until, (bc.alive_until > now()) IS TRUE AS is_live
        FROM bmp_sessions b LEFT JOIN collectors bc ON bc.collector_id = b.collector_id
        WHERE b.router_id = r.router_id
        ORDER BY CASE WHEN b.state = 'dumping' AND bc.alive_until > now() THEN 0 WHEN b.state = 'up' AND bc.alive_until > now() THEN 1
                      WHEN b.state = 'ended' THEN 4 WHEN b.state = 'standby' THEN 3 ELSE 2 END, b.since DESC
        LIMIT 1
    ) s ON true
)
SELECT t.router_id, t.collector_id,
       CASE WHEN t.session_state <> 'ended' THEN t.session_state WHEN kept.tables > 0 THEN 'stale' ELSE 'down' END AS state,
       CASE WHEN t.session_state <> 'ended' OR kept.tables IS NULL OR kept.tables = 0 THEN t.session_since ELSE kept.first_lost END AS since,
       CASE WHEN t.session_state <> 'ended' THEN t.session_collector END AS session_collector,
       CASE WHEN t.session_state <> 'ended' THEN t.source END AS source,
       t.reason,
       kept.first_lost AS stale_since,
       CASE WHEN t.owner_is_alive AND kept.last_lost IS NOT NULL AND t.session_state IS DISTINCT FROM 'no collector' THEN
           GREATEST(kept.last_lost + make_interval(secs => t.stale_routes_secs),
                    CASE WHEN t.session_state = 'isolated' THEN t.session_since + make_interval(secs => t.mass_loss_stale_secs) END)
       END AS expires_at
FROM told t
LEFT JOIN LATERAL (
    -- Nothing is asked about a router that is connected.
    SELECT count(*) AS tables, min(stale_since) AS first_lost, max(stale_since) AS last_lost
    FROM (SELECT stale_since FROM rib_sync_status WHERE router_id = t.router_id
          UNION ALL SELECT stale_since FROM adj_rib_in_sync_status WHERE router_id = t.router_id
          UNION ALL SELECT stale_since FROM adj_rib_out_sync_status WHERE router_id = t.router_id) AS tables
    WHERE t.session_state IS NULL OR t.session_state NOT IN ('dumping', 'up')
) kept ON true;

COMMENT ON VIEW router_states IS 'Every router and whether it is connected, by bmp_sessions and collectors.';
COMMENT ON COLUMN router_states.router_id IS 'The router: routers.router_id.';
COMMENT ON COLUMN router_states.collector_id IS 'The collector that took it last.';
COMMENT ON COLUMN router_states.state IS 'dumping, up: connected. stale, isolated (lost with most others): lost, its routes are kept. standby. no collector: the collector that has the session is not alive. down: no session, nothing is kept.';
COMMENT ON COLUMN router_states.since IS 'Start of that state; NULL where nobody knows any more.';
COMMENT ON COLUMN router_states.session_collector IS 'The collector that has or had the session; NULL where that is over.';
COMMENT ON COLUMN router_states.source IS 'Address that the session came from.';
COMMENT ON COLUMN router_states.reason IS 'Why, in words, where there is a reason.';
COMMENT ON COLUMN router_states.stale_since IS 'Since when the first of its tables has had no session; NULL while it is connected.';
COMMENT ON COLUMN router_states.expires_at IS 'When the routes that are kept are removed, unless the router comes back; NULL where it is connected, has none, or no collector that is alive owns it.';
