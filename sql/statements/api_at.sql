-- At most $6 routes of the Loc-RIBs of the routers $1 as they were at $2, after the key $5, as JSON: of the table $3 and
-- the prefix $4 where these are not NULL.
SELECT row_to_json(line)::text AS json,
       json_build_array(line.router_id, line.table_name, line.afi, line.prefix, line.path_id)::text AS key
FROM (
    SELECT t.router_id, t.table_name, r.*
    FROM (SELECT s.router_id, s.table_name FROM rib_sync_status s
          UNION SELECT s.router_id, s.table_name FROM snapshots s
          UNION SELECT h.router_id, h.table_name FROM history_tables($2::text::timestamptz) h) AS t
    CROSS JOIN LATERAL routes_as_of(t.router_id, t.table_name, $2::text::timestamptz,
                                    CASE WHEN $4::text IS NOT NULL THEN ARRAY[$4::text::cidr] END) AS r
    WHERE t.router_id = ANY ($1::text[]) AND ($3::text IS NULL OR t.table_name = $3)
      AND ($5::text IS NULL
           OR (t.router_id, t.table_name, r.afi, r.prefix, r.path_id)
            > ($5::jsonb ->> 0, $5::jsonb ->> 1, ($5::jsonb ->> 2)::smallint, ($5::jsonb ->> 3)::cidr, ($5::jsonb ->> 4)::bigint))
    ORDER BY t.router_id, t.table_name, r.afi, r.prefix, r.path_id
    LIMIT $6
) AS line
