-- The daemon's memory. `files` holds observations, `work` what is still to do; who is doing it lives in memory, because
-- one daemon owns the state directory. Losing every row of `work` costs a scan, never a file.

-- Small facts about the daemon itself, one per row.
CREATE TABLE daemon_state (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO daemon_state (name, value) VALUES
    ('gen', 0),             -- the last generation given to any version of any file
    ('clean_shutdown', 1);  -- 0 while a daemon runs

-- A folder a person asked us to watch. (device, inode) is what it was when registered: another directory in its place
-- (an unmounted disk) says nothing about its files.
CREATE TABLE roots (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    path               BLOB    NOT NULL UNIQUE,   -- absolute, links resolved
    shown              BLOB    NOT NULL,          -- absolute, as the person typed it: what the server sees
    recursive          INTEGER NOT NULL CHECK (recursive IN (0, 1)),
    enabled            INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    device             INTEGER NOT NULL,
    inode              INTEGER NOT NULL,
    created_at_ms      INTEGER NOT NULL,
    last_scanned_at_ms INTEGER,
    status             TEXT    NOT NULL CHECK (status IN ('healthy', 'unhealthy')),
    reason             TEXT
) STRICT;

-- A directory below a root. `path` is relative to the root and empty for the root itself. A row stays while files that
-- were in it are still being told to the server.
CREATE TABLE directories (
    id             INTEGER PRIMARY KEY,
    root_id        INTEGER NOT NULL REFERENCES roots (id) ON DELETE CASCADE,
    parent_id      INTEGER REFERENCES directories (id),
    path           BLOB    NOT NULL,
    listed_at_ms   INTEGER,
    problem        TEXT,                          -- why it could not be listed last time
    gone           INTEGER NOT NULL DEFAULT 0 CHECK (gone IN (0, 1)),
    UNIQUE (root_id, path)
) STRICT;

CREATE INDEX directories_by_parent ON directories (parent_id);

-- One path that is no directory. The columns from size_bytes to sha256 are written by the hasher alone, together, so
-- they always describe one version; the columns stored_* repeat what the server's last receipt says.
CREATE TABLE files (
    id              INTEGER PRIMARY KEY,
    directory_id    INTEGER NOT NULL REFERENCES directories (id) ON DELETE CASCADE,
    name            BLOB    NOT NULL,
    kind            TEXT    NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN
                        ('discovered', 'ready_for_upload', 'completed', 'unchanged', 'vanished', 'excluded', 'unsupported')),
    reason          TEXT,                         -- rule or type, for excluded and unsupported
    gen             INTEGER NOT NULL,             -- grows with every observed change
    size_bytes      INTEGER,
    mtime_ns        INTEGER,
    ctime_ns        INTEGER,
    inode           INTEGER,
    device          INTEGER,
    mode            INTEGER,
    uid             INTEGER,
    gid             INTEGER,
    sha256          TEXT CHECK (length(sha256) = 64),
    racy            INTEGER NOT NULL DEFAULT 0 CHECK (racy IN (0, 1)),
    hashed_at_ms    INTEGER,
    offered_gen     INTEGER,                      -- highest generation that may have reached a server; NULL: never
    stored_gen      INTEGER,
    stored_sha256   TEXT,
    stored_mtime_ns INTEGER,
    stored_mode     INTEGER,
    stored_uid      INTEGER,
    stored_gid      INTEGER,
    stored_at_ms    INTEGER,
    stored_sequence INTEGER,
    stored_server   TEXT,                         -- the server's own id, from the receipt
    stored_sent     INTEGER,                      -- 1: we sent bytes for stored_sha256; 0: the server had them
    discovered_at_ms INTEGER NOT NULL,
    checked_at_ms   INTEGER,
    UNIQUE (directory_id, name),
    CHECK (state NOT IN ('ready_for_upload', 'completed', 'unchanged') OR sha256 IS NOT NULL)
) STRICT;

CREATE INDEX files_by_state ON files (state, id);

