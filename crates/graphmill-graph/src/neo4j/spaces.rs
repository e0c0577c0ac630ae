//! Embedding spaces: one property and one vector index each.

use graphmill_core::CollectionId;

use super::collections::ensure_collection;
use super::lock::lock_present;
use super::{Neo4jConnection, Params, Row, Transaction, schema};
use crate::records::{Space, SpaceId, SpaceState};
use crate::{Error, Result};

/// Components that an index takes.
pub(super) const INDEXED_DIMENSIONS: std::ops::RangeInclusive<u32> = 1..=4_096;

/// Property of a chunk that holds its vector in a space.
pub(super) fn embedding(space: SpaceId) -> String {
    format!("embedding_{}", space.0)
}

/// A list that says in which of the spaces a node has a vector.
pub(super) fn presence(node: &str, spaces: &[Space]) -> String {
    let has: Vec<String> = spaces.iter().map(|s| format!("{node}.{} IS NOT NULL", embedding(s.id))).collect();
    format!("[{}]", has.join(", "))
}

pub(super) fn state_word(state: SpaceState) -> &'static str {
    match state {
        SpaceState::Building => "building",
        SpaceState::Active => "active",
        SpaceState::Retired => "retired",
    }
}

fn space_from(mut row: Row) -> Result<Space> {
    let state: String = row.take("state")?;
    let state = match state.as_str() {
        "building" => SpaceState::Building,
        "active" => SpaceState::Active,
        _ => SpaceState::Retired,
    };
    Ok(Space { id: SpaceId(row.take("id")?), model: row.take("model")?, dimension: row.take("dimension")?, state })
}

const OF_COLLECTION: &str = "MATCH (o:GmCollection {name: $collection}) WHERE o.removing IS NULL \
                             MATCH (s:GmSpace {collection: $collection}) RETURN s.id AS id, s.model AS model, \
                             s.dimension AS dimension, s.state AS state ORDER BY s.id";

/// The spaces of a collection, by id.
pub(super) async fn spaces_of(neo4j: &Neo4jConnection, collection: &CollectionId) -> Result<Vec<Space>> {
    let rows = neo4j.read(OF_COLLECTION, Params::new().set("collection", collection.as_str())).await?;
    rows.into_iter().map(space_from).collect()
}

/// The same within a transaction.
pub(super) fn spaces_in(tx: &mut Transaction<'_, '_>, collection: &CollectionId) -> Result<Vec<Space>> {
    let rows = tx.rows(OF_COLLECTION, Params::new().set("collection", collection.as_str()))?;
    rows.into_iter().map(space_from).collect()
}

/// Refuses a vector that is not of the collection's space, or that no comparison could bear.
pub(super) fn check_vector(spaces: &[Space], space: SpaceId, vector: &[f32]) -> Result<()> {
    let known = spaces.iter().find(|s| s.id == space).ok_or_else(|| {
        Error::Invalid(format!("the collection has no embedding space {}; ask for it by ensure_space", space.0))
    })?;
    if vector.len() != known.dimension as usize {
        return Err(Error::Invalid(format!(
            "a vector of {} components does not fit the space {} of {:?}, which has {}",
            vector.len(),
            space.0,
            known.model,
            known.dimension
        )));
    }
    match vector.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(at) => Err(Error::Invalid(format!(
            "component {at} of a vector of space {} is {}; only finite numbers can be compared",
            space.0, vector[at]
        ))),
    }
}

