-- The routes of each router by state.
SELECT router_id, COALESCE(sum(routes) FILTER (WHERE state = 'valid'), 0)::bigint, COALESCE(sum(routes) FILTER (WHERE state = 'invalid'), 0)::bigint,
       COALESCE(sum(routes) FILTER (WHERE state = 'not-found'), 0)::bigint, (extract(epoch FROM max(scanned_at)) * 1000000)::bigint
FROM rpki.router_states GROUP BY router_id ORDER BY router_id
