-- What is written for every file is written at less cost. A check with a list of three words or more builds a table of
-- them for each row that is written (measured: two fifths of the time in SQL), so both tables are built anew with checks
-- that compare. Every change of a row is counted in one place instead of two; and files are counted per root as well.

-- One path of a watched folder. The columns from size_bytes to sha256, and link_target, are written by whoever read it
-- alone, together, so they always describe one version; the columns stored_* repeat what the server's last receipt says.
CREATE TABLE files_anew (
    id              INTEGER PRIMARY KEY,
    directory_id    INTEGER NOT NULL REFERENCES directories (id) ON DELETE CASCADE,
    name            BLOB    NOT NULL,
    kind            TEXT    NOT NULL,             -- as last seen
    state           TEXT    NOT NULL CHECK (
                        state = 'discovered' OR state = 'ready_for_upload' OR state = 'completed' OR state = 'unchanged'
                        OR state = 'vanished' OR state = 'excluded' OR state = 'unsupported'),
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
    CHECK ((state <> 'ready_for_upload' AND state <> 'completed' AND state <> 'unchanged')
        OR ((kind = 'file') = (sha256 IS NOT NULL) AND (kind = 'symlink') = (link_target IS NOT NULL)))
) STRICT;

INSERT INTO files_anew (
    id, directory_id, name, kind, state, reason, gen, size_bytes, mtime_ns, ctime_ns, inode, device, mode, uid, gid,
    sha256, link_target, racy, hashed_at_ms, offered_gen, stored_gen, stored_kind, stored_sha256, stored_target,
    stored_mtime_ns, stored_mode, stored_uid, stored_gid, stored_at_ms, stored_sequence, stored_server, stored_sent,
    stored_size, stored_at, stored_tree, stored_leaf, stored_snapshot, rule_pattern, rule_source, rule_line,
    discovered_at_ms, checked_at_ms)
SELECT
    id, directory_id, name, kind, state, reason, gen, size_bytes, mtime_ns, ctime_ns, inode, device, mode, uid, gid,
    sha256, link_target, racy, hashed_at_ms, offered_gen, stored_gen, stored_kind, stored_sha256, stored_target,
    stored_mtime_ns, stored_mode, stored_uid, stored_gid, stored_at_ms, stored_sequence, stored_server, stored_sent,
    stored_size, stored_at, stored_tree, stored_leaf, stored_snapshot, rule_pattern, rule_source, rule_line,
    discovered_at_ms, checked_at_ms
FROM files;

DROP TABLE files;
ALTER TABLE files_anew RENAME TO files;

CREATE INDEX files_by_state ON files (state, id);
CREATE INDEX files_by_tree ON files (stored_tree) WHERE stored_tree IS NOT NULL;
CREATE INDEX files_by_inode ON files (inode, device) WHERE inode IS NOT NULL;  -- what was moved is not lost
CREATE INDEX files_by_hash_age ON files (hashed_at_ms) WHERE state IN ('completed', 'unchanged');

-- What is to be done next with a file: at most one row each, so work is never in two queues. A row leaves only together
-- with its effect, and only for the generation it was for.
CREATE TABLE work_anew (
    file_id        INTEGER PRIMARY KEY REFERENCES files (id) ON DELETE CASCADE,
    stage          TEXT    NOT NULL CHECK (
                       stage = 'checksum' OR stage = 'upload' OR stage = 'vanished' OR stage = 'deletion'),
    gen            INTEGER NOT NULL,
    state          TEXT    NOT NULL DEFAULT 'waiting' CHECK (
                       state = 'waiting' OR state = 'backoff' OR state = 'parked' OR state = 'held'),
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
    lane           TEXT NOT NULL DEFAULT 'large'  -- upload: who sends it; means nothing in other stages
                   CHECK (lane IN ('small', 'large')),
    blocks         BLOB,                          -- upload: see pp_assist/core/blocks.py; NULL for small files
    CHECK ((state = 'parked' OR state = 'held') = (eligible_at_ms IS NULL))
) STRICT;

