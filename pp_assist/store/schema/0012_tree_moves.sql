-- A directory that was moved with everything in it: its rows, and those below it, have their new place; the server is
-- still to be told, before anything else is. The row goes with the server's receipts for all of it, or once everything
-- that was in it has become work of its own.

CREATE TABLE tree_moves (
    id           INTEGER PRIMARY KEY,
    directory_id INTEGER NOT NULL REFERENCES directories (id) ON DELETE CASCADE,  -- where it is now
    file_id      INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE,        -- its own row
    from_root    INTEGER NOT NULL REFERENCES roots (id) ON DELETE CASCADE,
    from_path    BLOB    NOT NULL,                -- relative to that root
    gen          INTEGER NOT NULL
) STRICT;

-- Something is still to do: it counts as one upload that waits.
CREATE TRIGGER tree_moves_counted_in AFTER INSERT ON tree_moves BEGIN
    UPDATE counters SET value = value + 1 WHERE name = 'work.upload.waiting';
END;
CREATE TRIGGER tree_moves_counted_out AFTER DELETE ON tree_moves BEGIN
    UPDATE counters SET value = value - 1 WHERE name = 'work.upload.waiting';
END;
