-- From schema 1 to schema 2 of jobs.db.

-- Keys, ids and created_at have one order from here on; a clock that stepped back may have left another one.
UPDATE job SET created_at = latest.at
FROM (SELECT key, max(created_at) OVER (ORDER BY key) AS at FROM job) AS latest
WHERE latest.key = job.key AND job.created_at < latest.at;
