-- From schema 1 to schema 2 of jobs.db.

-- Keys, ids and created_at have one order from here on; a clock that stepped back may have left another one.
UPDATE job SET created_at = latest.at
FROM (SELECT key, max(created_at) OVER (ORDER BY key) AS at FROM job) AS latest
WHERE latest.key = job.key AND job.created_at < latest.at;
-- Keys, and the cleanup of one collection.
CREATE INDEX job_ended_in ON job (collection, status, completed_at) WHERE completed_at IS NOT NULL;

-- Keys of the API. Only the BLAKE3 hash of a secret is kept. `last_used_at` is written about once a minute.
CREATE TABLE api_key (
  name TEXT PRIMARY KEY CHECK (name <> ''),
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 8),
  secret_hash BLOB NOT NULL CHECK (length(secret_hash) = 32),
  read_only INTEGER NOT NULL CHECK (read_only IN (0, 1)),
  collection TEXT CHECK (collection <> ''),
  created_at INTEGER NOT NULL,
  last_used_at INTEGER
) STRICT, WITHOUT ROWID;
-- Collections: made by their first job or by a person. Totals are the sums of `charge`, moved in the same transaction. `delete_seq`: the ticket of an
-- accepted deletion, which a maintenance task carries out; `delete_total`: what it had to remove when it was accepted.
CREATE TABLE collection (
  name TEXT PRIMARY KEY CHECK (name <> ''),
  created_at INTEGER NOT NULL,
  version INTEGER NOT NULL DEFAULT 1,
  settings TEXT NOT NULL DEFAULT '{}',
  quota_documents INTEGER CHECK (quota_documents >= 0),
  quota_bytes INTEGER CHECK (quota_bytes >= 0),
  documents INTEGER NOT NULL DEFAULT 0 CHECK (documents >= 0),
  bytes INTEGER NOT NULL DEFAULT 0 CHECK (bytes >= 0),
  delete_seq INTEGER,
  delete_at INTEGER,
  delete_total INTEGER,
  CHECK ((delete_seq IS NULL) = (delete_at IS NULL) AND (delete_seq IS NULL) = (delete_total IS NULL))
) STRICT;
CREATE INDEX collection_deleting ON collection (delete_seq) WHERE delete_seq IS NOT NULL;

