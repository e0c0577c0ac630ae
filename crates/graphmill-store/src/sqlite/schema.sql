-- Schema 2 of jobs.db. Times are milliseconds since 1970-01-01T00:00:00Z by the store's clock. Words of states and types are those of
-- graphmill-core. Rows of other tables name a job by its key, which is never used again.

-- `events` names the order of events: a restore forgets it, since positions after the backup are given once more; a store that has none takes a new one.
CREATE TABLE store (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  id BLOB NOT NULL CHECK (length(id) = 16),
  ticket INTEGER NOT NULL CHECK (ticket >= 0),
  events BLOB CHECK (length(events) = 16)
) STRICT;

-- `queue` says why a pending job is not running: it is ready, comes later (run_at), or is parked behind a running job with its
-- exclusive key. Ids rise with keys, so that (created_at, key) is the order of (created_at, id).
CREATE TABLE job (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
  job_type TEXT NOT NULL CHECK (job_type IN ('ingestion', 'reindex', 'clustering')),
  collection TEXT NOT NULL CHECK (collection <> ''),
  status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
  queue TEXT CHECK (queue IN ('ready', 'later', 'parked')),
  epoch INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),
  version INTEGER NOT NULL DEFAULT 1 CHECK (version >= 1),
  priority INTEGER NOT NULL,
  progress REAL NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
  created_at INTEGER NOT NULL,
  run_at INTEGER NOT NULL,
  started_at INTEGER,
  completed_at INTEGER,
  lease_until INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
  deaths INTEGER NOT NULL DEFAULT 0 CHECK (deaths >= 0),
  max_attempts INTEGER NOT NULL CHECK (max_attempts >= 1),
  intent INTEGER NOT NULL DEFAULT 0 CHECK (intent IN (0, 1)),
  document BLOB CHECK (document IS NULL OR length(document) = 16),
  seq INTEGER CHECK (seq >= 1),
  exclusive_key TEXT,
  dedupe_key TEXT,
  message TEXT NOT NULL,
  metadata TEXT NOT NULL,
  params TEXT NOT NULL,
  CHECK ((queue IS NOT NULL) = (status = 'pending')),
  CHECK ((lease_until IS NOT NULL) = (status = 'running')),
  CHECK ((completed_at IS NOT NULL) = (status IN ('completed', 'failed', 'cancelled'))),
  CHECK ((progress = 1) = (status = 'completed')),
  CHECK (status NOT IN ('running', 'completed') OR (epoch >= 1 AND attempts >= 1 AND started_at IS NOT NULL)),
  CHECK ((started_at IS NOT NULL) = (attempts >= 1)),
  CHECK ((document IS NULL) = (seq IS NULL)),
  CHECK (queue IS NOT 'parked' OR exclusive_key IS NOT NULL)
) STRICT;

-- Lists: newest first, whole or by type and state, or within a collection. The key stands at the end of every index by itself.
CREATE INDEX job_by_age ON job (created_at);
CREATE INDEX job_by_type ON job (job_type, status, created_at);
CREATE INDEX job_by_collection ON job (collection, job_type, status, created_at);
-- Claims.
CREATE INDEX job_ready ON job (job_type, priority DESC, collection) WHERE queue = 'ready';
CREATE INDEX job_later ON job (run_at) WHERE queue = 'later';
CREATE INDEX job_parked ON job (exclusive_key, priority DESC) WHERE queue = 'parked';
CREATE UNIQUE INDEX job_exclusive ON job (exclusive_key) WHERE status = 'running' AND exclusive_key IS NOT NULL;
CREATE INDEX job_waiting ON job (exclusive_key) WHERE status = 'pending' AND exclusive_key IS NOT NULL;
CREATE INDEX job_dedupe ON job (dedupe_key) WHERE status = 'pending' AND dedupe_key IS NOT NULL;
-- Tickets, cleanup.
CREATE INDEX job_of_document ON job (document, seq) WHERE document IS NOT NULL;
CREATE INDEX job_ended ON job (status, completed_at) WHERE completed_at IS NOT NULL;
CREATE INDEX job_ended_in ON job (collection, status, completed_at) WHERE completed_at IS NOT NULL;

