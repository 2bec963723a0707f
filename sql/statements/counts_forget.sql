-- Deletes numbers of routes that are too old to be kept at the time $2, and those of each hour but the first
-- after 2 days.
WITH hours AS (
    DELETE FROM peer_route_counts WHERE NOT is_hourly AND at < $2::timestamptz - interval '2 days'
), old AS (
    DELETE FROM peer_route_counts WHERE at < $2::timestamptz - make_interval(days => $1)
), nlri_hours AS (
    DELETE FROM peer_nlri_counts WHERE NOT is_hourly AND at < $2::timestamptz - interval '2 days'
), old_nlri AS (
    DELETE FROM peer_nlri_counts WHERE at < $2::timestamptz - make_interval(days => $1)
), nlri AS (
    DELETE FROM nlri_route_counts WHERE routes = 0
)
-- Tables without routes have no row. One that gets a route meanwhile keeps its row, or gets another.
DELETE FROM route_counts WHERE routes = 0
