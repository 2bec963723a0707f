-- Routes that change without a change of next hop, origin AS or communities touch no index: for sites whose changes take
-- more of PostgreSQL's CPU than there is. Run once, as the owner of the tables, after `rib-ingester migrate`; it locks the
-- three tables while it builds the indexes of PostgreSQL 16. To undo it, drop these indexes and create those of
-- sql/migrations/0001_routes.sql and 0002_adj_rib.sql.
--
-- What differs: updated_at is in every update, and while a B-tree has it none can be heap-only (HOT), so each writes an entry
-- into all eleven indexes. Nothing of the collector searches by updated_at; readers do that poll for recent changes:
--     SELECT .. FROM current_routes WHERE updated_at > .. ORDER BY updated_at DESC
-- * PostgreSQL 16 and later: a BRIN index takes the place of the B-tree, under its name. It summarizes, so it does not keep
--   updates from being heap-only, and this query still reads only the pages with rows that are new enough; it sorts them.
-- * PostgreSQL 15: there is no index then, and this query reads the table from one end to the other. Take it only where
--   nobody polls like that, or polls route_events instead.
--
-- The fill factor leaves room on each page for the next version of its rows. It holds for pages that are filled from now on.
DO $make$
DECLARE
    rib TEXT;
BEGIN
FOREACH rib IN ARRAY ARRAY['current_routes', 'adj_rib_in', 'adj_rib_out'] LOOP
    EXECUTE format('DROP INDEX IF EXISTS idx_%s_updated_at', rib);
    IF current_setting('server_version_num')::INT >= 160000 THEN
        EXECUTE format('CREATE INDEX idx_%1$s_updated_at ON %1$I USING brin (updated_at) WITH (pages_per_range = 4)', rib);
    END IF;
    EXECUTE format('ALTER TABLE %I SET (fillfactor = 85)', rib);
END LOOP;
END $make$;