-- What each document counts in its collection's quota: the larger of the published original and those of its unended jobs.
CREATE TABLE charge (
  document BLOB PRIMARY KEY CHECK (length(document) = 16),
  collection TEXT NOT NULL,
  bytes INTEGER NOT NULL CHECK (bytes >= 0),
  published_seq INTEGER,
  published_bytes INTEGER CHECK (published_bytes >= 0),
  CHECK ((published_seq IS NULL) = (published_bytes IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX charge_of_collection ON charge (collection);
-- Bytes of the original that a job about a document was given.
CREATE TABLE job_bytes (job INTEGER PRIMARY KEY, bytes INTEGER NOT NULL CHECK (bytes >= 0)) STRICT;

-- Collections of old jobs; those that the graph alone knows are added at the start, with what their documents count.
INSERT INTO collection (name, created_at) SELECT collection, min(created_at) FROM job GROUP BY collection;
INSERT INTO job_bytes (job, bytes) SELECT key, json_extract(params, '$.file_size') FROM job
  WHERE document IS NOT NULL AND json_extract(params, '$.file_size') >= 0;
INSERT INTO charge (document, collection, bytes) SELECT document, collection, max(coalesce(b.bytes, 0)) FROM job LEFT JOIN job_bytes b ON b.job = job.key
  WHERE document IS NOT NULL AND status IN ('pending', 'running') GROUP BY document;
UPDATE collection SET documents = (SELECT count(*) FROM charge c WHERE c.collection = collection.name),
  bytes = (SELECT coalesce(sum(bytes), 0) FROM charge c WHERE c.collection = collection.name);

-- A stage whose job was given back is pending with what it has done.
ALTER TABLE stage RENAME TO stage_1;
CREATE TABLE stage (
  job INTEGER NOT NULL,
  position INTEGER NOT NULL CHECK (position >= 0),
  name TEXT NOT NULL,
  weight INTEGER NOT NULL CHECK (weight >= 0),
  status TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
  progress REAL NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
  ran_ms INTEGER NOT NULL DEFAULT 0 CHECK (ran_ms >= 0),
  since INTEGER,
  units_total INTEGER NOT NULL DEFAULT 0 CHECK (units_total >= 0),
  PRIMARY KEY (job, position),
  CHECK ((progress = 1) = (status = 'completed')),
  CHECK (since IS NULL OR status = 'running')
) STRICT, WITHOUT ROWID;
INSERT INTO stage SELECT job, position, name, weight,
  CASE WHEN status = 'running' AND (SELECT job.status FROM job WHERE job.key = stage_1.job) = 'pending' THEN 'pending' ELSE status END,
  progress, ran_ms, since, units_total FROM stage_1;
DROP TABLE stage_1;

-- One order over the events of all jobs.
ALTER TABLE event RENAME TO event_1;
CREATE TABLE event (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  job INTEGER NOT NULL,
  seq INTEGER NOT NULL CHECK (seq >= 1),
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  UNIQUE (job, seq)
) STRICT;
INSERT INTO event (job, seq, at, kind) SELECT job, seq, at, kind FROM event_1 ORDER BY at, job, seq;
DROP TABLE event_1;

-- The highest position whose row was removed: who has seen less has missed something.
CREATE TABLE event_floor (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  position INTEGER NOT NULL CHECK (position >= 1)
) STRICT;

-- Whose events stay for a while after the job's row is gone.
CREATE TABLE deleted_job (
  job INTEGER PRIMARY KEY,
  id BLOB NOT NULL CHECK (length(id) = 16),
  collection TEXT NOT NULL,
  job_type TEXT NOT NULL,
  deleted_at INTEGER NOT NULL
) STRICT;
CREATE INDEX deleted_job_by_age ON deleted_job (deleted_at);

-- Answers under a caller's key (`scope`: whose keys they are), for a day.
CREATE TABLE answer (
  scope TEXT NOT NULL,
  key TEXT NOT NULL CHECK (key <> ''),
  at INTEGER NOT NULL,
  request BLOB NOT NULL CHECK (length(request) = 32),
  status INTEGER NOT NULL CHECK (status BETWEEN 200 AND 299),
  location TEXT,
  body TEXT NOT NULL,
  PRIMARY KEY (scope, key)
) STRICT;
CREATE INDEX answer_by_age ON answer (at);

-- Types of which no job is claimed.
CREATE TABLE paused_type (
  job_type TEXT PRIMARY KEY CHECK (job_type IN ('ingestion', 'reindex', 'clustering')),
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX job_waiting ON job (exclusive_key) WHERE status = 'pending' AND exclusive_key IS NOT NULL;

-- Deletions that remove logs, originals and cached answers too.
ALTER TABLE document_delete ADD COLUMN purge INTEGER NOT NULL DEFAULT 0;

-- Names the order of events; a store that has no name of it takes a new one.
ALTER TABLE store ADD COLUMN events BLOB CHECK (length(events) = 16);

-- `q` looks through file name and source alone: ids go. (`job-` and 36 characters before, `doc-` and 26 or nothing behind, each on a line of its own.)
UPDATE job_text SET words = substr(words, 42, length(words) - 41 - iif((SELECT document FROM job WHERE key = job_text.job) IS NULL, 1, 31))
  WHERE words GLOB 'job-*' AND substr(words, 41, 1) = char(10);
INSERT INTO job_trigrams (job_trigrams) VALUES ('delete-all');
INSERT INTO job_trigrams (rowid, words) SELECT job, words FROM job_text ORDER BY job;
