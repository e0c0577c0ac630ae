//! The lock of a collection, and the gate through which readers see no commit half applied.
//!
//! Neo4j's readers take no locks and see what is committed; a commit itself is applied record by record. So a writer that changes what readers must see
//! at once holds the collection's lock (a property that it sets in its transaction), does all its work, and then, just before it commits, opens the gate
//! in a transaction of its own; after the commit it closes it. A reader whose answer must be of one moment looks at the gate before and after: when it
//! was shut and has not been opened meanwhile, no commit fell into its reading. The gate is open for as long as a commit takes, not for as long as the work.
//! A writer that died between the two leaves it open; who waits for too long takes the lock, which proves that nobody commits, and shuts it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use graphmill_core::{CollectionId, Seq};

use super::{Neo4jConnection, Params, Row, Transaction};
use crate::{Error, Result};

/// Between two looks at an open gate.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// An open gate is shut by force after so long.
const DEAD_WRITER: Duration = Duration::from_secs(2);
/// Readings into which commits fell, before the reader is told to come again.
const READINGS: usize = 20;

/// What the lock found.
pub(super) enum Lock {
    /// It is held until the transaction ends.
    Held,
    /// There is no such collection.
    Missing,
    /// It is being removed, under this ticket.
    Removing(Seq),
}

/// Takes the collection's lock for the rest of the transaction.
pub(super) fn lock(tx: &mut Transaction<'_, '_>, collection: &CollectionId) -> Result<Lock> {
    let query = "MATCH (c:GmCollection {name: $name}) SET c.lock = coalesce(c.lock, 0) + 1 \
                 RETURN c.removing AS removing";
    let Some(mut row) = tx.first(query, Params::new().set("name", collection.as_str()))? else {
        return Ok(Lock::Missing);
    };
    if let Some(seq) = row.take::<Option<u64>>("removing")? {
        return Ok(Lock::Removing(Seq(seq)));
    }
    Ok(Lock::Held)
}

/// The lock of a collection that must be there.
pub(super) fn lock_present(tx: &mut Transaction<'_, '_>, collection: &CollectionId) -> Result<()> {
    match lock(tx, collection)? {
        Lock::Held => Ok(()),
        Lock::Removing(_) => Err(Error::CollectionRemoved(collection.clone())),
        Lock::Missing => Err(Error::Invalid(format!("there is no collection {collection} in the graph"))),
    }
}

/// Raises the publish number of a collection whose lock is held.
pub(super) fn raise_publish_number(tx: &mut Transaction<'_, '_>, collection: &CollectionId) -> Result<u64> {
    let query = "MATCH (c:GmCollection {name: $name}) SET c.publish_number = c.publish_number + 1 \
                 RETURN c.publish_number AS number";
    tx.one(query, Params::new().set("name", collection.as_str()))?.take("number")
}

/// The gate of a collection, for one writer.
pub(super) struct Gate {
    neo4j: Neo4jConnection,
    collection: CollectionId,
    /// Transactions run on threads that are not the runtime's.
    runtime: tokio::runtime::Handle,
    /// The last ticket that was drawn; 0 = none.
    ticket: AtomicU64,
}

impl Gate {
    pub(super) fn new(neo4j: &Neo4jConnection, collection: &CollectionId) -> Arc<Self> {
        Arc::new(Self {
            neo4j: neo4j.beside(),
            collection: collection.clone(),
            runtime: tokio::runtime::Handle::current(),
            ticket: AtomicU64::new(0),
        })
    }

    /// Opens it; the last thing before a commit. Called on the thread of the writer's transaction, which may block.
    pub(super) fn open(&self) -> Result<()> {
        let params = Params::new().set("collection", self.collection.as_str());
        let opened = self.neo4j.write(move |tx| {
            let query = "MERGE (g:GmGate {collection: $collection}) SET g.opened = coalesce(g.opened, 0) + 1 RETURN g.opened AS opened";
            tx.one(query, params.clone())?.take::<u64>("opened")
        });
        let opened = self.runtime.block_on(opened)?;
        self.ticket.fetch_max(opened, Ordering::SeqCst);
        graphmill_core::fault_point!("neo4j.gate_opened");
        Ok(())
    }

