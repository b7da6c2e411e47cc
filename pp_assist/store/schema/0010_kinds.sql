-- Directories and symbolic links are stored like files: with what a restore needs, and without content. The table is
-- built anew because one of its checks says otherwise (foreign keys are off meanwhile, see db.py).

-- One path of a watched folder. The columns from size_bytes to sha256, and link_target, are written by whoever read it
-- alone, together, so they always describe one version; the columns stored_* repeat what the server's last receipt says.
CREATE TABLE files_anew (
    id              INTEGER PRIMARY KEY,
    directory_id    INTEGER NOT NULL REFERENCES directories (id) ON DELETE CASCADE,
    name            BLOB    NOT NULL,
    kind            TEXT    NOT NULL,             -- as last seen
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
    sha256          TEXT CHECK (length(sha256) = 64),  -- files only
    link_target     BLOB,                         -- symbolic links only
    racy            INTEGER NOT NULL DEFAULT 0 CHECK (racy IN (0, 1)),
    hashed_at_ms    INTEGER,
    offered_gen     INTEGER,                      -- highest generation that may have reached a server; NULL: never
    stored_gen      INTEGER,
    stored_kind     TEXT,
    stored_sha256   TEXT,
    stored_target   BLOB,
    stored_mtime_ns INTEGER,
    stored_mode     INTEGER,
    stored_uid      INTEGER,
    stored_gid      INTEGER,
    stored_at_ms    INTEGER,
    stored_sequence INTEGER,
    stored_server   TEXT,                         -- the server's own id, from the receipt
    stored_sent     INTEGER,                      -- 1: we sent bytes for stored_sha256; 0: the server had them
    stored_size     INTEGER,
    stored_at       TEXT,                         -- the server's own words, as they were signed
    stored_tree     INTEGER REFERENCES receipt_trees (id),
    stored_leaf     INTEGER,
    stored_snapshot INTEGER NOT NULL DEFAULT 0    -- 1: the columns stored_* are about a snapshot
                    CHECK (stored_snapshot IN (0, 1)),
    rule_pattern    TEXT,                         -- NULL: not excluded, or by a rule of our own (`reason` names it)
    rule_source     TEXT,                         -- setting, root, or the absolute path of a .ppignore
    rule_line       INTEGER,
    discovered_at_ms INTEGER NOT NULL,
    checked_at_ms   INTEGER,
    UNIQUE (directory_id, name),
    CHECK (state NOT IN ('ready_for_upload', 'completed', 'unchanged')
        OR ((kind = 'file') = (sha256 IS NOT NULL) AND (kind = 'symlink') = (link_target IS NOT NULL)))
) STRICT;

INSERT INTO files_anew (
    id, directory_id, name, kind, state, reason, gen, size_bytes, mtime_ns, ctime_ns, inode, device, mode, uid, gid,
    sha256, racy, hashed_at_ms, offered_gen, stored_gen, stored_kind, stored_sha256, stored_mtime_ns, stored_mode,
    stored_uid, stored_gid, stored_at_ms, stored_sequence, stored_server, stored_sent, stored_size, stored_at, stored_tree,
    stored_leaf, stored_snapshot, rule_pattern, rule_source, rule_line, discovered_at_ms, checked_at_ms)
SELECT
    id, directory_id, name, kind, state, reason, gen, size_bytes, mtime_ns, ctime_ns, inode, device, mode, uid, gid,
    sha256, racy, hashed_at_ms, offered_gen, stored_gen, CASE WHEN stored_sha256 IS NOT NULL THEN 'file' END,
    stored_sha256, stored_mtime_ns, stored_mode,
    stored_uid, stored_gid, stored_at_ms, stored_sequence, stored_server, stored_sent, stored_size, stored_at, stored_tree,
    stored_leaf, stored_snapshot, rule_pattern, rule_source, rule_line, discovered_at_ms, checked_at_ms
FROM files;

DROP TABLE files;
ALTER TABLE files_anew RENAME TO files;

CREATE INDEX files_by_state ON files (state, id);
CREATE INDEX files_by_tree ON files (stored_tree) WHERE stored_tree IS NOT NULL;
CREATE INDEX files_by_inode ON files (inode, device) WHERE inode IS NOT NULL;  -- what was moved is not lost
CREATE INDEX files_by_hash_age ON files (hashed_at_ms) WHERE state IN ('completed', 'unchanged');

-- What counts is files; and whatever is left out, because that has no kind that would matter.
CREATE TRIGGER files_counted_in AFTER INSERT ON files
WHEN NEW.kind = 'file' OR NEW.state IN ('excluded', 'unsupported') BEGIN
    UPDATE counters SET value = value + 1 WHERE name = 'files.' || NEW.state;
END;
CREATE TRIGGER files_counted_out AFTER DELETE ON files
WHEN OLD.kind = 'file' OR OLD.state IN ('excluded', 'unsupported') BEGIN
    UPDATE counters SET value = value - 1 WHERE name = 'files.' || OLD.state;
END;
CREATE TRIGGER files_counted_over AFTER UPDATE OF state, kind ON files
WHEN OLD.state <> NEW.state OR OLD.kind <> NEW.kind BEGIN
    UPDATE counters SET value = value - 1
     WHERE name = 'files.' || OLD.state AND (OLD.kind = 'file' OR OLD.state IN ('excluded', 'unsupported'));
    UPDATE counters SET value = value + 1
     WHERE name = 'files.' || NEW.state AND (NEW.kind = 'file' OR NEW.state IN ('excluded', 'unsupported'));
END;

UPDATE counters SET value = (
    SELECT COUNT(*) FROM files
     WHERE 'files.' || state = counters.name AND (kind = 'file' OR state IN ('excluded', 'unsupported')))
WHERE name LIKE 'files.%';
