-- Stores at which routers the watches $1 were not judged yet: pairs of watch and router.
UPDATE watch.judged j SET unsettled = COALESCE(n.routers, '{}')
FROM unnest($1::bigint[]) AS w (id)
LEFT JOIN (
    SELECT id, array_agg(router_id) AS routers FROM unnest($2::bigint[], $3::text[]) AS pair (id, router_id) GROUP BY id
) n USING (id)
WHERE j.watch_id = w.id AND j.unsettled IS DISTINCT FROM COALESCE(n.routers, '{}')
