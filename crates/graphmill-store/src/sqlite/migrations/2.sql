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
