-- A root that is the spool of a folder on an SFTP server: how to get there, and what is done with what arrives. Its `shown`
-- is the URL. What became of each file is in a database of its own, which may be lost: then all of it arrives anew.
CREATE TABLE drop_folders (
    root_id     INTEGER PRIMARY KEY REFERENCES roots (id) ON DELETE CASCADE,
    password    TEXT,
    key_file    TEXT,
    passphrase  TEXT,
    host_key    TEXT,                 -- the one fingerprint that is believed
    known_hosts TEXT,                 -- a file, instead of the usual ones
    after       TEXT    NOT NULL CHECK (after = 'leave' OR after = 'move' OR after = 'remove'),
    in_progress TEXT,                 -- where it is moved to, on the SFTP server
    patterns    TEXT    NOT NULL,     -- JSON: which names are taken; none: all
    interval_s  REAL    NOT NULL,     -- seconds between two looks
    rest_s      REAL    NOT NULL,     -- seconds for which a file must look the same
    announce    TEXT                  -- JSON: who is told; with the secret
) STRICT;