-- Totals of lists, and how many run in each collection. Written once a transaction with the sum of its changes; triggers would write each
-- change and make every statement keep a journal of its own.
CREATE TABLE job_count (
  status TEXT NOT NULL,
  collection TEXT NOT NULL,
  job_type TEXT NOT NULL,
  n INTEGER NOT NULL CHECK (n >= 0),
  PRIMARY KEY (status, collection, job_type)
) STRICT, WITHOUT ROWID;

-- What `q` looks through: file name and source, in lower case. (Ids are matched by their beginning in `job` itself, never by a piece.)
CREATE TABLE job_text (job INTEGER PRIMARY KEY, words TEXT NOT NULL) STRICT;
-- Which jobs have three characters in a row: finds the few that a rare `q` can mean; `words` decides. Rows follow those of job_text.
CREATE VIRTUAL TABLE job_trigrams USING fts5 (words, content = '', contentless_delete = 1, tokenize = 'trigram', detail = 'none');

-- `ran_ms`: time of earlier claims; `since`: begin of the present run. A stage whose job was given back is pending with what it has done.
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

-- What a resumed stage needs, until the job completes.
CREATE TABLE stage_data (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  job INTEGER NOT NULL,
  position INTEGER NOT NULL,
  plan BLOB NOT NULL,
  output BLOB,
  UNIQUE (job, position)
) STRICT;

-- Finished units of a stage: the output lies here or in a blob.
CREATE TABLE unit (
  key INTEGER PRIMARY KEY AUTOINCREMENT,
  job INTEGER NOT NULL,
  position INTEGER NOT NULL,
  number INTEGER NOT NULL CHECK (number >= 0),
  output BLOB,
  blob TEXT,
  UNIQUE (job, position, number),
  CHECK ((output IS NULL) <> (blob IS NULL))
) STRICT;

CREATE TABLE attempt (
  job INTEGER NOT NULL,
  number INTEGER NOT NULL CHECK (number >= 1),
  worker TEXT NOT NULL,
  started_at INTEGER NOT NULL,
  ended_at INTEGER,
  outcome TEXT NOT NULL DEFAULT 'running' CHECK (outcome IN
    ('running', 'completed', 'failed', 'cancelled', 'overtaken', 'retried', 'snoozed', 'released', 'lost')),
  stages TEXT NOT NULL DEFAULT '[]',
  PRIMARY KEY (job, number),
  CHECK ((ended_at IS NULL) = (outcome = 'running'))
) STRICT, WITHOUT ROWID;

CREATE TABLE job_error (
  job INTEGER NOT NULL,
  number INTEGER NOT NULL CHECK (number >= 1),
  attempt INTEGER NOT NULL,
  at INTEGER NOT NULL,
  code TEXT NOT NULL,
  message TEXT NOT NULL,
  hint TEXT,
  stage TEXT,
  chunk_id TEXT,
  page INTEGER,
  PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;

-- `seq` is the job's version at which it happened; `position` is its place in the order of all events, never given twice.
CREATE TABLE event (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  job INTEGER NOT NULL,
  seq INTEGER NOT NULL CHECK (seq >= 1),
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  UNIQUE (job, seq)
) STRICT;

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

CREATE TABLE log (
  job INTEGER NOT NULL,
  number INTEGER NOT NULL CHECK (number >= 1),
  at INTEGER NOT NULL,
  level INTEGER NOT NULL CHECK (level BETWEEN 0 AND 3),
  message TEXT NOT NULL,
  context TEXT NOT NULL,
  PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;

-- Which job names which blob.
CREATE TABLE blob (
  job INTEGER NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('original', 'page_text', 'output')),
  blob TEXT NOT NULL,
  PRIMARY KEY (job, role, blob)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_named ON blob (blob);

-- Accepted deletions. A finished one stays while a job of the document does, so that none of them can be retried over it.
CREATE TABLE document_delete (
  seq INTEGER PRIMARY KEY,
  collection TEXT NOT NULL,
  document BLOB NOT NULL CHECK (length(document) = 16),
  accepted_at INTEGER NOT NULL,
  finished_at INTEGER,
  -- Logs, originals and cached answers go too.
  purge INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX document_delete_of ON document_delete (document, seq);
CREATE INDEX document_delete_open ON document_delete (seq) WHERE finished_at IS NULL;

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
