-- Small files travel many at a time, in a lane of their own; receipts are kept so that each can be shown to others, alone.

ALTER TABLE work ADD COLUMN lane TEXT NOT NULL DEFAULT 'large'  -- upload: who sends it; means nothing in other stages
    CHECK (lane IN ('small', 'large'));

UPDATE work SET lane = 'small'
WHERE stage = 'upload' AND (SELECT size_bytes FROM files WHERE files.id = work.file_id) <= 262144;

CREATE INDEX work_by_lane ON work (lane, eligible_at_ms, file_id) WHERE stage = 'upload';

-- A key that signs, or has signed, the receipts of a server. The first one a server shows is trusted, for as long as the
-- row of `servers` that it was shown to stays: removing that row is how a person allows another key. Keys stay for what
-- they have signed.
CREATE TABLE receipt_keys (
    server_id       TEXT    NOT NULL,             -- the server's own id
    key_id          TEXT    NOT NULL,
    public_key      TEXT    NOT NULL,             -- base64
    trusted_by      INTEGER REFERENCES servers (id) ON DELETE SET NULL,
    first_seen_ms   INTEGER NOT NULL,
    PRIMARY KEY (server_id, key_id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX one_trusted_key ON receipt_keys (server_id) WHERE trusted_by IS NOT NULL;
CREATE INDEX keys_by_server ON receipt_keys (trusted_by) WHERE trusted_by IS NOT NULL;

-- What one signature covers: the hashes of all receipts of one answer, as the leaves of a tree. Together with the
-- columns stored_* of a file, which are one leaf, it proves the receipt. Trees of which no file is a leaf any more are
-- removed at the next start.
CREATE TABLE receipt_trees (
    id        INTEGER PRIMARY KEY,
    owner     TEXT NOT NULL,                      -- whom the server knows us as
    host_id   TEXT NOT NULL,
    key_id    TEXT NOT NULL,
    signature BLOB NOT NULL,
    leaves    BLOB NOT NULL CHECK (length(leaves) % 32 = 0)
) STRICT;

ALTER TABLE files ADD COLUMN stored_size INTEGER;
ALTER TABLE files ADD COLUMN stored_at TEXT;      -- the server's own words, as they were signed
ALTER TABLE files ADD COLUMN stored_tree INTEGER REFERENCES receipt_trees (id);
ALTER TABLE files ADD COLUMN stored_leaf INTEGER;

CREATE INDEX files_by_tree ON files (stored_tree) WHERE stored_tree IS NOT NULL;
