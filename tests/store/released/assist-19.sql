BEGIN TRANSACTION;
CREATE TABLE activity (
    id       INTEGER PRIMARY KEY,  -- grows over restarts, too; those that are told and not kept have ids of the same row
    at_ms    INTEGER NOT NULL,
    event    TEXT    NOT NULL,
    root_id  INTEGER,              -- may be gone by now
    filepath BLOB,                 -- of the first, where it is about several
    count    INTEGER NOT NULL,
    message  TEXT,
    details  TEXT    NOT NULL      -- JSON
) STRICT;
CREATE TABLE daemon_state (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "daemon_state" VALUES('activity_id',1);
INSERT INTO "daemon_state" VALUES('clean_shutdown',1);
INSERT INTO "daemon_state" VALUES('doubts',0);
INSERT INTO "daemon_state" VALUES('epoch',0);
INSERT INTO "daemon_state" VALUES('gen',7);
INSERT INTO "daemon_state" VALUES('settings',0);
CREATE TABLE directories (
    id             INTEGER PRIMARY KEY,
    root_id        INTEGER NOT NULL REFERENCES roots (id) ON DELETE CASCADE,
    parent_id      INTEGER REFERENCES directories (id),
    path           BLOB    NOT NULL,
    listed_at_ms   INTEGER,
    problem        TEXT,                          -- why it could not be listed last time
    gone           INTEGER NOT NULL DEFAULT 0 CHECK (gone IN (0, 1)),
    UNIQUE (root_id, path)
) STRICT;
INSERT INTO "directories" VALUES(1,1,NULL,X'',1795183820820,NULL,0);
INSERT INTO "directories" VALUES(2,1,1,X'737562',1795183820820,NULL,0);
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
CREATE TABLE excludes (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again: what was shown under one must not become another
    pattern       TEXT    NOT NULL UNIQUE,
    created_at_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE "files" (
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
    checked_at_ms   INTEGER, noticed_by TEXT,
    UNIQUE (directory_id, name),
    CHECK ((state <> 'ready_for_upload' AND state <> 'completed' AND state <> 'unchanged')
        OR ((kind = 'file') = (sha256 IS NOT NULL) AND (kind = 'symlink') = (link_target IS NOT NULL)))
) STRICT;
INSERT INTO "files" VALUES(2,1,X'636166E9','file','completed',NULL,2,5,1795183820422582226,1795183820422582226,2146736,65024,384,0,0,'84cb65ccd3116c04d92bab796efdcda68d4ce24f9ccfdf8676f8f20e3944e509',NULL,0,1795183820451,2,2,'file','84cb65ccd3116c04d92bab796efdcda68d4ce24f9ccfdf8676f8f20e3944e509',NULL,1795183820422582226,384,0,0,1795183820558,3,'7d03b6d924b8419ea949f399de05c2d7',1,5,'2026-11-20T13:28:02.003Z',1,0,0,NULL,NULL,NULL,1795183820443,NULL,NULL);
INSERT INTO "files" VALUES(3,1,X'612E747874','file','completed',NULL,5,14,1795183820650720117,1795183820650720117,2146733,65024,384,0,0,'ebfa015966891a400bf353bdf8ef30444a71b1751e2808ef6c014db34d168d85',NULL,0,1795183820709,5,5,'file','ebfa015966891a400bf353bdf8ef30444a71b1751e2808ef6c014db34d168d85',NULL,1795183820650720117,384,0,0,1795183820678,5,'7d03b6d924b8419ea949f399de05c2d7',1,14,'2026-11-20T13:28:02.005Z',1,1,0,NULL,NULL,NULL,1795183820443,NULL,NULL);
INSERT INTO "files" VALUES(4,2,X'622E62696E','file','completed',NULL,4,3000,1795183820422444722,1795183820422444722,2203664,65024,384,0,0,'5990ecbd6a47bfbadf942e4b411764e2ebf99ea10c4fe5a51fd407aa6bbfdf94',NULL,0,1795183820451,4,4,'file','5990ecbd6a47bfbadf942e4b411764e2ebf99ea10c4fe5a51fd407aa6bbfdf94',NULL,1795183820422444722,384,0,0,1795183820558,4,'7d03b6d924b8419ea949f399de05c2d7',1,3000,'2026-11-20T13:28:02.004Z',1,2,0,NULL,NULL,NULL,1795183820443,NULL,NULL);
INSERT INTO "files" VALUES(5,1,X'6C696E6B','symlink','unsupported','symlink',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,1795183820443,NULL,NULL);
INSERT INTO "files" VALUES(6,1,X'77616974696E67','file','ready_for_upload',NULL,7,5000000,1795183820791054130,1795183820791054130,2146734,65024,384,0,0,'03a7bd518f3e4ecac11f2e77f7437928ba5d80ac0b2b26a523d90e7628bfd59b',NULL,0,1795183820827,7,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,NULL,1795183820820,NULL,NULL);
CREATE TABLE forgotten_roots (
    shown BLOB    PRIMARY KEY,
    gen   INTEGER NOT NULL                        -- versions up to this one stay
) STRICT, WITHOUT ROWID;
CREATE TABLE held_deletions (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    root_id       INTEGER NOT NULL UNIQUE REFERENCES roots (id) ON DELETE CASCADE,
    reason        TEXT    NOT NULL CHECK (reason IN ('mass', 'all')),
    created_at_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE kept_files (
    root_id   INTEGER NOT NULL REFERENCES roots (id) ON DELETE CASCADE,
    directory BLOB    NOT NULL,                   -- relative to the root
    name      BLOB    NOT NULL,
    gen       INTEGER NOT NULL,                   -- versions up to this one stay
    PRIMARY KEY (root_id, directory, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE passed_deletions (
    root_id INTEGER NOT NULL REFERENCES roots (id) ON DELETE CASCADE,
    minute  INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (root_id, minute)
) STRICT, WITHOUT ROWID;
CREATE TABLE receipt_keys (
    server_id       TEXT    NOT NULL,             -- the server's own id
    key_id          TEXT    NOT NULL,
    public_key      TEXT    NOT NULL,             -- base64
    trusted_by      INTEGER REFERENCES servers (id) ON DELETE SET NULL,
    first_seen_ms   INTEGER NOT NULL,
    PRIMARY KEY (server_id, key_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "receipt_keys" VALUES('7d03b6d924b8419ea949f399de05c2d7','e48270643ace4871','Zw30nC+JwYyafpAhsJ53bAQ8irR/LVz/jOahI5edbp8=',1,1795183820458);
CREATE TABLE receipt_trees (
    id        INTEGER PRIMARY KEY,
    owner     TEXT NOT NULL,                      -- whom the server knows us as
    host_id   TEXT NOT NULL,
    key_id    TEXT NOT NULL,
    signature BLOB NOT NULL,
    leaves    BLOB NOT NULL CHECK (length(leaves) % 32 = 0)
) STRICT;
INSERT INTO "receipt_trees" VALUES(1,'demo','45e4238eb77a4d0eba550bf24b8e6f27','e48270643ace4871',X'07A3C6C65F70EFF18BC6EAB3EFD114E284999FA8CA89D4DFCF398BEF4A5F7EFE2A5BC42F8A8B81B781A01445E4C8173F5028BE53DC93ACFF347A0FEB8DA62505',X'89315810D3E387A3F812518F590E957DE29B7E142954C3DEF4508BEFF75B4EBA91ECF6E897D363CF3D26FC9411C3D257CAD0F42F8DE450F8D12391B5862D2E2E612B3E15D8EF989B97410CC61D4A3BA193F45062A24F59EF6B81A97D3EBF0CE8');
CREATE TABLE reconciled (
    root_id   INTEGER PRIMARY KEY REFERENCES roots (id) ON DELETE CASCADE,
    server    INTEGER NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    server_id TEXT    NOT NULL                    -- the server's own id; empty where it does not tell
) STRICT;
CREATE TABLE roots (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    path               BLOB    NOT NULL UNIQUE,   -- absolute, links resolved
    shown              BLOB    NOT NULL,          -- absolute, as the person typed it: what the server sees
    recursive          INTEGER NOT NULL CHECK (recursive IN (0, 1)),
    enabled            INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    device             INTEGER NOT NULL,
    inode              INTEGER NOT NULL,
    created_at_ms      INTEGER NOT NULL,
    last_scanned_at_ms INTEGER,
    status             TEXT    NOT NULL CHECK (status IN ('healthy', 'unhealthy')),
    reason             TEXT
, policy TEXT NOT NULL DEFAULT 'mirror'  -- archive: what is deleted here stays live there
    CHECK (policy IN ('mirror', 'archive')), exclude TEXT NOT NULL DEFAULT '[]', file_system INTEGER, file_count INTEGER NOT NULL DEFAULT 0) STRICT;
INSERT INTO "roots" VALUES(1,X'2F746D702F6578616D706C652F74726565',X'2F746D702F6578616D706C652F74726565',1,1,65024,2146732,0,1795183820825,'healthy',NULL,'mirror','[]',NULL,4);
CREATE TABLE servers (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    name               TEXT    NOT NULL UNIQUE,
    url                TEXT    NOT NULL,
    username           TEXT,
    api_key            TEXT    NOT NULL,
    is_default         INTEGER NOT NULL CHECK (is_default IN (0, 1)),
    created_at_ms      INTEGER NOT NULL,
    state              TEXT    NOT NULL CHECK (state IN ('ok', 'unreachable', 'needs_login')),
    last_contact_at_ms INTEGER,
    reason             TEXT
, fingerprint TEXT          -- SHA-256 of the one certificate it may show, in lower-case hex
    CHECK (length(fingerprint) = 64), ca_file TEXT              -- PEM file with the authorities that may vouch for it
    CHECK (ca_file IS NULL OR fingerprint IS NULL)) STRICT;
INSERT INTO "servers" VALUES(1,'main','http://server',NULL,'pp_4303597d7e310151_bfb8d4f52191b866d78d076966e3765a0aad5fdd6e932e097e770d3963d1f0d6_9f2272ee',1,0,'unreachable',1795183820458,'ConnectError: nobody there',NULL,NULL);
INSERT INTO "servers" VALUES(2,'pinned','https://files.example.org',NULL,'pp_made_up_for_this_dump',0,1790000000000,'ok',NULL,NULL,'abababababababababababababababababababababababababababababababab',NULL);
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
CREATE TABLE stored_blocks (
    file_id    INTEGER PRIMARY KEY REFERENCES files (id) ON DELETE CASCADE,
    sha256     TEXT    NOT NULL,                  -- of that content
    size_bytes INTEGER NOT NULL,
    blocks     BLOB    NOT NULL
) STRICT;
CREATE TABLE tree_moves (
    id           INTEGER PRIMARY KEY,
    directory_id INTEGER NOT NULL REFERENCES directories (id) ON DELETE CASCADE,  -- where it is now
    file_id      INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE,        -- its own row
    from_root    INTEGER NOT NULL REFERENCES roots (id) ON DELETE CASCADE,
    from_path    BLOB    NOT NULL,                -- relative to that root
    gen          INTEGER NOT NULL
) STRICT;
CREATE TABLE "work" (
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
INSERT INTO "work" VALUES(6,'upload',7,'waiting',1795183820827,1795183820848,0,'server_unreachable','ConnectError: nobody there',5000000,1795183820791054130,1795183820791054130,2146734,65024,'large',NULL);
CREATE INDEX directories_by_parent ON directories (parent_id);
CREATE UNIQUE INDEX one_default_server ON servers (is_default) WHERE is_default = 1;
CREATE UNIQUE INDEX one_trusted_key ON receipt_keys (server_id) WHERE trusted_by IS NOT NULL;
CREATE INDEX keys_by_server ON receipt_keys (trusted_by) WHERE trusted_by IS NOT NULL;
CREATE INDEX reconciled_by_server ON reconciled (server);
CREATE INDEX files_by_tree ON files (stored_tree) WHERE stored_tree IS NOT NULL;
CREATE INDEX files_by_inode ON files (inode, device) WHERE inode IS NOT NULL;
CREATE INDEX files_by_hash_age ON files (hashed_at_ms) WHERE state IN ('completed', 'unchanged');
CREATE INDEX work_by_time ON work (stage, eligible_at_ms, file_id) WHERE stage <> 'upload';
CREATE INDEX work_by_lane ON work (lane, eligible_at_ms, file_id) WHERE stage = 'upload';
CREATE INDEX work_huge ON work (stage, eligible_at_ms, file_id) WHERE seen_size >= 268435456;
CREATE INDEX work_by_inode ON work (seen_inode, seen_device) WHERE seen_inode IS NOT NULL;
CREATE INDEX work_changing ON work (queued_at_ms) WHERE stage = 'checksum' AND reason = 'changing';
CREATE TRIGGER files_counted_along AFTER UPDATE OF root_id ON directories WHEN OLD.root_id <> NEW.root_id BEGIN
    UPDATE roots SET file_count = file_count + (
        SELECT COUNT(*) FROM files AS f WHERE f.directory_id = NEW.id
           AND (f.kind = 'file' AND f.state <> 'vanished' AND f.state <> 'excluded' AND f.state <> 'unsupported'))
        * CASE id WHEN NEW.root_id THEN 1 ELSE -1 END
     WHERE id IN (OLD.root_id, NEW.root_id);
END;
CREATE INDEX activity_by_event ON activity (event, id);
CREATE INDEX files_by_state ON files (state, kind);
CREATE INDEX work_vanished ON work (file_id) WHERE stage = 'vanished';
CREATE INDEX work_deletion ON work (state) WHERE stage = 'deletion';
CREATE INDEX work_astray ON work (eligible_at_ms) WHERE reason IN ('not_there', 'changed');
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
CREATE INDEX directories_unread ON directories (root_id, path) WHERE problem IS NOT NULL;
CREATE INDEX tree_moves_by_directory ON tree_moves (directory_id);
CREATE INDEX tree_moves_by_file ON tree_moves (file_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('servers',2);
INSERT INTO "sqlite_sequence" VALUES('roots',1);
COMMIT;
PRAGMA user_version = 19;
PRAGMA application_id = 1347436883;
