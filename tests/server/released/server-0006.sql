BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0006');
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
INSERT INTO "api_keys" VALUES('8ccdf244ebbd8b8c',1,'tests','delete read upload',NULL,X'EF724419075A7BA06950D2833E5B5578FA62BF1001485A8EB02DF8AA307FC091',1795190545733,1795190546034,NULL);
CREATE TABLE blob_extents (
	blob INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	container TEXT NOT NULL, 
	name TEXT NOT NULL, 
	byte_offset BIGINT NOT NULL, 
	stored_bytes BIGINT NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	sha256 TEXT NOT NULL, 
	encoding TEXT NOT NULL, 
	PRIMARY KEY (blob, position), 
	CONSTRAINT ck_blob_extents_container CHECK (container IN ('file', 'pack')), 
	FOREIGN KEY(blob) REFERENCES blobs (id)
)
 WITHOUT ROWID

;
INSERT INTO "blob_extents" VALUES(1,0,'pack','4ed3213df7e9433f969a837bed781996',122,5,5,'007cb94b641101dfe2f06b0c1017b70588a893af4546b3645d5a40db42e08b0d','plain');
INSERT INTO "blob_extents" VALUES(3,0,'pack','4ed3213df7e9433f969a837bed781996',60,3,10,'fa0343363edb8cb3ed1c098a47c28e56a7d7c8ade8dce7ed408b12b6280dd135','zstd');
INSERT INTO "blob_extents" VALUES(4,0,'file','0f6f91868c75619b218e516fe1f5ec578adee2eb348d713d8686d0a54d7dd7d1',0,300000,300000,'0f6f91868c75619b218e516fe1f5ec578adee2eb348d713d8686d0a54d7dd7d1','plain');
INSERT INTO "blob_extents" VALUES(5,0,'pack','4ed3213df7e9433f969a837bed781996',179,14,14,'2059af985d70f91d8d3984d127c75a710b71aaa3e6798726834aac37965a82c8','plain');
CREATE TABLE blobs (
	id INTEGER NOT NULL, 
	sha256 TEXT NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	state TEXT NOT NULL, 
	created_ms BIGINT NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT ck_blobs_state CHECK (state IN ('present', 'bad')), 
	CONSTRAINT uq_blobs_sha256 UNIQUE (sha256)
);
INSERT INTO "blobs" VALUES(1,'007cb94b641101dfe2f06b0c1017b70588a893af4546b3645d5a40db42e08b0d',5,'present',1795190545825);
INSERT INTO "blobs" VALUES(2,'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',0,'present',1795190545825);
INSERT INTO "blobs" VALUES(3,'fa0343363edb8cb3ed1c098a47c28e56a7d7c8ade8dce7ed408b12b6280dd135',10,'present',1795190545825);
INSERT INTO "blobs" VALUES(4,'0f6f91868c75619b218e516fe1f5ec578adee2eb348d713d8686d0a54d7dd7d1',300000,'present',1795190545903);
INSERT INTO "blobs" VALUES(5,'2059af985d70f91d8d3984d127c75a710b71aaa3e6798726834aac37965a82c8',14,'present',1795190545917);
CREATE TABLE counters (
	name TEXT NOT NULL, 
	value BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "counters" VALUES('fsyncs',28);
INSERT INTO "counters" VALUES('batches',2);
INSERT INTO "counters" VALUES('bytes_received',2397181);
INSERT INTO "counters" VALUES('chunks_received',3);
INSERT INTO "counters" VALUES('uploads_completed',1);
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
	inconsistent BOOLEAN DEFAULT 0 NOT NULL, 
	stored_ms BIGINT NOT NULL, 
	deleted_ms BIGINT, 
	blob INTEGER, 
	CONSTRAINT ck_file_versions_status CHECK (status = 'active' OR status = 'deleted' OR status = 'superseded'), 
	CONSTRAINT ck_file_versions_kind CHECK (kind = 'file' OR kind = 'dir' OR kind = 'symlink'), 
	CONSTRAINT ck_file_versions_blob CHECK ((blob IS NULL) = (sha256 IS NULL)), 
	FOREIGN KEY(blob) REFERENCES blobs (id), 
	FOREIGN KEY(host_key) REFERENCES hosts (id), 
	FOREIGN KEY(owner_id) REFERENCES owners (id), 
	CONSTRAINT uq_file_versions_gen UNIQUE (host_key, path, gen)
);
INSERT INTO "file_versions" VALUES(1,1,1,X'2F746D702F6578616D706C652F747265652F656D707479',1,'superseded',0,'file','e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',0,5,420,1000,1000,'me','me',NULL,1,1795190545825,NULL,2);
INSERT INTO "file_versions" VALUES(2,1,1,X'2F746D702F6578616D706C652F747265652F612E747874',3,'superseded',0,'file','fa0343363edb8cb3ed1c098a47c28e56a7d7c8ade8dce7ed408b12b6280dd135',10,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1795190545825,NULL,3);
INSERT INTO "file_versions" VALUES(3,1,1,X'2F746D702F6578616D706C652F747265652F636166E9',2,'active',1,'file','007cb94b641101dfe2f06b0c1017b70588a893af4546b3645d5a40db42e08b0d',5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1795190545825,NULL,1);
INSERT INTO "file_versions" VALUES(4,1,1,X'2F746D702F6578616D706C652F747265652F7375622F622E62696E',4,'active',1,'file','0f6f91868c75619b218e516fe1f5ec578adee2eb348d713d8686d0a54d7dd7d1',300000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1795190545903,NULL,4);
INSERT INTO "file_versions" VALUES(5,1,1,X'2F746D702F6578616D706C652F747265652F612E747874',5,'active',1,'file','2059af985d70f91d8d3984d127c75a710b71aaa3e6798726834aac37965a82c8',14,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1795190545917,NULL,5);
INSERT INTO "file_versions" VALUES(6,1,1,X'2F746D702F6578616D706C652F747265652F656D707479',6,'deleted',1,'file','e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',0,5,420,1000,1000,'me','me',NULL,0,1795190545825,1795190545917,2);
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
INSERT INTO "hosts" VALUES(1,1,'host-1','laptop',6,NULL,1795190545825,1795190545825);
CREATE TABLE owners (
	id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	created_ms BIGINT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (name)
);
INSERT INTO "owners" VALUES(1,'tests',1795190545733);
CREATE TABLE retired_packs (
	name TEXT NOT NULL, 
	retired_ms BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
CREATE TABLE sequences (
	name TEXT NOT NULL, 
	last BIGINT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "sequences" VALUES('version',6);
CREATE TABLE server_state (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "server_state" VALUES('server_id','188bee0b1693479fa596990e732566bb');
INSERT INTO "server_state" VALUES('epoch','4');
INSERT INTO "server_state" VALUES('verify_below','0');
INSERT INTO "server_state" VALUES('receipts_logged','6');
INSERT INTO "server_state" VALUES('clean_epoch','4');
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
INSERT INTO "upload_chunks" VALUES(2,0,1048576,'1da5f49e491a9f9a56ac7a14851ec72beb29c29c974d062dbc8a56773cec1bfe',1,1795190545999);
INSERT INTO "upload_chunks" VALUES(2,1,1048576,'fa7a9a16abb6101ee0b55328e2e7891abf2ffe967ec734d23442dd7e2bc0d0db',1,1795190546035);
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
	receipt TEXT, inconsistent BOOLEAN DEFAULT 0 NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT ck_upload_sessions_status CHECK (status IN ('open', 'completed', 'aborted', 'expired')), 
	FOREIGN KEY(host_key) REFERENCES hosts (id), 
	FOREIGN KEY(owner_id) REFERENCES owners (id)
);
INSERT INTO "upload_sessions" VALUES(1,'835ad425-d8ee-4ada-b3f1-ab6f3798c01f',1,'8ccdf244ebbd8b8c',1,X'2F746D702F6578616D706C652F747265652F7375622F622E62696E',4,'file','0f6f91868c75619b218e516fe1f5ec578adee2eb348d713d8686d0a54d7dd7d1',300000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1048576,1,'completed',0,1795190545853,1795194205853,1795190545903,'{"server_id":"188bee0b1693479fa596990e732566bb","owner":"tests","host_id":"host-1","filepath":"/tmp/example/tree/sub/b.bin","filepath_b64":null,"gen":4,"kind":"file","status":"active","sha256":"0f6f91868c75619b218e516fe1f5ec578adee2eb348d713d8686d0a54d7dd7d1","size":300000,"stored_at":"2026-11-20T16:02:25.903Z","sequence":4,"proof":null}',0);
INSERT INTO "upload_sessions" VALUES(2,'61c0bfde-c64e-489c-af81-09d71636b202',1,'8ccdf244ebbd8b8c',1,X'2F746D702F6578616D706C652F747265652F77616974696E67',7,'file','a8aebee420187c0930e00337cca1631e4fb37d7bee3c06507c9ecbdf0cd05933',3145728,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1048576,3,'open',0,1795190545964,1795194205964,NULL,NULL,0);
CREATE INDEX ix_upload_sessions_expires ON upload_sessions (expires_ms);
CREATE INDEX ix_upload_sessions_open ON upload_sessions (host_key, path) WHERE status = 'open';
CREATE INDEX ix_upload_sessions_status ON upload_sessions (status, expires_ms);
CREATE UNIQUE INDEX uq_upload_sessions_upload_id ON upload_sessions (upload_id);
CREATE INDEX ix_upload_sessions_owner ON upload_sessions (owner_id, expires_ms) WHERE status = 'open';
CREATE INDEX ix_blob_extents_container ON blob_extents (container, name, byte_offset);
CREATE INDEX ix_file_versions_live ON file_versions (owner_id, kind, host_key, path) WHERE is_head = 1 AND status = 'active';
CREATE UNIQUE INDEX uq_file_versions_head ON file_versions (host_key, path) WHERE is_head = 1;
CREATE INDEX ix_file_versions_content ON file_versions (owner_id, blob);
CREATE INDEX ix_file_versions_status ON file_versions (status, deleted_ms) WHERE status = 'deleted';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('file_versions',6);
COMMIT;
