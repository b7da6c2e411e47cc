-- What the blocks of a large file were when the server stored it (see pp_assist/core/blocks.py): the next version needs to
-- bring only what differs. A row that is missing costs bytes, nothing else.

CREATE TABLE stored_blocks (
    file_id    INTEGER PRIMARY KEY REFERENCES files (id) ON DELETE CASCADE,
    sha256     TEXT    NOT NULL,                  -- of that content
    size_bytes INTEGER NOT NULL,
    blocks     BLOB    NOT NULL
) STRICT;
