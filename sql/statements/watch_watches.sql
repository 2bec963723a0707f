-- All enabled watches, with the version of each that was judged last.
SELECT w.id, w.team, w.name, w.kind, w.prefix::text, w.address, w.asn, w.router_id, w.table_name, w.peer_address,
       w.expected_origins, w.expected_upstreams, w.expected_downstreams, w.expected_via, w.path_match, w.max_length, w.min_up,
       w.min_vantages, w.conditions, w.open_after_secs, w.close_after_secs, w.settle_secs, w.severity, w.runbook_url, w.source,
       (extract(epoch FROM w.updated_at) * 1000000)::bigint, (extract(epoch FROM w.accepted_at) * 1000000)::bigint,
       (extract(epoch FROM w.created_at) * 1000000)::bigint,
       (extract(epoch FROM j.updated_at) * 1000000)::bigint, (extract(epoch FROM j.accepted_at) * 1000000)::bigint, j.target,
       w.min_routes, w.max_routes, w.drop_percent, w.rise_percent
FROM watch.watches w LEFT JOIN watch.judged j ON j.watch_id = w.id
WHERE w.enabled
ORDER BY w.id
