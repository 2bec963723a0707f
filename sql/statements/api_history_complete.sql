-- True where the history tells all of the Loc-RIB tables of the routers $1 at the moments $3: of the table $2 and the
-- prefix $4 where these are not NULL. NULL where there is no such table.
SELECT bool_and(history_is_complete(t.router_id, t.table_name, m.moment::timestamptz,
                                    CASE WHEN $4::text IS NOT NULL THEN ARRAY[$4::text::cidr] END)) AS complete
FROM (SELECT s.router_id, s.table_name FROM rib_sync_status s
      UNION SELECT s.router_id, s.table_name FROM snapshots s) AS t
CROSS JOIN unnest($3::text[]) AS m(moment)
WHERE t.router_id = ANY ($1::text[]) AND ($2::text IS NULL OR t.table_name = $2)