INSERT INTO work_anew (
    file_id, stage, gen, state, queued_at_ms, eligible_at_ms, attempts, reason, last_error, seen_size, seen_mtime_ns,
    seen_ctime_ns, seen_inode, seen_device, lane, blocks)
SELECT
    file_id, stage, gen, state, queued_at_ms, eligible_at_ms, attempts, reason, last_error, seen_size, seen_mtime_ns,
    seen_ctime_ns, seen_inode, seen_device, lane, blocks
FROM work;

DROP TABLE work;
ALTER TABLE work_anew RENAME TO work;

CREATE INDEX work_by_time ON work (stage, eligible_at_ms, file_id) WHERE stage <> 'upload';
CREATE INDEX work_by_lane ON work (lane, eligible_at_ms, file_id) WHERE stage = 'upload';
CREATE INDEX work_huge ON work (stage, eligible_at_ms, file_id) WHERE seen_size >= 268435456;
CREATE INDEX work_by_age ON work (stage, queued_at_ms);
CREATE INDEX work_by_inode ON work (seen_inode, seen_device) WHERE seen_inode IS NOT NULL;
CREATE INDEX work_changing ON work (queued_at_ms) WHERE stage = 'checksum' AND reason = 'changing';

-- How often a file has gone from one state to another, and work from one stage and state to another; an empty name is
-- nowhere. What came to a place, less what left it, is there now: asking costs nothing at a million files, and the
-- numbers cannot drift from the rows. What counts is files; and whatever is left out, because that has no kind that
-- would matter.
DROP TRIGGER tree_moves_counted_in;
DROP TRIGGER tree_moves_counted_out;
DROP TABLE counters;
CREATE TABLE steps (
    origin TEXT    NOT NULL,
    target TEXT    NOT NULL,
    times  INTEGER NOT NULL,
    PRIMARY KEY (origin, target)
) STRICT, WITHOUT ROWID;

WITH place (name) AS (
    SELECT value FROM json_each(
        '["", "discovered", "ready_for_upload", "completed", "unchanged", "vanished", "excluded", "unsupported"]'))
INSERT INTO steps (origin, target, times)
SELECT here.name, there.name, CASE here.name WHEN '' THEN (
    SELECT COUNT(*) FROM files
     WHERE state = there.name AND (kind = 'file' OR state = 'excluded' OR state = 'unsupported')) ELSE 0 END
FROM place AS here JOIN place AS there ON here.name <> there.name;

WITH place (name) AS (
    SELECT '' UNION ALL SELECT stage.value || '.' || state.value
      FROM json_each('["checksum", "upload", "vanished", "deletion"]') AS stage,
           json_each('["waiting", "backoff", "parked", "held"]') AS state)
INSERT INTO steps (origin, target, times)
SELECT here.name, there.name, CASE here.name WHEN '' THEN (
    SELECT COUNT(*) FROM work WHERE stage || '.' || state = there.name)
    + CASE there.name WHEN 'upload.waiting' THEN (SELECT COUNT(*) FROM tree_moves) ELSE 0 END ELSE 0 END
FROM place AS here JOIN place AS there ON here.name <> there.name;

-- How many files of a root must be stored: those that are discovered, ready_for_upload, completed or unchanged.
ALTER TABLE roots ADD COLUMN file_count INTEGER NOT NULL DEFAULT 0;

UPDATE roots SET file_count = (
    SELECT COUNT(*) FROM directories d JOIN files f ON f.directory_id = d.id
     WHERE d.root_id = roots.id AND f.kind = 'file'
       AND f.state <> 'vanished' AND f.state <> 'excluded' AND f.state <> 'unsupported');

CREATE TRIGGER files_counted_in AFTER INSERT ON files WHEN (NEW.kind = 'file' OR NEW.state = 'excluded' OR NEW.state = 'unsupported') BEGIN
    UPDATE steps SET times = times + 1 WHERE origin = '' AND target = NEW.state;
    UPDATE roots SET file_count = file_count + 1
     WHERE (NEW.kind = 'file' AND NEW.state <> 'vanished' AND NEW.state <> 'excluded' AND NEW.state <> 'unsupported')
       AND id = (SELECT root_id FROM directories WHERE id = NEW.directory_id);