    /// Shuts it, if it was opened: after the commit, or when there was none. What cannot be told to the server now is left to the next reader.
    pub(super) async fn shut(&self) {
        let ticket = self.ticket.load(Ordering::SeqCst);
        if ticket == 0 {
            return;
        }
        graphmill_core::fault_point!("neo4j.before_gate_shut");
        let params = Params::new().set("collection", self.collection.as_str()).set("ticket", ticket);
        let shut = self.neo4j.write(move |tx| {
            let query = "MATCH (g:GmGate {collection: $collection}) WHERE coalesce(g.closed, 0) < $ticket SET g.closed = $ticket";
            tx.run(query, params.clone())
        });
        if let Err(error) = shut.await {
            tracing::warn!(collection = %self.collection, %error, "a gate stays open until a reader shuts it");
        }
    }
}

/// One transaction of a collection's writer, through its gate: readers of one moment see all of it or nothing.
pub(super) async fn write_at_once<T: Send + 'static>(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    mut work: impl FnMut(&mut Transaction<'_, '_>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let gate = Gate::new(neo4j, collection);
    let opened = gate.clone();
    let answer = neo4j
        .write(move |tx| {
            let done = work(tx)?;
            opened.open()?;
            Ok(done)
        })
        .await;
    gate.shut().await;
    answer
}

/// The gate as a reader sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    opened: u64,
    shut: bool,
}

async fn look(neo4j: &Neo4jConnection, collection: &CollectionId) -> Result<Seen> {
    let query = "MATCH (g:GmGate {collection: $collection}) \
                 RETURN coalesce(g.opened, 0) AS opened, coalesce(g.closed, 0) >= coalesce(g.opened, 0) AS shut";
    let rows = neo4j.read(query, Params::new().set("collection", collection.as_str())).await?;
    let seen = |mut row: Row| Ok(Seen { opened: row.take("opened")?, shut: row.take("shut")? });
    rows.into_iter().next().map_or(Ok(Seen { opened: 0, shut: true }), seen)
}

/// Waits until the gate is shut; answers how often it was opened.
async fn wait_until_shut(neo4j: &Neo4jConnection, collection: &CollectionId) -> Result<u64> {
    let begun = Instant::now();
    loop {
        let seen = look(neo4j, collection).await?;
        if seen.shut {
            return Ok(seen.opened);
        }
        if begun.elapsed() > DEAD_WRITER {
            shut_by_force(neo4j, collection).await?;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// With the lock nobody is between opening the gate and the end of a commit.
async fn shut_by_force(neo4j: &Neo4jConnection, collection: &CollectionId) -> Result<()> {
    let collection = collection.clone();
    neo4j
        .write(move |tx| {
            lock(tx, &collection)?;
            let query = "MATCH (g:GmGate {collection: $collection}) SET g.closed = g.opened";
            tx.run(query, Params::new().set("collection", collection.as_str()))
        })
        .await
}

/// Reads until no commit of the collection's falls into the reading. `reading` is called again when one does.
pub(super) async fn of_one_moment<T, F: Future<Output = Result<T>>>(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    mut reading: impl FnMut() -> F,
) -> Result<T> {
    for _ in 0..READINGS {
        let before = wait_until_shut(neo4j, collection).await?;
        let answer = reading().await?;
        let after = look(neo4j, collection).await?;
        if after.shut && after.opened == before {
            return Ok(answer);
        }
    }
    Err(crate::Error::Unavailable {
        message: format!("{collection} is published to so often that it could not be read of one moment"),
        retry_after: Some(Duration::from_secs(1)),
    })
}
