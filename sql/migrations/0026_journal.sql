-- How far the input of each session is stored.

CREATE TABLE journal_positions (
    session      UUID        NOT NULL,
    writer       TEXT        NOT NULL CHECK (writer IN ('state', 'history')),
    octet        BIGINT      NOT NULL,
    router_id    TEXT        NOT NULL,
    collector_id TEXT        NOT NULL,
    updated_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (session, writer)
) WITH (fillfactor = 50);
CREATE INDEX idx_journal_positions_router ON journal_positions (router_id);

COMMENT ON TABLE journal_positions IS 'Internal: how far the input of each session in the journal of its collector is stored, written in the transactions that store it. A collector that starts again goes on from there. Rows that have not changed for 7 days are deleted.';
COMMENT ON COLUMN journal_positions.session IS 'The session in the journal.';
COMMENT ON COLUMN journal_positions.writer IS 'state: routes, peers and session events; history: route_events.';
COMMENT ON COLUMN journal_positions.octet IS 'The octets of BMP messages, counted from the beginning of the session, whose changes are all stored.';
COMMENT ON COLUMN journal_positions.router_id IS 'The router.';
COMMENT ON COLUMN journal_positions.collector_id IS 'The collector that has the journal.';
COMMENT ON COLUMN journal_positions.updated_at IS 'When the position moved last.';
