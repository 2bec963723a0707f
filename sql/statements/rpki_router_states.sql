-- How many routes of a router are in each state.
INSERT INTO rpki.router_states (router_id, state, routes)
SELECT $1, new.state, new.routes FROM unnest($2::text[], $3::bigint[]) AS new (state, routes)
ON CONFLICT (router_id, state) DO UPDATE SET routes = EXCLUDED.routes, scanned_at = now()
