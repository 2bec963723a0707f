-- Prefix and origin of every route of one router.
COPY (
    SELECT r.prefix, rpki.route_origin(r.origin_asn, r.as_path, (SELECT o.as_number FROM routers o WHERE o.router_id = current_setting('rib_ingester.router', true)))
    FROM current_routes r WHERE r.router_id = current_setting('rib_ingester.router', true)
    UNION ALL
    SELECT r.prefix, rpki.route_origin(r.origin_asn, r.as_path, (SELECT o.as_number FROM routers o WHERE o.router_id = current_setting('rib_ingester.router', true)))
    FROM adj_rib_in r WHERE r.router_id = current_setting('rib_ingester.router', true)
) TO STDOUT (FORMAT binary)
