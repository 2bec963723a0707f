-- Routers similar to $1: one text contains the other, or at least half of their pairs of adjacent characters are the
-- same.
SELECT router_id, hostname
FROM (SELECT r.router_id, r.hostname, name.text,
             -- The share of pairs of adjacent characters that both have, relative to the longer text.
             (SELECT count(*) FROM (SELECT substr(lower(name.text), i, 2) FROM generate_series(1, length(name.text) - 1) AS i
                                    INTERSECT
                                    SELECT substr(lower($1), i, 2) FROM generate_series(1, length($1) - 1) AS i) AS pairs)::float
             / greatest(length(name.text) - 1, length($1) - 1, 1) AS likeness
      FROM routers r
      CROSS JOIN LATERAL (VALUES (r.router_id), (r.hostname), (r.display_name), (host(r.router_ip))) AS name (text)
      WHERE name.text IS NOT NULL) AS named
GROUP BY router_id, hostname
HAVING bool_or(strpos(lower(text), lower($1)) > 0 OR strpos(lower($1), lower(text)) > 0 OR likeness >= 0.5)
ORDER BY max(likeness) DESC, router_id
LIMIT 5
