-- Whether our memory is as new as the server's, and what the server is to keep whatever it says of us.

INSERT INTO daemon_state (name, value) VALUES
    ('epoch', 0),    -- a number no other start has; the file `epoch` has the same one. 0: never started
    ('doubts', 0);   -- how often there was reason to compare with the server anew

-- A root whose files on a server were compared with what we know, since there was reason to doubt it. Deletions are told
-- only of such roots, to that server.
CREATE TABLE reconciled (
    root_id   INTEGER PRIMARY KEY REFERENCES roots (id) ON DELETE CASCADE,
    server    INTEGER NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    server_id TEXT    NOT NULL                    -- the server's own id; empty where it does not tell
) STRICT;

CREATE INDEX reconciled_by_server ON reconciled (server);

-- A path that is gone here and stays live on the server: its deletion was rejected, or it was left out when it went.
CREATE TABLE kept_files (
    root_id   INTEGER NOT NULL REFERENCES roots (id) ON DELETE CASCADE,
    directory BLOB    NOT NULL,                   -- relative to the root
    name      BLOB    NOT NULL,
    gen       INTEGER NOT NULL,                   -- versions up to this one stay
    PRIMARY KEY (root_id, directory, name)
) STRICT, WITHOUT ROWID;

-- A folder that a person stopped watching: what the server has of it by then stays live, also if it is watched again.
CREATE TABLE forgotten_roots (
    shown BLOB    PRIMARY KEY,
    gen   INTEGER NOT NULL                        -- versions up to this one stay
) STRICT, WITHOUT ROWID;
