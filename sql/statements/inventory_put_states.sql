-- Writes the states of addresses that have another one now, from what the evaluator of watches has found. A state that
-- stays keeps its time. Returns how many addresses have come into each state, and how many are judged no longer.
WITH watched AS MATERIALIZED (
    SELECT id, address, router_id, table_name, enabled, COALESCE(settle_secs, 300) * interval '1 second' AS settle
    FROM watch.watches WHERE source = 'inventory' AND team IS NULL AND kind = 'address'
), places AS (
    -- Where the site names its vantages, these are asked. Else those that have had a route.
    SELECT w.*, s.first_at, w.router_id AS at_router, w.table_name AS at_table
    FROM watched w
    LEFT JOIN watch.seen s ON s.watch_id = w.id AND s.router_id = w.router_id AND s.table_name = w.table_name
    WHERE w.router_id IS NOT NULL
    UNION ALL
    SELECT w.*, s.first_at, s.router_id, s.table_name
    FROM watched w JOIN watch.seen s ON s.watch_id = w.id
    WHERE w.router_id IS NULL
), found AS MATERIALIZED (
    SELECT DISTINCT ON (c.watch_id, c.router_id, c.table_name) c.watch_id, c.router_id, c.table_name,
           CASE c.condition WHEN 'missing' THEN 'unreachable' ELSE c.condition END AS state, c.since
    FROM watch.conditions c JOIN watched w ON w.id = c.watch_id
    WHERE c.condition IN ('missing', 'default_only', 'rpki_invalid')
    ORDER BY c.watch_id, c.router_id, c.table_name,
             inventory.state_rank(CASE c.condition WHEN 'missing' THEN 'unreachable' ELSE c.condition END) DESC, c.since
), judged AS (
    SELECT p.address, p.at_router AS router_id, p.at_table AS table_name,
           CASE WHEN NOT p.enabled OR v.known IS NOT TRUE OR v.since + p.settle > now() THEN 'unknown'
                WHEN f.state IS NOT NULL THEN f.state
                WHEN p.first_at IS NULL THEN 'unknown'
                ELSE 'reachable' END AS state,
           f.since AS found_since, v.since AS vantage_since, v.known, p.first_at
    FROM places p
    LEFT JOIN watch.vantages v ON v.router_id = p.at_router AND v.table_name = p.at_table
    LEFT JOIN found f ON f.watch_id = p.id AND f.router_id = p.at_router AND f.table_name = p.at_table
), wanted AS MATERIALIZED (
    -- An address may be of two sites, one of which names vantages.
    SELECT DISTINCT ON (address, router_id, table_name) *
    FROM judged ORDER BY address, router_id, table_name, inventory.state_rank(state) DESC
), removed AS (
    DELETE FROM inventory.address_states s
    WHERE NOT EXISTS (SELECT FROM wanted w
                      WHERE w.address = s.address AND w.router_id = s.router_id AND w.table_name = s.table_name)
    RETURNING s.address
), written AS (
    INSERT INTO inventory.address_states AS s (address, router_id, table_name, state, since)
    SELECT w.address, w.router_id, w.table_name, w.state,
           CASE WHEN w.state NOT IN ('unknown', 'reachable') THEN w.found_since
                WHEN w.state = 'unknown' AND NOT w.known THEN w.vantage_since
                -- The first look.
                WHEN w.state = 'reachable' AND old.state IS NULL THEN w.first_at
                ELSE now() END
    FROM wanted w LEFT JOIN inventory.address_states old USING (address, router_id, table_name)
    WHERE old.state IS DISTINCT FROM w.state
    ON CONFLICT (address, router_id, table_name) DO UPDATE SET state = EXCLUDED.state, since = EXCLUDED.since
    RETURNING s.state
)
SELECT state, count(*) FROM written GROUP BY state
UNION ALL
SELECT 'judged no longer', count(*) FROM removed HAVING count(*) > 0
ORDER BY 1
