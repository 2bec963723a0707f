-- For api_routes.sql and api_adj_routes.sql with prefixes that cover another: as longest_match_settings.sql, but planned for
-- the values, which decide what is asked.
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_seqscan = off;
SET LOCAL jit = off
