-- Rows are counted when somebody asks. To keep counts with each row that is written cost every small file four updates, a
-- fifth of what SQLite did for it (docs/decisions/0023).

DROP TRIGGER files_counted_in;
DROP TRIGGER files_counted_out;
DROP TRIGGER files_counted_over;
DROP TRIGGER work_counted_in;
DROP TRIGGER work_counted_out;
DROP TRIGGER work_counted_over;
DROP TRIGGER tree_moves_counted_in;
DROP TRIGGER tree_moves_counted_out;
DROP TABLE steps;

-- Counting files reads nothing but this.
DROP INDEX files_by_state;
CREATE INDEX files_by_state ON files (state, kind);

-- What is missing and what is to be told as deleted are few, and asked for by other things than their time.
DROP INDEX work_by_age;
CREATE INDEX work_vanished ON work (file_id) WHERE stage = 'vanished';
CREATE INDEX work_deletion ON work (state) WHERE stage = 'deletion';

-- What is looked for every few seconds, too.
CREATE INDEX work_astray ON work (eligible_at_ms) WHERE reason IN ('not_there', 'changed');

-- How many files of a root must be stored is kept with the root: nothing else would tell without asking for each directory.
CREATE TRIGGER files_counted_in AFTER INSERT ON files
WHEN NEW.kind = 'file' AND NEW.state <> 'vanished' AND NEW.state <> 'excluded' AND NEW.state <> 'unsupported' BEGIN
    UPDATE roots SET file_count = file_count + 1
     WHERE id = (SELECT root_id FROM directories WHERE id = NEW.directory_id);
END;
CREATE TRIGGER files_counted_out AFTER DELETE ON files
WHEN OLD.kind = 'file' AND OLD.state <> 'vanished' AND OLD.state <> 'excluded' AND OLD.state <> 'unsupported' BEGIN
    UPDATE roots SET file_count = file_count - 1
     WHERE id = (SELECT root_id FROM directories WHERE id = OLD.directory_id);
END;
CREATE TRIGGER files_counted_over AFTER UPDATE OF state, kind ON files
WHEN (NEW.kind = 'file' AND NEW.state <> 'vanished' AND NEW.state <> 'excluded' AND NEW.state <> 'unsupported')
  <> (OLD.kind = 'file' AND OLD.state <> 'vanished' AND OLD.state <> 'excluded' AND OLD.state <> 'unsupported') BEGIN
    UPDATE roots SET file_count = file_count
        + CASE WHEN NEW.kind = 'file' AND NEW.state <> 'vanished' AND NEW.state <> 'excluded' AND NEW.state <> 'unsupported'
               THEN 1 ELSE -1 END
     WHERE id = (SELECT root_id FROM directories WHERE id = NEW.directory_id);
END;
