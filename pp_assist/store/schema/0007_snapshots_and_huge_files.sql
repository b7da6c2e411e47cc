-- Files that never come to rest are, where a person wants that, stored as they were read while they changed.

ALTER TABLE files ADD COLUMN stored_snapshot INTEGER NOT NULL DEFAULT 0  -- the columns stored_* are about a snapshot
    CHECK (stored_snapshot IN (0, 1));

-- The last snapshot of a file that goes on changing. Its copy lies beside the database, named by the file's id, for as
-- long as it waits to be sent. The file's row of `work` knows nothing of it.
CREATE TABLE snapshots (
    file_id     INTEGER PRIMARY KEY REFERENCES files (id) ON DELETE CASCADE,
    gen         INTEGER NOT NULL,
    taken_at_ms INTEGER NOT NULL,
    waiting     INTEGER NOT NULL CHECK (waiting IN (0, 1)),   -- to be sent
    marked      INTEGER NOT NULL CHECK (marked IN (0, 1)),    -- 1: the file changed while it was copied
    size_bytes  INTEGER NOT NULL,
    mtime_ns    INTEGER NOT NULL,
    ctime_ns    INTEGER NOT NULL,
    inode       INTEGER NOT NULL,
    device      INTEGER NOT NULL,
    mode        INTEGER NOT NULL,
    uid         INTEGER NOT NULL,
    gid         INTEGER NOT NULL,
    sha256      TEXT    NOT NULL CHECK (length(sha256) = 64)
) STRICT;

CREATE INDEX work_changing ON work (queued_at_ms) WHERE stage = 'checksum' AND reason = 'changing';
-- Huge files are hashed and sent in a lane of their own: by the size as last seen, few among many.

CREATE INDEX work_huge ON work (stage, eligible_at_ms, file_id) WHERE seen_size >= 268435456;
