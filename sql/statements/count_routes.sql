-- The number of routes of each table, in their order. An index-only scan as far as vacuum has processed the table: a
-- million routes take a tenth of a second.
SELECT (SELECT count(*) FROM {routes} c
        WHERE c.router_id = t.router_id AND c.table_name = t.table_name AND c.afi = t.afi
          {and c.peer = t.peer}) AS routes
FROM unnest($1::text[], $2::text[], $3::smallint[], $4::inet[], $5::boolean[])
    WITH ORDINALITY AS t (router_id, table_name, afi, peer_address, is_post_policy, number)
ORDER BY t.number
