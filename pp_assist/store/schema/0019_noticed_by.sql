-- What was it that made us look? Written with the row that is written anyway when a change is noticed.
ALTER TABLE files ADD COLUMN noticed_by TEXT;  -- the last change: event, scan, start or second_look; NULL: before this was written down

-- Whoever asks why a path is where it is reads no table from one end to the other: folders that could not be listed are
-- few, and what was moved and is still to be told of is found by where it is now. Rows that go take theirs along by them.
CREATE INDEX directories_unread ON directories (root_id, path) WHERE problem IS NOT NULL;
CREATE INDEX tree_moves_by_directory ON tree_moves (directory_id);
CREATE INDEX tree_moves_by_file ON tree_moves (file_id);