-- What is to be done next with a file: at most one row each, so work is never in two queues. A row leaves only together
-- with its effect, and only for the generation it was for.
CREATE TABLE work (
    file_id        INTEGER PRIMARY KEY REFERENCES files (id) ON DELETE CASCADE,
    stage          TEXT    NOT NULL CHECK (stage IN ('checksum', 'upload', 'vanished', 'deletion')),
    gen            INTEGER NOT NULL,
    state          TEXT    NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'backoff', 'parked', 'held')),
    queued_at_ms   INTEGER NOT NULL,
    eligible_at_ms INTEGER,                       -- NULL: not by itself (parked, held)
    attempts       INTEGER NOT NULL DEFAULT 0,
    reason         TEXT,                          -- a stable word
    last_error     TEXT,                          -- for people
    seen_size      INTEGER,                       -- checksum: the stat tuple that was last seen, not yet hashed
    seen_mtime_ns  INTEGER,
    seen_ctime_ns  INTEGER,
    seen_inode     INTEGER,
    seen_device    INTEGER,
    CHECK ((state IN ('parked', 'held')) = (eligible_at_ms IS NULL))
) STRICT;

CREATE INDEX work_by_time ON work (stage, eligible_at_ms, file_id);
CREATE INDEX work_by_age ON work (stage, queued_at_ms);

-- A pp_server to upload to. The key is a secret: this file is readable by its owner only.
CREATE TABLE servers (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    name               TEXT    NOT NULL UNIQUE,
    url                TEXT    NOT NULL,
    username           TEXT,
    api_key            TEXT    NOT NULL,
    is_default         INTEGER NOT NULL CHECK (is_default IN (0, 1)),
    created_at_ms      INTEGER NOT NULL,
    state              TEXT    NOT NULL CHECK (state IN ('ok', 'unreachable', 'needs_login')),
    last_contact_at_ms INTEGER,
    reason             TEXT
) STRICT;

CREATE UNIQUE INDEX one_default_server ON servers (is_default) WHERE is_default = 1;

-- How many files are in each state and how much work in each stage and state: kept by the triggers below, so that
-- asking costs nothing at a million files and the numbers cannot drift from the rows.
CREATE TABLE counters (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

INSERT INTO counters (name)
SELECT 'files.' || value FROM json_each(
    '["discovered", "ready_for_upload", "completed", "unchanged", "vanished", "excluded", "unsupported"]')
UNION ALL
SELECT 'work.' || stage.value || '.' || state.value
  FROM json_each('["checksum", "upload", "vanished", "deletion"]') AS stage,
       json_each('["waiting", "backoff", "parked", "held"]') AS state;

CREATE TRIGGER files_counted_in AFTER INSERT ON files BEGIN
    UPDATE counters SET value = value + 1 WHERE name = 'files.' || NEW.state;
END;
CREATE TRIGGER files_counted_out AFTER DELETE ON files BEGIN
    UPDATE counters SET value = value - 1 WHERE name = 'files.' || OLD.state;
END;
CREATE TRIGGER files_counted_over AFTER UPDATE OF state ON files WHEN OLD.state <> NEW.state BEGIN
    UPDATE counters SET value = value - 1 WHERE name = 'files.' || OLD.state;
    UPDATE counters SET value = value + 1 WHERE name = 'files.' || NEW.state;
END;
CREATE TRIGGER work_counted_in AFTER INSERT ON work BEGIN
    UPDATE counters SET value = value + 1 WHERE name = 'work.' || NEW.stage || '.' || NEW.state;
END;
CREATE TRIGGER work_counted_out AFTER DELETE ON work BEGIN
    UPDATE counters SET value = value - 1 WHERE name = 'work.' || OLD.stage || '.' || OLD.state;
END;
CREATE TRIGGER work_counted_over AFTER UPDATE OF stage, state ON work
WHEN OLD.stage <> NEW.stage OR OLD.state <> NEW.state BEGIN
    UPDATE counters SET value = value - 1 WHERE name = 'work.' || OLD.stage || '.' || OLD.state;
    UPDATE counters SET value = value + 1 WHERE name = 'work.' || NEW.stage || '.' || NEW.state;
END;
