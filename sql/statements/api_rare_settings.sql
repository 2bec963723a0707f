-- For api_rare.sql, and for api_routes.sql where that says true: routes are to be found by the indexes of the conditions. The
-- planner would walk the primary key from its beginning, in the hope that enough of them come soon.
SET LOCAL enable_indexscan = off;
SET LOCAL enable_seqscan = off;
SET LOCAL jit = off
