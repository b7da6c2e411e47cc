-- Deletions that a person must approve, and what happens to deletions at all.

ALTER TABLE roots ADD COLUMN policy TEXT NOT NULL DEFAULT 'mirror'  -- archive: what is deleted here stays live there
    CHECK (policy IN ('mirror', 'archive'));

-- A root whose deletions wait for a person: its rows of `work` with stage 'deletion' and state 'held'. While it is here,
-- further deletions of the root join them. It goes when it is approved or rejected, or when the files are back.
CREATE TABLE held_deletions (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    root_id       INTEGER NOT NULL UNIQUE REFERENCES roots (id) ON DELETE CASCADE,
    reason        TEXT    NOT NULL CHECK (reason IN ('mass', 'all')),
    created_at_ms INTEGER NOT NULL
) STRICT;

-- How many deletions of a root went ahead unasked, minute by minute of the last hour: many small ones are a mass, too.
CREATE TABLE passed_deletions (
    root_id INTEGER NOT NULL REFERENCES roots (id) ON DELETE CASCADE,
    minute  INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (root_id, minute)
) STRICT, WITHOUT ROWID;

-- What was moved is not lost: its inode, size and mtime are found under another name.
CREATE INDEX files_by_inode ON files (inode, device) WHERE inode IS NOT NULL;
CREATE INDEX work_by_inode ON work (seen_inode, seen_device) WHERE seen_inode IS NOT NULL;
