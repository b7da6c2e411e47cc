-- The newest of what happened, for people who look later: one row for one large file, one for many small ones.
CREATE TABLE activity (
    id       INTEGER PRIMARY KEY,  -- grows over restarts, too; those that are told and not kept have ids of the same row
    at_ms    INTEGER NOT NULL,
    event    TEXT    NOT NULL,
    root_id  INTEGER,              -- may be gone by now
    filepath BLOB,                 -- of the first, where it is about several
    count    INTEGER NOT NULL,
    message  TEXT,
    details  TEXT    NOT NULL      -- JSON
) STRICT;

CREATE INDEX activity_by_event ON activity (event, id);

INSERT INTO daemon_state (name, value) VALUES
    ('activity_id', 1);  -- no id from here on was ever used
