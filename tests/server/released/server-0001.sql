PRAGMA user_version = 0;
PRAGMA application_id = 0;
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE api_keys (
	id TEXT NOT NULL, 
	owner_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	scopes TEXT NOT NULL, 
	host_id TEXT, 
	secret_sha256 BLOB NOT NULL, 
	created_ms BIGINT NOT NULL, 
	last_used_ms BIGINT, 
	revoked_ms BIGINT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(owner_id) REFERENCES owners (id)
);
INSERT INTO "api_keys" VALUES('4303597d7e310151',1,'tests','delete read upload',NULL,X'E28BEDED6AC6FC8695ADFB239D2C3BBC55D0087FE0071182980FD5EC7DAC2F7F',1795183820383,1795183820837,NULL);
CREATE TABLE blobs (
	sha256 TEXT NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	state TEXT NOT NULL, 
	created_ms BIGINT NOT NULL, 
	PRIMARY KEY (sha256), 
	CONSTRAINT ck_blobs_state CHECK (state IN ('present', 'bad'))
);
INSERT INTO "blobs" VALUES('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',0,'present',1795183820513);
INSERT INTO "blobs" VALUES('2b80b3ea6409ff95f759380d08ec64ec6cc95542647ec374e7b250eba2c83e47',10,'present',1795183820549);
INSERT INTO "blobs" VALUES('84cb65ccd3116c04d92bab796efdcda68d4ce24f9ccfdf8676f8f20e3944e509',5,'present',1795183820549);
INSERT INTO "blobs" VALUES('5990ecbd6a47bfbadf942e4b411764e2ebf99ea10c4fe5a51fd407aa6bbfdf94',3000,'present',1795183820549);
INSERT INTO "blobs" VALUES('ebfa015966891a400bf353bdf8ef30444a71b1751e2808ef6c014db34d168d85',14,'present',1795183820672);
CREATE TABLE counters (
	name TEXT NOT NULL, 
	value BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "counters" VALUES('fsyncs',35);
INSERT INTO "counters" VALUES('uploads_completed',5);
INSERT INTO "counters" VALUES('chunks_received',6);
INSERT INTO "counters" VALUES('bytes_received',2100181);
INSERT INTO "counters" VALUES('deletions',1);
CREATE TABLE file_versions (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	owner_id INTEGER NOT NULL, 
	host_key INTEGER NOT NULL, 
	path BLOB NOT NULL, 
	gen BIGINT NOT NULL, 
	status TEXT NOT NULL, 
	is_head INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	sha256 TEXT, 
	size_bytes BIGINT NOT NULL, 
	mtime_ns BIGINT, 
	mode INTEGER, 
	uid BIGINT, 
	gid BIGINT, 
	user_name TEXT, 
	group_name TEXT, 
	link_target BLOB, 
	stored_ms BIGINT NOT NULL, 
	deleted_ms BIGINT, 
	CONSTRAINT ck_file_versions_kind CHECK (kind IN ('file', 'dir', 'symlink')), 
	CONSTRAINT ck_file_versions_status CHECK (status IN ('active', 'deleted', 'superseded')), 
	FOREIGN KEY(host_key) REFERENCES hosts (id), 
	FOREIGN KEY(owner_id) REFERENCES owners (id), 
	CONSTRAINT uq_file_versions_gen UNIQUE (host_key, path, gen)
);
INSERT INTO "file_versions" VALUES(1,1,1,X'2F746D702F6578616D706C652F747265652F656D707479',1,'superseded',0,'file','e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',0,1795183820422444722,384,0,0,'root','root',NULL,1795183820513,NULL);
INSERT INTO "file_versions" VALUES(2,1,1,X'2F746D702F6578616D706C652F747265652F612E747874',3,'superseded',0,'file','2b80b3ea6409ff95f759380d08ec64ec6cc95542647ec374e7b250eba2c83e47',10,1795183820422354567,384,0,0,'root','root',NULL,1795183820549,NULL);
INSERT INTO "file_versions" VALUES(3,1,1,X'2F746D702F6578616D706C652F747265652F636166E9',2,'active',1,'file','84cb65ccd3116c04d92bab796efdcda68d4ce24f9ccfdf8676f8f20e3944e509',5,1795183820422582226,384,0,0,'root','root',NULL,1795183820549,NULL);
INSERT INTO "file_versions" VALUES(4,1,1,X'2F746D702F6578616D706C652F747265652F7375622F622E62696E',4,'active',1,'file','5990ecbd6a47bfbadf942e4b411764e2ebf99ea10c4fe5a51fd407aa6bbfdf94',3000,1795183820422444722,384,0,0,'root','root',NULL,1795183820549,NULL);
INSERT INTO "file_versions" VALUES(5,1,1,X'2F746D702F6578616D706C652F747265652F612E747874',5,'active',1,'file','ebfa015966891a400bf353bdf8ef30444a71b1751e2808ef6c014db34d168d85',14,1795183820650720117,384,0,0,'root','root',NULL,1795183820672,NULL);
INSERT INTO "file_versions" VALUES(6,1,1,X'2F746D702F6578616D706C652F747265652F656D707479',6,'deleted',1,'file','e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',0,1795183820422444722,384,0,0,'root','root',NULL,1795183820513,1795183820759);
CREATE TABLE hosts (
	id INTEGER NOT NULL, 
	owner_id INTEGER NOT NULL, 
	host_id TEXT NOT NULL, 
	hostname TEXT NOT NULL, 
	highest_gen BIGINT NOT NULL, 
	ip_address TEXT, 
	created_ms BIGINT NOT NULL, 
	seen_ms BIGINT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(owner_id) REFERENCES owners (id), 
	CONSTRAINT uq_hosts_owner_host UNIQUE (owner_id, host_id)
);
INSERT INTO "hosts" VALUES(1,1,'host-1','laptop',6,NULL,1795183820470,1795183820470);
CREATE TABLE owners (
	id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	created_ms BIGINT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "owners" VALUES(1,'tests',1795183820383);
CREATE TABLE server_state (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "server_state" VALUES('server_id','7d03b6d924b8419ea949f399de05c2d7');
INSERT INTO "server_state" VALUES('epoch','1');
INSERT INTO "server_state" VALUES('verify_below','0');
INSERT INTO "server_state" VALUES('clean_epoch','1');
CREATE TABLE upload_chunks (
	session_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	sha256 TEXT NOT NULL, 
	epoch INTEGER NOT NULL, 
	uploaded_ms BIGINT NOT NULL, 
	PRIMARY KEY (session_id, number), 
	FOREIGN KEY(session_id) REFERENCES upload_sessions (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "upload_chunks" VALUES(6,0,1048576,'8f990ba0b577b51cf009ea049368c16bbda1b21e1b93be07a824758bb253c39b',1,1795183820840);
INSERT INTO "upload_chunks" VALUES(6,1,1048576,'8f990ba0b577b51cf009ea049368c16bbda1b21e1b93be07a824758bb253c39b',1,1795183820840);
CREATE TABLE upload_sessions (
	id INTEGER NOT NULL, 
	upload_id TEXT NOT NULL, 
	owner_id INTEGER NOT NULL, 
	key_id TEXT NOT NULL, 
	host_key INTEGER NOT NULL, 
	path BLOB NOT NULL, 
	gen BIGINT, 
	kind TEXT NOT NULL, 
	sha256 TEXT, 
	size_bytes BIGINT NOT NULL, 
	mtime_ns BIGINT, 
	mode INTEGER, 
	uid BIGINT, 
	gid BIGINT, 
	user_name TEXT, 
	group_name TEXT, 
	link_target BLOB, 
	chunk_bytes BIGINT NOT NULL, 
	total_chunks INTEGER NOT NULL, 
	status TEXT NOT NULL, 
	content_known INTEGER NOT NULL, 
	created_ms BIGINT NOT NULL, 
	expires_ms BIGINT NOT NULL, 
	closed_ms BIGINT, 
	receipt TEXT, 
	PRIMARY KEY (id), 
	CONSTRAINT ck_upload_sessions_status CHECK (status IN ('open', 'completed', 'aborted', 'expired')), 
	FOREIGN KEY(host_key) REFERENCES hosts (id), 
	FOREIGN KEY(owner_id) REFERENCES owners (id)
);
INSERT INTO "upload_sessions" VALUES(1,'1c471f6e-bd76-4f91-bb13-d7add3e64eba',1,'4303597d7e310151',1,X'2F746D702F6578616D706C652F747265652F656D707479',1,'file','e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',0,1795183820422444722,384,0,0,'root','root',NULL,1048576,0,'completed',0,1795183820470,1795187480470,1795183820513,'{"server_id":"7d03b6d924b8419ea949f399de05c2d7","owner":"tests","host_id":"host-1","filepath":"/tmp/example/tree/empty","filepath_b64":null,"gen":1,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"stored_at":"2026-11-20T14:10:20.513Z","sequence":1}');
INSERT INTO "upload_sessions" VALUES(2,'5142c6f2-46b1-4139-8f95-cc030b6c9a3a',1,'4303597d7e310151',1,X'2F746D702F6578616D706C652F747265652F636166E9',2,'file','84cb65ccd3116c04d92bab796efdcda68d4ce24f9ccfdf8676f8f20e3944e509',5,1795183820422582226,384,0,0,'root','root',NULL,1048576,1,'completed',0,1795183820471,1795187480471,1795183820549,'{"server_id":"7d03b6d924b8419ea949f399de05c2d7","owner":"tests","host_id":"host-1","filepath":"/tmp/example/tree/caf�","filepath_b64":"L3RtcC9leGFtcGxlL3RyZWUvY2Fm6Q==","gen":2,"sha256":"84cb65ccd3116c04d92bab796efdcda68d4ce24f9ccfdf8676f8f20e3944e509","size":5,"stored_at":"2026-11-20T14:10:20.549Z","sequence":3}');
INSERT INTO "upload_sessions" VALUES(3,'941db60f-8df0-4d42-81c1-39366b4f9457',1,'4303597d7e310151',1,X'2F746D702F6578616D706C652F747265652F612E747874',3,'file','2b80b3ea6409ff95f759380d08ec64ec6cc95542647ec374e7b250eba2c83e47',10,1795183820422354567,384,0,0,'root','root',NULL,1048576,1,'completed',0,1795183820471,1795187480471,1795183820549,'{"server_id":"7d03b6d924b8419ea949f399de05c2d7","owner":"tests","host_id":"host-1","filepath":"/tmp/example/tree/a.txt","filepath_b64":null,"gen":3,"sha256":"2b80b3ea6409ff95f759380d08ec64ec6cc95542647ec374e7b250eba2c83e47","size":10,"stored_at":"2026-11-20T14:10:20.549Z","sequence":2}');
INSERT INTO "upload_sessions" VALUES(4,'76064fa0-1f36-47d0-b9d5-0c41e1f06ef7',1,'4303597d7e310151',1,X'2F746D702F6578616D706C652F747265652F7375622F622E62696E',4,'file','5990ecbd6a47bfbadf942e4b411764e2ebf99ea10c4fe5a51fd407aa6bbfdf94',3000,1795183820422444722,384,0,0,'root','root',NULL,1048576,1,'completed',0,1795183820472,1795187480472,1795183820549,'{"server_id":"7d03b6d924b8419ea949f399de05c2d7","owner":"tests","host_id":"host-1","filepath":"/tmp/example/tree/sub/b.bin","filepath_b64":null,"gen":4,"sha256":"5990ecbd6a47bfbadf942e4b411764e2ebf99ea10c4fe5a51fd407aa6bbfdf94","size":3000,"stored_at":"2026-11-20T14:10:20.549Z","sequence":4}');
INSERT INTO "upload_sessions" VALUES(5,'e1f596b1-9a2a-41f5-80b8-2f435f0a46b3',1,'4303597d7e310151',1,X'2F746D702F6578616D706C652F747265652F612E747874',5,'file','ebfa015966891a400bf353bdf8ef30444a71b1751e2808ef6c014db34d168d85',14,1795183820650720117,384,0,0,'root','root',NULL,1048576,1,'completed',0,1795183820662,1795187480662,1795183820672,'{"server_id":"7d03b6d924b8419ea949f399de05c2d7","owner":"tests","host_id":"host-1","filepath":"/tmp/example/tree/a.txt","filepath_b64":null,"gen":5,"sha256":"ebfa015966891a400bf353bdf8ef30444a71b1751e2808ef6c014db34d168d85","size":14,"stored_at":"2026-11-20T14:10:20.672Z","sequence":5}');
INSERT INTO "upload_sessions" VALUES(6,'7aa01168-feb1-48f3-9131-c75950143435',1,'4303597d7e310151',1,X'2F746D702F6578616D706C652F747265652F77616974696E67',7,'file','03a7bd518f3e4ecac11f2e77f7437928ba5d80ac0b2b26a523d90e7628bfd59b',5000000,1795183820791054130,384,0,0,'root','root',NULL,1048576,5,'open',0,1795183820833,1795187480833,NULL,NULL);
CREATE INDEX ix_file_versions_content ON file_versions (owner_id, sha256);
CREATE INDEX ix_file_versions_live ON file_versions (owner_id, kind, host_key, path) WHERE is_head = 1 AND status = 'active';
CREATE INDEX ix_file_versions_status ON file_versions (status, deleted_ms);
CREATE UNIQUE INDEX uq_file_versions_head ON file_versions (host_key, path) WHERE is_head = 1;
CREATE INDEX ix_upload_sessions_expires ON upload_sessions (expires_ms);
CREATE INDEX ix_upload_sessions_open ON upload_sessions (host_key, path) WHERE status = 'open';
CREATE INDEX ix_upload_sessions_status ON upload_sessions (status, expires_ms);
CREATE UNIQUE INDEX uq_upload_sessions_upload_id ON upload_sessions (upload_id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('file_versions',6);
COMMIT;
