-- Open incidents of each enabled watch, or of all those of a team and kind together.
SELECT COALESCE(w.team, ''), CASE WHEN $1 THEN w.name ELSE '' END, w.kind, COALESCE(sum(i.incidents), 0)::BIGINT
FROM watch.watches w
LEFT JOIN (SELECT watch_id, count(*) AS incidents FROM watch.incidents WHERE state <> 'closed' GROUP BY watch_id) AS i
    ON i.watch_id = w.id
WHERE w.enabled
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
LIMIT $2
