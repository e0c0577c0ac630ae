//! Collections and the job store that the graph belongs to.

use graphmill_core::{CollectionId, EntityName, Seq};

use super::{Neo4jConnection, Params, Row, Transaction};
use crate::{Error, Result};

/// Makes the collection if it is new; refuses one that is being removed.
pub(super) async fn ensure_collection(neo4j: &Neo4jConnection, collection: &CollectionId) -> Result<()> {
    let params = Params::new().set("name", collection.as_str()).set("normaliser", EntityName::NORMALISER_VERSION);
    let found =
        neo4j.read("MATCH (c:GmCollection {name: $name}) RETURN c.removing AS removing", params.clone()).await?;
    if let Some(mut row) = found.into_iter().next() {
        return match row.take::<Option<i64>>("removing")? {
            None => Ok(()),
            Some(_) => Err(Error::CollectionRemoved(collection.clone())),
        };
    }
    neo4j
        .write(move |tx| {
            tx.run(
                "MERGE (c:GmCollection {name: $name}) ON CREATE SET c.normaliser = $normaliser, c.publish_number = 0, \
                 c.documents = 0, c.chunks = 0, c.entities = 0, c.relations = 0, c.quarantined_chunks = 0, \
                 c.quarantined_embedding = 0",
                params.clone(),
            )
        })
        .await
}

/// Names of all collections that are not being removed.
pub(super) async fn names(neo4j: &Neo4jConnection) -> Result<Vec<CollectionId>> {
    let query = "MATCH (c:GmCollection) WHERE c.removing IS NULL RETURN c.name AS name ORDER BY c.name";
    let rows = neo4j.read(query, Params::new()).await?;
    rows.into_iter().map(|mut row| super::ids::take(&mut row, "name")).collect()
}

/// Whether there is such a collection that is not being removed.
pub(super) fn is_there(tx: &mut Transaction<'_, '_>, collection: &CollectionId) -> Result<bool> {
    let query = "MATCH (c:GmCollection {name: $name}) WHERE c.removing IS NULL RETURN 1 AS one";
    Ok(tx.first(query, Params::new().set("name", collection.as_str()))?.is_some())
}

/// The collection's publish number; 0 when there is no such collection.
pub(super) async fn publish_number(neo4j: &Neo4jConnection, collection: &CollectionId) -> Result<u64> {
    let query = "MATCH (c:GmCollection {name: $name}) WHERE c.removing IS NULL RETURN c.publish_number AS number";
    let rows = neo4j.read(query, Params::new().set("name", collection.as_str())).await?;
    rows.into_iter().next().map_or(Ok(0), |mut row| row.take("number"))
}

/// Binds the graph to its job store.
pub(super) async fn bind(neo4j: &Neo4jConnection, job_store: [u8; 16]) -> Result<()> {
    let ours = super::ids::order(&job_store);
    let params = Params::new().set("ours", &ours);
    let found: String = neo4j
        .write(move |tx| {
            let query = "MATCH (s:GmStore {id: 'store'}) SET s.job_store = coalesce(s.job_store, $ours) RETURN s.job_store AS found";
            tx.one(query, params.clone())?.take("found")
        })
        .await?;
    if found == ours { Ok(()) } else { Err(Error::WrongJobStore { found, ours }) }
}

/// The highest ticket of any document, tombstone or removal.
pub(super) async fn highest_seq(neo4j: &Neo4jConnection) -> Result<Seq> {
    let query = "OPTIONAL MATCH (d:GmDocument) WHERE d.seq >= 0 WITH max(d.seq) AS seq \
                 OPTIONAL MATCH (c:GmCollection) WHERE c.removing IS NOT NULL RETURN seq, max(c.removing) AS removing";
    let seqs = |mut row: Row| {
        let (seq, removing): (Option<u64>, Option<u64>) = (row.take("seq")?, row.take("removing")?);
        Ok(Seq(seq.max(removing).unwrap_or(0)))
    };
    neo4j.read(query, Params::new()).await?.into_iter().next().map_or(Ok(Seq(0)), seqs)
}

/// Makes the collection if it is new; one that is being removed is the caller's to see, under its lock.
pub(super) async fn ensure_unless_removed(neo4j: &Neo4jConnection, collection: &CollectionId) -> Result<()> {
    match ensure_collection(neo4j, collection).await {
        Err(Error::CollectionRemoved(_)) => Ok(()),
        answer => answer,
    }
}
