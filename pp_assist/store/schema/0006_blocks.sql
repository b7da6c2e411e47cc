-- What is read again later must be what was hashed: digests of the blocks of a large file, and when to hash it again.

ALTER TABLE work ADD COLUMN blocks BLOB;          -- upload: see pp_assist/core/blocks.py; NULL for small files

CREATE INDEX files_by_hash_age ON files (hashed_at_ms) WHERE state IN ('completed', 'unchanged');