/// Finds or makes a space and its index. One that was retired is built again; what vectors it still has are as good as ever.
pub(super) async fn ensure_space(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    model: &str,
    dimension: u32,
) -> Result<Space> {
    ensure_collection(neo4j, collection).await?;
    let known = spaces_of(neo4j, collection).await?;
    let found = known.into_iter().find(|s| s.model == model && s.dimension == dimension);
    if let Some(space) = found.filter(|space| space.state != SpaceState::Retired) {
        return Ok(space);
    }
    let (collection, model) = (collection.clone(), model.to_owned());
    let space = neo4j
        .write(move |tx| {
            lock_present(tx, &collection)?;
            let spaces = spaces_in(tx, &collection)?;
            let active = spaces.iter().any(|s| s.state == SpaceState::Active);
            let state = if active { SpaceState::Building } else { SpaceState::Active };
            let params = Params::new().set("state", state_word(state));
            match spaces.into_iter().find(|s| s.model == model && s.dimension == dimension) {
                Some(known) if known.state != SpaceState::Retired => Ok(known),
                Some(known) => {
                    tx.run("MATCH (s:GmSpace {id: $id}) SET s.state = $state", params.set("id", known.id.0))?;
                    Ok(Space { state, ..known })
                }
                None => {
                    let query = "MATCH (g:GmStore {id: 'store'}) SET g.next_space = g.next_space + 1 WITH g.next_space - 1 AS id \
                                 CREATE (s:GmSpace {id: id, collection: $collection, model: $model, dimension: $dimension, \
                                 state: $state, live_vectors: 0}) RETURN id";
                    let params = params
                        .set("collection", collection.as_str())
                        .set("model", model.as_str())
                        .set("dimension", dimension);
                    let id: u32 = tx.one(query, params)?.take("id")?;
                    Ok(Space { id: SpaceId(id), model: model.clone(), dimension, state })
                }
            }
        })
        .await?;
    ensure_index(neo4j, &space).await?;
    Ok(space)
}

/// The index of a space; made before anything is in it, and again when a crash came between the two.
async fn ensure_index(neo4j: &Neo4jConnection, space: &Space) -> Result<()> {
    if !INDEXED_DIMENSIONS.contains(&space.dimension) {
        return Ok(()); // searches compare them all
    }
    let name = embedding(space.id);
    let query = format!(
        "CREATE VECTOR INDEX gm_{name} IF NOT EXISTS FOR (c:GmChunk) ON (c.{name}) \
         OPTIONS {{indexConfig: {{`vector.dimensions`: {}, `vector.similarity_function`: 'cosine'}}}}",
        space.dimension
    );
    neo4j.statement(query, Params::new()).await?;
    schema::wait_for_indexes(neo4j).await
}

/// Counts placed chunks that gained (or lost) a vector of the space; under the lock.
pub(super) fn count_live(tx: &mut Transaction<'_, '_>, space: SpaceId, change: i64) -> Result<()> {
    if change == 0 {
        return Ok(());
    }
    let query = "MATCH (s:GmSpace {id: $id}) SET s.live_vectors = s.live_vectors + $change";
    tx.run(query, Params::new().set("id", space.0).set("change", change))
}

/// The indexes of all spaces; a crash may have come between a space and its index.
pub(super) async fn ensure_indexes(neo4j: &Neo4jConnection) -> Result<()> {
    let query = "MATCH (s:GmSpace) RETURN s.id AS id, s.model AS model, s.dimension AS dimension, s.state AS state";
    for row in neo4j.read(query, Params::new()).await? {
        ensure_index(neo4j, &space_from(row)?).await?;
    }
    Ok(())
}

/// Drops the indexes of spaces that went with their collections. The indexes are read first: numbers of spaces are never used again, so that one without its space has
/// lost it for good.
pub(super) async fn drop_unused_indexes(neo4j: &Neo4jConnection) -> Result<()> {
    let query = "SHOW VECTOR INDEXES YIELD name WHERE name STARTS WITH 'gm_embedding_' RETURN name";
    let indexes = neo4j.statement(query, Params::new()).await?;
    let rows = neo4j.read("MATCH (s:GmSpace) RETURN s.id AS id", Params::new()).await?;
    let spaces: Vec<u32> = rows.into_iter().map(|mut row| row.take("id")).collect::<Result<_>>()?;
    for mut row in indexes {
        let name: String = row.take("name")?;
        let number = name.strip_prefix("gm_embedding_").and_then(|number| number.parse::<u32>().ok());
        if let Some(number) = number.filter(|number| !spaces.contains(number)) {
            neo4j.statement(format!("DROP INDEX gm_{} IF EXISTS", embedding(SpaceId(number))), Params::new()).await?;
        }
    }
    Ok(())
}