END;
CREATE TRIGGER files_counted_out AFTER DELETE ON files WHEN (OLD.kind = 'file' OR OLD.state = 'excluded' OR OLD.state = 'unsupported') BEGIN
    UPDATE steps SET times = times + 1 WHERE origin = OLD.state AND target = '';
    UPDATE roots SET file_count = file_count - 1
     WHERE (OLD.kind = 'file' AND OLD.state <> 'vanished' AND OLD.state <> 'excluded' AND OLD.state <> 'unsupported')
       AND id = (SELECT root_id FROM directories WHERE id = OLD.directory_id);
END;
CREATE TRIGGER files_counted_over AFTER UPDATE OF state, kind ON files
WHEN OLD.state <> NEW.state OR OLD.kind <> NEW.kind BEGIN
    UPDATE steps SET times = times + 1
     WHERE origin = CASE WHEN (OLD.kind = 'file' OR OLD.state = 'excluded' OR OLD.state = 'unsupported') THEN OLD.state ELSE '' END
       AND target = CASE WHEN (NEW.kind = 'file' OR NEW.state = 'excluded' OR NEW.state = 'unsupported') THEN NEW.state ELSE '' END;
    UPDATE roots SET file_count = file_count
        + (NEW.kind = 'file' AND NEW.state <> 'vanished' AND NEW.state <> 'excluded' AND NEW.state <> 'unsupported')
        - (OLD.kind = 'file' AND OLD.state <> 'vanished' AND OLD.state <> 'excluded' AND OLD.state <> 'unsupported')
     WHERE (NEW.kind = 'file' AND NEW.state <> 'vanished' AND NEW.state <> 'excluded' AND NEW.state <> 'unsupported')
        <> (OLD.kind = 'file' AND OLD.state <> 'vanished' AND OLD.state <> 'excluded' AND OLD.state <> 'unsupported')
       AND id = (SELECT root_id FROM directories WHERE id = NEW.directory_id);
END;

-- A directory that is moved to another root takes its files along.
CREATE TRIGGER files_counted_along AFTER UPDATE OF root_id ON directories WHEN OLD.root_id <> NEW.root_id BEGIN
    UPDATE roots SET file_count = file_count + (
        SELECT COUNT(*) FROM files AS f WHERE f.directory_id = NEW.id
           AND (f.kind = 'file' AND f.state <> 'vanished' AND f.state <> 'excluded' AND f.state <> 'unsupported'))
        * CASE id WHEN NEW.root_id THEN 1 ELSE -1 END
     WHERE id IN (OLD.root_id, NEW.root_id);
END;

CREATE TRIGGER work_counted_in AFTER INSERT ON work BEGIN
    UPDATE steps SET times = times + 1 WHERE origin = '' AND target = NEW.stage || '.' || NEW.state;
END;
CREATE TRIGGER work_counted_out AFTER DELETE ON work BEGIN
    UPDATE steps SET times = times + 1 WHERE origin = OLD.stage || '.' || OLD.state AND target = '';
END;
CREATE TRIGGER work_counted_over AFTER UPDATE OF stage, state ON work
WHEN OLD.stage <> NEW.stage OR OLD.state <> NEW.state BEGIN
    UPDATE steps SET times = times + 1
     WHERE origin = OLD.stage || '.' || OLD.state AND target = NEW.stage || '.' || NEW.state;
END;

-- Something is still to do: it counts as one upload that waits.
CREATE TRIGGER tree_moves_counted_in AFTER INSERT ON tree_moves BEGIN
    UPDATE steps SET times = times + 1 WHERE origin = '' AND target = 'upload.waiting';
END;
CREATE TRIGGER tree_moves_counted_out AFTER DELETE ON tree_moves BEGIN
    UPDATE steps SET times = times + 1 WHERE origin = 'upload.waiting' AND target = '';
END;
