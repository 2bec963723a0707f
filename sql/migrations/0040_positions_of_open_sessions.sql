-- Positions of a session that is open stay, however long its router is silent.
COMMENT ON TABLE journal_positions IS 'Internal: how far the input of each session in the journal of its collector is stored, written in the transactions that store it. A collector that starts again goes on from there. Rows of sessions that have been over for 7 days are deleted.';
