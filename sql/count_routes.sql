-- How many routes a table has. Answered from an index alone, as far as vacuum has been there: a million take a tenth of a
-- second.
SELECT count(*) FROM current_routes
WHERE router_id = $1 AND table_name = $2 AND afi = $3 /*adj AND peer_address = $4 AND is_post_policy = $5*/
