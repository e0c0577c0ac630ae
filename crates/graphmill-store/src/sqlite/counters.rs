//! How many jobs are in each state, type and collection: gathered over a group of writes, written once in its transaction.

use std::collections::HashMap;

use graphmill_core::{CollectionId, JobStatus, JobType};
use rusqlite::{Connection, params};

use crate::Result;

/// Which counter.
pub(crate) type Cell = (JobStatus, CollectionId, JobType);

/// Changes that the open transaction has made, in order, so that a write that is undone takes its own back.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    changes: Vec<(Cell, i64)>,
}

impl Counters {
    /// One more (1) or one less (−1).
    pub(crate) fn count(&mut self, cell: Cell, by: i64) {
        self.changes.push((cell, by));
    }

    pub(crate) fn mark(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn undo(&mut self, mark: usize) {
        self.changes.truncate(mark);
    }

    /// Written, or rolled back.
    pub(crate) fn clear(&mut self) {
        self.changes.clear();
    }

    /// Adds the sums to the table. They stay here until the commit, which may fail.
    pub(crate) fn write(&self, conn: &Connection) -> Result<()> {
        let mut sums: HashMap<&Cell, i64> = HashMap::new();
        for (cell, by) in &self.changes {
            *sums.entry(cell).or_default() += by;
        }
        let mut update = conn.prepare_cached(
            "UPDATE job_count SET n = n + ?4 WHERE status = ?1 AND collection = ?2 AND job_type = ?3",
        )?;
        let mut insert =
            conn.prepare_cached("INSERT INTO job_count (status, collection, job_type, n) VALUES (?1, ?2, ?3, ?4)")?;
        let mut remove = conn.prepare_cached(
            "DELETE FROM job_count WHERE status = ?1 AND collection = ?2 AND job_type = ?3 AND n = 0",
        )?;
        for ((status, collection, job_type), by) in sums.into_iter().filter(|(_, by)| *by != 0) {
            let values = params![status.as_str(), collection.as_str(), job_type.as_str(), by];
            if update.execute(values)? == 0 {
                insert.execute(values)?;
            } else if by < 0 {
                // A collection that is gone leaves no name.
                remove.execute(params![status.as_str(), collection.as_str(), job_type.as_str()])?;
            }
        }
        Ok(())
    }

    /// Running jobs by collection, with the changes of the open transaction.
    pub(crate) fn running(&self, conn: &Connection) -> Result<HashMap<String, i64>> {
        let mut statement = conn
            .prepare_cached("SELECT collection, sum(n) FROM job_count WHERE status = 'running' GROUP BY collection")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut running: HashMap<String, i64> = rows.collect::<rusqlite::Result<_>>()?;
        for ((status, collection, _), by) in &self.changes {
            if *status == JobStatus::Running {
                *running.entry(collection.as_str().to_owned()).or_default() += by;
            }
        }
        Ok(running)
    }
}
